"""How many images of each class are recognised, and what the others are taken for."""

from typing import Any

import numpy as np
import pandas as pd

from snn2ann.errors import UserError
from snn2ann.files import read_json
from snn2ann.report.study_data import Cell, Run, StudyData
from snn2ann.report.table import Column, Row, Table, shown, text
from snn2ann.report.tables.cell_columns import identity, identity_columns, missing_notes
from snn2ann.runs.problems import try_read
from snn2ann.runs.reading import read_evaluation

# How many wrong answers a row names.
_NAMED = 3


def by_class(study: StudyData) -> Table:
    """A row a class for each configuration, over all seeds, at the T at which its branches are compared."""
    found = [row for cell in _cells(study) for row in _rows(study, cell)]
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


def _cells(study: StudyData) -> list[Cell]:
    """A cell for each configuration: answers are counted by class at one T."""
    found: dict[Any, Cell] = {}
    for cell in study.cells:
        found.setdefault((cell.dataset, cell.network, cell.configuration), cell)
    return list(found.values())


def _rows(study: StudyData, cell: Cell) -> list[dict[str, Any]]:
    counted = [each for run in study.runs_of(cell) if (each := _confusion(study, cell, run)) is not None]
    if not counted:
        empty = {"class": "", "images": None, "recognised": None, "taken_for": ""}
        return [identity(study, cell) | empty]
    matrix, steps = np.sum([matrix for matrix, _ in counted], axis=0), counted[0][1]
    names = _class_names(study, cell, len(matrix))
    same = identity(study, cell) | {"time_steps": steps}
    return [
        same
        | {
            "class": names[number],
            "images": int(row.sum()),
            "recognised": float(row[number] / row.sum()) if row.sum() else None,
            "taken_for": _taken_for(row, number, names),
        }
        for number, row in enumerate(matrix)
    ]


def _confusion(study: StudyData, cell: Cell, run: Run) -> tuple[Any, int | None] | None:
    """A run's counts on the test images [classes, classes], and their T; None where there are none."""
    path = run.folder / run.evaluation
    entries = try_read(read_evaluation, path, study.problems) if path.exists() else None
    thresholds = "calibrated" if "calibration" in cell.configuration.ata else "trained"
    for entry in entries or []:
        wanted = (entry["checkpoint"], entry["split"], entry["thresholds"]) == ("selected", "test", thresholds)
        if wanted and "confusion" in entry:
            return np.array(entry["confusion"]), entry["confusion_time_steps"] if entry["time_steps"] else None
    return None


def _class_names(study: StudyData, cell: Cell, classes: int) -> list[str]:
    """Of the prepared data, where they are still there; else numbers."""
    for path in sorted(study.folder.parent.parent.glob(f"data/{cell.dataset}-*/manifest.json")):
        try:
            names = read_json(path)["class_names"]
        except (UserError, KeyError, TypeError):
            continue
        if len(names) == classes:
            return [str(name) for name in names]
    return [str(number) for number in range(classes)]


def _taken_for(row: Any, right: int, names: list[str]) -> str:
    wrong = [number for number in np.argsort(-row, kind="stable") if number != right and row[number]]
    parts = [f"{names[number]} {100 * row[number] / row.sum():.1f} %" for number in wrong[:_NAMED]]
    return ", ".join(parts) + (", ..." if len(wrong) > _NAMED else "")


def _percent(row: Row) -> str:
    value = row["recognised"]
    return shown(None) if value is None or np.isnan(value) else f"{100 * value:.2f}"
