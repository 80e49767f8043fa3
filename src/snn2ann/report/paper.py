"""A short paper about a published study: a LaTeX template, filled from the files that were published."""

import csv
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from string import Template
from typing import Any

from snn2ann.errors import UserError
from snn2ann.files import read_json, write_text
from snn2ann.report.configurations import Configuration, network_name
from snn2ann.report.judging import SENTENCES
from snn2ann.report.table import escape

TEMPLATE = "template.tex"
FIGURE = "figures/accuracy_against_spikes.png"
HOLDS = "holds"


class _Latex(Template):
    delimiter = "@"
    # Names in braces alone: an @ may stand for itself.
    pattern = r"@(?:(?P<escaped>@)|\{(?P<braced>[a-z_]+)\}|(?P<named>(?!))|(?P<invalid>(?!)))"  # type: ignore[assignment]


def write_paper(published: Path, folder: Path) -> Path:
    """Fill the template of a folder and write `<study>.tex` beside it.

    Args:
        published: folder of a published study, such as docs/reference/digits.
        folder: holds `TEMPLATE`.

    Returns:
        The file.

    Raises:
        UserError: there is no template, or it asks for what there is not.
    """
    template = folder / TEMPLATE
    claims, parameters = read_json(published / "claims.json"), read_json(published / "parameters.json")
    try:
        text = _Latex(template.read_text(encoding="utf-8")).substitute(
            **_study(parameters, claims["verdicts"]),
            claims="".join(_rows(_claims(claims["verdicts"]))),
            accuracy="".join(_rows(_accuracies(published / "tables" / "against_reference.csv"))),
            figure=Path(os.path.relpath(published / FIGURE, folder)).as_posix(),
            not_held=_not_held(claims["findings"]),
            made_with=_made_with(read_json(published / "made-with.json")),
        )
    except OSError as error:
        raise UserError(f"{template}: cannot be read ({error.strerror}); docs/paper has one") from error
    except KeyError as error:
        raise UserError(f"{template}: @{{{error.args[0]}}} is not known; see snn2ann.report.paper") from error
    path = folder / f"{parameters['study']}.tex"
    write_text(path, text)
    return path


def _study(parameters: Mapping[str, Any], verdicts: list[Mapping[str, Any]]) -> dict[str, str]:
    """What the study is, in words."""
    name = parameters["study"]
    study = parameters["studies"][name]
    recipe = parameters["recipes"][study["recipe"]]
    datasets, networks = _listed(study["datasets"]), _listed(map(network_name, study["networks"]))
    seeds = f"{len(study['seeds'])} seeds" if len(study["seeds"]) > 1 else "one seed"
    normalised = (
        "its own mean and deviation" if recipe.get("normalisation") is None else "the demo's mean and deviation"
    )
    setup = (
        f"Images of {datasets}, {networks}, {seeds}; {recipe['epochs']} epochs in batches of {recipe['batch_size']}, "
        f"{recipe['optimizer']} at a learning rate of {recipe['learning_rate']:g}, a {recipe['schedule']['kind']} schedule, "
        f"weight decay {recipe['weight_decay']:g}, {normalised} of the pixels, {recipe['precision']}. "
    )
    measured = parameters.get("measurement")
    if measured:
        shape = "×".join(map(str, measured["image_shape"]))
        setup += (
            f"Time and memory of a training step are measured on {_listed(map(network_name, measured['networks']))}, random "
            f"images of {shape}, batches of {measured['batch_size']}."
        )
    return {
        "study": escape(name),
        "title": escape(study["title"]),
        "datasets": escape(datasets),
        "networks": escape(networks),
        "seeds": seeds,
        "summary": escape(_summary(verdicts)),
        "setup": escape(setup),
    }


def _listed(words: Iterable[str]) -> str:
    """a, b and c."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def _rows(rows: Iterable[Iterable[str]]) -> Iterator[str]:
    for cells in rows:
        yield " & ".join(map(escape, cells)) + " \\\\\n"


def _claims(verdicts: list[Mapping[str, Any]]) -> Iterator[list[str]]:
    """A row for each claim and variant that was judged."""
    for row in verdicts:
        for each in row["judged"]:
            yield [row["claim"], each["name"], row["claimed"], each["measured"], each["verdict"]]


def _summary(verdicts: list[Mapping[str, Any]]) -> str:
    """How many claims hold, for each variant that was judged."""
    names = [each["name"] for each in verdicts[0]["judged"]]
    held = [sum(row["judged"][place]["verdict"] == HOLDS for row in verdicts) for place in range(len(names))]
    counted = (
        f"{count} hold{'s' if count == 1 else ''} of the method {name}" for count, name in zip(held, names, strict=True)
    )
    return f"Of the paper's {len(verdicts)} claims, {_listed(counted)}."


def _accuracies(path: Path) -> Iterator[list[str]]:
    """Rows that were measured, as they were trained: neither calibrated afterwards nor of an ablation."""
    with path.open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["accuracy_mean"]]
    several = len({row["variant"] for row in rows if row["method"] == "snn2ann" and not row["setting"]}) > 1
    for row in rows:
        configuration = Configuration(row["method"], row["variant"], row["mapping_unit"], row["ata"])
        if configuration.calibrated or row["setting"]:
            continue
        mean, low, high = (float(row[f"accuracy_{name}"] or "nan") * 100 for name in ("mean", "low", "high"))
        spread = f" [{low:.2f}, {high:.2f}]" if high == high else ""
        ratio = f"{float(row['spikes_ratio_mean']):.2f}" if row["spikes_ratio_mean"] else "–"
        steps = f"{float(row['time_steps']):.0f}" if row["time_steps"] else "–"
        yield [network_name(row["network"]), configuration.label(several), steps, f"{mean:.2f}{spread}", ratio]


def _not_held(findings: list[Mapping[str, Any]]) -> str:
    """Every network's claim that does not simply hold, with its reason."""
    places = [each for each in findings if each["scope"] == "network"] or findings
    items = []
    for each in places:
        if each["verdict"] == HOLDS:
            continue
        where = f", {network_name(each['network'])} on {each['dataset']}" if each["network"] else ""
        where += f", {each['judged']}"
        claim = SENTENCES.get(each["claim"], each["claim"])
        items.append(
            f"\\item {escape(claim)}{escape(where)}: \\emph{{{escape(each['verdict'])}}}. {escape(each['reason'])}.\n"
        )
    if not items:
        return "Every claim holds on every network of this study.\n"
    return f"\\begin{{itemize}}\n{''.join(items)}\\end{{itemize}}\n"


def _made_with(made: Mapping[str, list[Any]]) -> str:
    machines = _listed(sorted({machine["processor"] for machine in made["machine"] if "processor" in machine}) or ["–"])
    versions = _listed(sorted({f"PyTorch {each['torch']}" for each in made["versions"] if "torch" in each}) or ["–"])
    commits = ", ".join(f"\\texttt{{{commit[:10]}}}" for commit in made["commit"] if commit) or "no commit"
    return f"These results were made on {escape(machines)}, with {escape(versions)}, from commit {commits}."
