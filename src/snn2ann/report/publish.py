"""Put a study's tables, figures and verdicts into the documentation, with what they were made with beside them."""

import io
import json
import shutil
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path

from snn2ann.errors import UserError
from snn2ann.files import read_json, sha256_lines, write_json, write_text
from snn2ann.report.agreement import agreement_text, compare_studies
from snn2ann.report.behind import rests_on
from snn2ann.report.blocks import filled, marks, shown
from snn2ann.report.checksums import RECORDS, RUNS, write_checksums
from snn2ann.report.paper import write_paper
from snn2ann.report.verdict_rows import read_verdicts, verdict_table
from snn2ann.runs.folder import RunFolder
from snn2ann.runs.packed import digests_of, pack

# What a page of the documentation may hold between two marks, and where in the published folder it stands as well.
BLOCKS = {
    "claims": "claims.json",
    "made-with": "made-with.json",
    "compare": "compare.txt",
    "show": "show.txt",
    "agree": "agreement.txt",
}


def publish(
    study_folder: Path,
    output: Path,
    pages: Sequence[Path] = (),
    paper: Path | None = None,
    second: Path | None = None,
) -> None:
    """Copy a finished study's documents and bring pages up to date that show a part of them.

    Args:
        study_folder: results/<study>, complete.
        output: folder of the documentation; its former content goes.
        pages: files with marks of this module, between which the verdicts or the output of a command is put.
        paper: folder with the template of a paper, to be filled.
        second: the same study as made on another kind of processor; its verdicts, what it was made with and whether the two
            agree are published beside, in `second` and agreement.txt.

    Raises:
        UserError: the study is not complete, or a page has no marks.
    """
    study = read_json(study_folder / "study.json")
    # Read before anything is replaced: an unfinished study leaves the documentation as it was.
    made_with = _made_with(study_folder)
    second_made_with = _made_with(second) if second else None
    claims = study_folder / "claims.json"
    printed = _terminal(study_folder)
    if second:
        printed["agree"] = agreement_text(compare_studies(study_folder, second))
    blocks = {"claims": verdict_table(read_verdicts(claims)), **printed}
    blocks["made-with"] = rests_on(read_json(claims)["findings"], made_with)
    texts = {page: _with_blocks(page, blocks) for page in pages}
    for page, text in texts.items():
        write_text(page, text)
    shutil.rmtree(output, ignore_errors=True)
    for pattern in ("tables/*.csv", "tables/*.md", "figures/*.png", "figures/*.csv", "claims.md", "claims.json"):
        for path in sorted(study_folder.glob(pattern)):
            target = output / path.relative_to(study_folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    for name, text in printed.items():
        write_text(output / BLOCKS[name], text + "\n")
    if second:
        write_json(output / "second" / "made-with.json", second_made_with)
        shutil.copyfile(second / "claims.json", output / "second" / "claims.json")
    write_json(output / "parameters.json", study["parameters"])
    write_json(output / "made-with.json", made_with)
    runs = study_folder.parent / "runs"
    names = [run["name"] for run in study["runs"]]
    digests = {f"{name}/{path}": value for name in names for path, value in digests_of(RunFolder(runs / name)).items()}
    write_text(output / RUNS, sha256_lines(digests))
    measurements = [study[kind] for kind in ("training_cost", "inference") if study.get(kind)]
    pack(study_folder.parent, names, measurements, output / RECORDS)
    write_checksums(output)
    if paper is not None:
        write_paper(output, paper)


def block_of(page: str, name: str) -> str | None:
    """What a page shows of a block, without the fence around a terminal's output; None where it has no such marks."""
    found = shown(page).get(name)
    return None if found is None else found.removeprefix("```text\n").removesuffix("\n```")


def _terminal(study_folder: Path) -> dict[str, str]:
    """What `compare` prints of the two sides of the claims, and `show` of the first, on the first network and seed."""
    from snn2ann.report.compare import compare_runs
    from snn2ann.report.selection import comparison, find_cell
    from snn2ann.report.show import show_run
    from snn2ann.report.study_data import load_study

    study = load_study(study_folder)
    sides = comparison(study)
    cells = [find_cell(study, study.places[0], wanted) for wanted in (sides.headline, sides.reference)]
    names = [study.runs_of(cell)[0].name for cell in cells if cell is not None]
    if len(names) < 2:
        raise UserError(
            f"{study_folder}: the study lacks a side of the claims' comparison; see `report` in params.yaml"
        )
    runs = study_folder.parent / "runs"
    return {
        "compare": _printed(partial(compare_runs, names, runs)),
        "show": _printed(partial(show_run, names[0], runs)),
    }


def _printed(command: Callable[[], None]) -> str:
    with redirect_stdout(io.StringIO()) as caught:
        command()
    return "\n".join(line.rstrip() for line in caught.getvalue().splitlines())


def _with_blocks(page: Path, blocks: dict[str, str]) -> str:
    """The page's text with every block that it has marks for."""
    text = page.read_text(encoding="utf-8")
    here = [name for name in blocks if block_of(text, name) is not None]
    if not here:
        wanted = " or ".join(repr(marks(name, "snn2ann publish")) for name in blocks)
        raise UserError(f"{page}: the marks {wanted} are missing; put them where the block should stand")
    fenced = {name: f"```text\n{blocks[name]}\n```" for name in here if name not in ("claims", "made-with")}
    return filled(text, {name: blocks[name] for name in here} | fenced)


def _made_with(study_folder: Path) -> dict[str, list[object]]:
    """Say on which machines, with which versions and from which commits a study's runs were made."""
    runs = [run["name"] for run in read_json(study_folder / "study.json")["runs"]]
    found: dict[str, dict[str, object]] = {"machine": {}, "versions": {}, "commit": {}, "threads": {}, "device": {}}
    for name in runs:
        training = read_json(RunFolder(study_folder.parent / "runs" / name).training)
        for key, values in found.items():
            values[json.dumps(training[key], sort_keys=True)] = training[key]
    return {key: list(values.values()) for key, values in found.items()}
