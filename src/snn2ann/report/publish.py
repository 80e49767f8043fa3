"""Put a study's tables, figures and verdicts into the documentation, with what they were made with beside them."""

import json
import re
import shutil
from itertools import dropwhile, takewhile
from pathlib import Path

from snn2ann.errors import UserError
from snn2ann.files import read_json, write_json, write_text

BEGIN, END = "<!-- claims: made by `snn2ann publish` -->", "<!-- end of claims -->"


def publish(study_folder: Path, output: Path, readme: Path | None = None) -> None:
    """Copy a finished study's documents and bring the README's table of claims up to date.

    Args:
        study_folder: results/<study>, complete.
        output: folder of the documentation; its former content goes.
        readme: a file with the two marks of this module, between which the table of claims is put.

    Raises:
        UserError: the study is not complete, or the README lacks the marks.
    """
    study = read_json(study_folder / "study.json")
    block = f"{BEGIN}\n{verdicts(study_folder / 'claims.md')}\n{END}"
    # Read before anything is replaced: an unfinished study leaves the documentation as it was.
    made_with = _made_with(study_folder, [run["name"] for run in study["runs"]])
    if readme is not None:
        _replace_block(readme, block)
    shutil.rmtree(output, ignore_errors=True)
    for pattern in ("tables/*.csv", "tables/*.md", "figures/*.png", "figures/*.csv", "claims.md"):
        for path in sorted(study_folder.glob(pattern)):
            target = output / path.relative_to(study_folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    write_json(output / "parameters.json", study["parameters"])
    write_json(output / "made-with.json", made_with)


def verdicts(claims: Path) -> str:
    """Return the first table of a claims.md: a row for each of the paper's claims.

    Raises:
        UserError: the file is missing or holds no table.
    """
    if not claims.exists():
        raise UserError(f"{claims}: missing; make the study first (snakemake --cores all)")
    lines = claims.read_text(encoding="utf-8").splitlines()
    table = list(takewhile(lambda line: line.startswith("|"), dropwhile(lambda line: not line.startswith("|"), lines)))
    if not table:
        raise UserError(f"{claims}: holds no table; remove it and make it again (snakemake --cores all claims)")
    return "\n".join(table)


def _replace_block(readme: Path, block: str) -> None:
    text = readme.read_text(encoding="utf-8")
    pattern = re.compile(re.escape(BEGIN) + ".*?" + re.escape(END), re.DOTALL)
    if not pattern.search(text):
        raise UserError(f"{readme}: the marks {BEGIN!r} and {END!r} are missing; put them where the table should stand")
    write_text(readme, pattern.sub(lambda _: block, text))


def _made_with(study_folder: Path, runs: list[str]) -> dict[str, list[object]]:
    """Say on which machines, with which versions and from which commits the runs were made."""
    found: dict[str, dict[str, object]] = {"machine": {}, "versions": {}, "commit": {}, "threads": {}, "device": {}}
    for name in runs:
        training = read_json(study_folder.parent / "runs" / name / "training.json")
        for key, values in found.items():
            values[json.dumps(training[key], sort_keys=True)] = training[key]
    return {key: list(values.values()) for key, values in found.items()}
