"""Tables of docs/parameters.md: every key of params.yaml, its range and default, from the classes that check it."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from functools import partial
from typing import Any

from snn2ann.methods import METHODS
from snn2ann.options import VARIANTS, CouplingOptions
from snn2ann.parameters import dataset, network, phases, recipe, report, study
from snn2ann.parameters.schema import schema, without_references
from snn2ann.parameters.section import Section
from snn2ann.parameters.whole import Parameters
from snn2ann.parameters.words import expectation, shown

SECTIONS: dict[str, type[Section]] = {
    "file": Parameters,
    "dataset": dataset.BuiltIn,
    "vgg": network.Vgg,
    "resnet": network.ResNet,
    "torchvision": network.Torchvision,
    "module": network.Module,
    "recipes": recipe.Recipe,
    "one_cycle": recipe.OneCycle,
    "multi_step": recipe.MultiStep,
    "augmentation": recipe.AugmentationOptions,
    "normalisation": recipe.Normalisation,
    "calibration": phases.Calibration,
    "evaluation": phases.Evaluation,
    "measurement": phases.Measurement,
    "measured": phases.MeasuredMethod,
    "inference": phases.Inference,
    "report": report.Report,
    "rows": report.Rows,
    "aims": report.Aim,
    "tracking": report.Tracking,
    "studies": study.StudySection,
    "entries": study.Entry,
}


def section_table(section: type[Section]) -> str:
    """The keys of a section."""
    head = ["key", "what", "allowed", "default"]
    return grid(head, [[f"`{name}`", *cells] for name, cells in _rows(section)])


def own_data_table() -> str:
    """The keys that data of one's own have beside those of the split, by kind."""
    rows = []
    for kind, section in dataset.KINDS.items():
        beside = [each for each in _rows(section) if each[0] not in (*dataset.Split.model_fields, "kind")]
        rows += [[f"`{kind}`", f"`{name}`", *cells] for name, cells in beside]
    return grid(["kind", "key", "what", "allowed", "default"], rows)


def options_table() -> str:
    """The options of every method but the paper's."""
    rows = []
    for method, entry in METHODS.items():
        if entry.options_class is not None:
            rows += [[f"`{method}`", f"`{name}`", *cells] for name, cells in _rows(entry.options_class)]
    return grid(["method", "option", "what", "allowed", "default"], rows)


def coupling_table() -> str:
    """The options of the paper's method, with their values in each variant."""
    text = re.sub(r"\n {12}", " ", (CouplingOptions.__doc__ or "").partition("Attributes:\n")[2])
    said = dict(re.findall(r"^ {8}(\w+): (.*)$", text, re.MULTILINE))
    rows = []
    for option in fields(CouplingOptions):
        values = [f"`{shown(getattr(variant, option.name))}`" for variant in VARIANTS.values()]
        rows.append([f"`{option.name}`", said[option.name].rstrip("."), *values])
    return grid(["option", "what", *VARIANTS], rows)


TABLES: dict[str, Callable[[], str]] = {
    **{name: partial(section_table, section) for name, section in SECTIONS.items()},
    "own_data": own_data_table,
    "options": options_table,
    "coupling": coupling_table,
}


def _rows(section: type[Section]) -> Iterable[tuple[str, list[str]]]:
    described: Mapping[str, Any] = schema()["$defs"].get(section.__name__) or section.model_json_schema()
    for name, field in section.model_fields.items():
        name = field.alias or name
        part = described["properties"][name]
        default = "–" if field.is_required() else f"`{shown(field.default)}`"
        yield name, [str(field.description), _allowed(part), default]


def _allowed(part: Mapping[str, Any]) -> str:
    return expectation(without_references(part)).replace('"', "`")


def grid(head: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown."""
    return "\n".join(f"| {' | '.join(cells)} |" if cells else f"|{'---|' * len(head)}" for cells in [head, [], *rows])
