"""How many images of each class are recognised, and what the others are taken for."""

from typing import Any

import numpy as np
import pandas as pd

from snn2ann.report.confusions import confusion, confusion_cells
from snn2ann.report.study_data import Cell, StudyData
from snn2ann.report.table import Column, Row, Table, shown, text
from snn2ann.report.tables.cell_columns import identity, identity_columns, missing_notes
from snn2ann.runs.records import Values

# How many wrong answers a row names.
_NAMED = 3


def by_class(study: StudyData) -> Table:
    """A row a class for each configuration, over all seeds, at the T at which its branches are compared."""
    found = [row for cell in confusion_cells(study) for row in _rows(study, cell)]
    return Table(
        title="By class",
        caption="Test images of each class over all seeds, the share of them that is recognised, and the classes that most "
        "of the others are taken for, at the epoch that the recipe selects.",
        frame=pd.DataFrame(found),
        columns=[
            *identity_columns(),
            text("class"),
            text("images", "r"),
            Column("Recognised (%)", _percent, "r"),
            text("taken_for", "p", "Taken for"),
            text("note", "p"),
        ],
        notes=missing_notes(study),
        group=lambda row: (row["dataset"], row["network"], row["method"]),
    )


def _rows(study: StudyData, cell: Cell) -> list[Values]:
    found = confusion(study, cell)
    if found is None:
        empty = {"class": "", "images": None, "recognised": None, "taken_for": ""}
        return [identity(study, cell) | empty]
    names = found.names
    same = identity(study, cell) | {"time_steps": found.time_steps}
    return [
        same
        | {
            "class": names[number],
            "images": int(row.sum()),
            "recognised": float(row[number] / row.sum()) if row.sum() else None,
            "taken_for": _taken_for(row, number, names),
        }
        for number, row in enumerate(found.counts)
    ]


def _taken_for(row: Any, right: int, names: list[str]) -> str:
    wrong = [number for number in np.argsort(-row, kind="stable") if number != right and row[number]]
    parts = [f"{names[number]} {100 * row[number] / row.sum():.1f} %" for number in wrong[:_NAMED]]
    return ", ".join(parts) + (", ..." if len(wrong) > _NAMED else "")


def _percent(row: Row) -> str:
    value = row["recognised"]
    return shown(None) if value is None or np.isnan(value) else f"{100 * value:.2f}"
