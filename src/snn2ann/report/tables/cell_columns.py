"""Columns and notes that several tables share: what a row is about, and what of it has not been run."""

from collections.abc import Mapping, Sequence
from typing import Any

from snn2ann.report.configurations import mapping_unit_name, method_name, network_name
from snn2ann.report.study_data import Cell, StudyData
from snn2ann.report.table import Column, Row, interval, shown, text
from snn2ann.runs.records import Values

ATA_WORDS = {
    "none": "no",
    "training": "in training",
    "calibration": "calibration",
    "training+calibration": "in training + calibration",
}


def identity(study: StudyData, cell: Cell) -> Values:
    """The columns that say what a row is about."""
    each = cell.configuration
    return {
        "dataset": cell.dataset,
        "network": cell.network,
        "method": each.method,
        "variant": each.variant,
        "mapping_unit": each.mapping_unit,
        "ata": each.ata,
        "setting": each.setting,
        "training_time_steps": each.training_time_steps,
        "time_steps": cell.time_steps,
        "status": status(study, cell),
        "note": note(study, cell),
    }


def identity_columns() -> list[Column]:
    """How `identity` is shown, status and note excepted."""
    return [
        text("dataset"),
        Column("Network", lambda row: network_name(row["network"])),
        Column("Method", lambda row: method_name(row["method"])),
        text("variant"),
        Column("Mapping unit", lambda row: shown(mapping_unit_name(row["mapping_unit"]))),
        Column("Threshold adjustment", lambda row: ATA_WORDS.get(row["ata"], shown(row["ata"]))),
        text("setting", header="Other options"),
        text("training_time_steps", "r", "Training T"),
        text("time_steps", "r", "T"),
    ]


def status(study: StudyData, cell: Cell) -> str:
    """measured, partly run or not run: how many of the cell's runs have results."""
    made, named = len(study.values(cell, "accuracy")), len(study.runs_of(cell))
    return "not run" if made == 0 else "partly run" if made < named else "measured"


def note(study: StudyData, cell: Cell) -> str:
    """For runs that are not there, the command that makes them."""
    made, named = len(study.values(cell, "accuracy")), len(study.runs_of(cell))
    if made == 0 and not any(run.planned for run in study.runs_of(cell)):
        return f"not run: take `run: false` out of params.yaml, then `{study.command}`"
    if made == 0:
        return f"not run: `{study.command}`"
    return f"{named - made} of {named} seeds not run: `{study.command}`" if made < named else ""


def footnotes(rows: Sequence[Mapping[str, Any]], header: str = "Note") -> tuple[Column, list[str]]:
    """A column of marks for what the rows' `note` says, and the texts for below the table, each once.

    The source of a published row is short and stays in its cell.
    """
    texts = list(dict.fromkeys(row["note"] for row in rows if row["note"] and row["status"] != "published"))

    def render(row: Row) -> str:
        return f"[{texts.index(row['note']) + 1}]" if row["note"] in texts else shown(row["note"])

    return Column(header, render, "p" if header != "Note" else "l"), [
        f"[{place}] {text}" for place, text in enumerate(texts, start=1)
    ]


def accuracy_column(header: str) -> Column:
    """Accuracy in percent with its interval; in the place of what is not there, why."""
    measured = interval(header, "accuracy", 2, 100)

    def render(row: Row) -> str:
        return shown(row["status"]) if row["status"] in ("not run", "not at hand") else measured.render(row)

    return Column(header, render, "r")


def missing_notes(study: StudyData) -> list[str]:
    """A line that says how many runs have no results, if any."""
    if not study.missing:
        return []
    few = ", ".join(study.missing[:3]) + (", ..." if len(study.missing) > 3 else "")
    return [f"{len(study.missing)} of {len(study.planned_runs)} runs have no results ({few}): `{study.command}`"]
