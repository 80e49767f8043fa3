"""Test accuracy of every method beside published ones (paper, evaluation section 1)."""

from importlib.resources import files
from typing import Any

import pandas as pd

from snn2ann.report.statistics import EMPTY, interval_of
from snn2ann.report.study_data import StudyData
from snn2ann.report.table import Table, estimate_columns, interval, text
from snn2ann.report.tables.cell_columns import accuracy_column, footnotes, identity, identity_columns, missing_notes
from snn2ann.runs.columns import BALANCED
from snn2ann.runs.records import Values

PAPER_CELLS = [
    (dataset, network) for dataset in ("CIFAR-10", "CIFAR-100", "Tiny-ImageNet") for network in ("VGG-13", "ResNet-17")
]


def classification(study: StudyData) -> Table:
    """Mean accuracy over seeds at the epoch that validation selects and at the last one; published rows stand apart."""
    measures = _measures(study)
    empty = {name: value for measure in measures for name, value in estimate_columns(measure, EMPTY).items()}
    rows = [empty | row for row in (*_measured(study), *_paper(), *_published())]
    note, below = footnotes(rows, "Note or source")
    columns = [
        text("origin"),
        *identity_columns(),
        accuracy_column("Test accuracy (%)"),
        interval("Last epoch (%)", "accuracy_last_epoch", 2, 100),
        *([interval("Balanced (%)", BALANCED, 2, 100)] if BALANCED in measures else []),
        text("accuracy_n", "r", "Seeds"),
        note,
    ]
    return Table(
        title="Classification accuracy",
        caption="Mean test accuracy over seeds with its 95 % interval, at the epoch that the recipe selects; the test "
        "images are read once. T is that of the evaluation. Published rows differ in network and "
        "augmentation: for orientation only.",
        frame=pd.DataFrame(rows),
        columns=columns,
        notes=[*below, *missing_notes(study)],
        group=lambda row: (row["origin"], row["network"] if row["origin"] == "this study" else ""),
    )


def _measures(study: StudyData) -> list[str]:
    """Accuracies; that which weighs classes alike only where it was taken, of data of one's own."""
    taken = BALANCED in set(study.results["measure"])
    return ["accuracy", "accuracy_last_epoch", *([BALANCED] if taken else [])]


def load_published() -> pd.DataFrame:
    """Accuracies (%) of other methods as published: method, dataset, network, time_steps, accuracy, source."""
    with files("snn2ann.report").joinpath("published.csv").open(encoding="utf-8") as file:
        return pd.read_csv(file)


def _measured(study: StudyData) -> list[Values]:
    rows = []
    for cell in study.cells:
        row = {"origin": "this study"} | identity(study, cell)
        for measure in _measures(study):
            row |= estimate_columns(measure, interval_of(measure, study.values(cell, measure)))
        rows.append(row)
    return rows


def _other(origin: str, **labels: Any) -> Values:
    empty = dict.fromkeys(("variant", "mapping_unit", "ata", "setting"), "")
    estimates = estimate_columns("accuracy", EMPTY) | estimate_columns("accuracy_last_epoch", EMPTY)
    return {"origin": origin} | empty | {"training_time_steps": None} | estimates | labels


def _paper() -> list[Values]:
    return [
        _other(
            "the paper",
            dataset=dataset,
            network=network,
            method="snn2ann",
            time_steps=None,
            status="not at hand",
            note="not at hand: the paper's own cells are not known to this project",
        )
        for dataset, network in PAPER_CELLS
    ]


def _published() -> list[Values]:
    return [
        _other(
            "published",
            dataset=each["dataset"],
            network=each["network"],
            method=each["method"],
            time_steps=each["time_steps"],
            status="published",
            note=each["source"],
            accuracy_mean=each["accuracy"] / 100,
        )
        for each in load_published().to_dict("records")
    ]
