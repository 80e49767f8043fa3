"""Whether the relatives come as near to what they are measured by as their own papers have it."""

from collections.abc import Iterator
from dataclasses import replace

import pandas as pd

from snn2ann.methods import METHODS, Bar
from snn2ann.report.selection import comparison, find_cell, one_cell_each
from snn2ann.report.statistics import EMPTY, paired_difference
from snn2ann.report.study_data import Cell, StudyData
from snn2ann.report.table import Column, Table, estimate_columns, interval, number, text
from snn2ann.report.tables.cell_columns import footnotes, identity, identity_columns, missing_notes
from snn2ann.report.verdicts import MISSED_OR_MET, difference_verdict
from snn2ann.runs.records import Values


def bars(study: StudyData) -> Table:
    """A row for each relative, network and bar."""
    rows = [_row(study, cell, bar) for cell, bar in _cells(study)]
    note, below = footnotes(rows)
    return Table(
        title="Relatives and their bars",
        caption="Test accuracy less that of the reference of the claims, or of the ANN whose weights the spiking network "
        "has, over paired seeds, with its 95 % t-interval. A bar is met where the whole interval is above it, missed where "
        "it is below it, and undecided where it lies in the interval.",
        frame=pd.DataFrame(rows),
        columns=[
            *identity_columns(),
            text("beside", header="Compared with"),
            Column("May lie below by (points)", lambda row: number(row["points"], 1), "r"),
            interval("Δ accuracy (points)", "accuracy_difference", 2, 100, sign=True),
            text("bar"),
            note,
        ],
        notes=[*below, *missing_notes(study)],
        group=lambda row: (row["dataset"], row["network"]),
    )


def _cells(study: StudyData) -> Iterator[tuple[Cell, Bar]]:
    """Every configuration that has a bar, at the T that it is for."""
    for place in study.places:
        for cell in one_cell_each(study, place):
            entry = METHODS.get(cell.configuration.method)
            for bar in entry.relative.bars if entry and entry.relative else ():
                yield (cell if bar.time_steps is None else replace(cell, time_steps=bar.time_steps)), bar


def _row(study: StudyData, cell: Cell, bar: Bar) -> Values:
    accuracy, difference = study.values(cell, "accuracy"), EMPTY
    if bar.beside == "ANN":
        difference = paired_difference(accuracy, study.values(cell, "ann_branch_accuracy"))
    elif reference := find_cell(study, (cell.dataset, cell.network), comparison(study).reference):
        difference = paired_difference(accuracy, study.values(reference, "accuracy"))
    verdict = difference_verdict(difference.scaled(100), bar.points)[0]
    steps = comparison(study).reference["training_time_steps"]
    return {
        **identity(study, cell),
        "beside": "its ANN" if bar.beside == "ANN" else f"the reference, T = {steps}",
        "points": bar.points,
        **estimate_columns("accuracy_difference", difference),
        "bar": MISSED_OR_MET.get(verdict, verdict),
    }
