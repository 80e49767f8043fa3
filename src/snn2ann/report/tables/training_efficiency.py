"""Time of a training step and an epoch, and memory, with ratios (paper, evaluation section 2)."""

import math
from typing import Any

import pandas as pd

from snn2ann.report.configurations import method_name, network_name
from snn2ann.report.measured_cost import Cost, costs, find_cost, several
from snn2ann.report.selection import Comparison, comparison, find_cell
from snn2ann.report.statistics import EMPTY, Estimate, mean_interval, paired_ratio
from snn2ann.report.study_data import Cell, StudyData
from snn2ann.report.table import (
    NOTHING,
    Column,
    Row,
    Table,
    estimate_columns,
    interval,
    number,
    plus_minus_text,
    text,
)
from snn2ann.report.tables.cell_columns import missing_notes, note, status
from snn2ann.runs.records import Values

MEBIBYTE = 1 / 2**20
RATIOS = ("to_ann", "to_reference", "to_equal_time_steps")


def training_efficiency(study: StudyData) -> Table:
    """A row for each method and T of the measurement of a step, then one for the epochs of each configuration."""
    sides = comparison(study)
    measured = costs(study.cost) if study.cost is not None else []
    rows = [_step_row(cost, measured, sides) for cost in measured]
    rows += [_epoch_row(study, cell, sides) for cell in _training_cells(study)]
    reference = f"{method_name(sides.reference['method'])} T={sides.reference['training_time_steps']}"
    return Table(
        title="Training efficiency",
        caption="Time of one training step (median, quartiles) with all methods alternating in one process, and of "
        "one epoch of the study's own runs (mean over seeds). Ratios are geometric means over paired rounds "
        f"or seeds with 95 % t-intervals of the log ratio: to the ANN, to {reference}, and to "
        f"{method_name(sides.reference['method'])} at the same T. Epochs may have shared the machine with "
        "other jobs; steps did not.",
        frame=pd.DataFrame(rows),
        columns=_columns(reference),
        notes=[*_cost_notes(study, measured), *missing_notes(study)],
        group=lambda row: (row["measured"], row["dataset"], row["network"]),
    )


def _columns(reference: str) -> list[Column]:
    same = f"{reference.rsplit(' ', 1)[0]} same T"
    return [
        text("measured"),
        text("dataset"),
        Column("Network", lambda row: network_name(row["network"])),
        text("configuration", header="Method"),
        text("time_steps", "r", "T"),
        Column("Seconds", _seconds, "r"),
        interval("Time / ANN", "time_to_ann"),
        interval(f"Time / {reference}", "time_to_reference"),
        interval(f"Time / {same}", "time_to_equal_time_steps"),
        Column("Saved for backward (MiB)", lambda row: _mebibytes(row["saved_bytes"]), "r"),
        interval("Saved / ANN", "saved_to_ann", 3),
        interval(f"Saved / {reference}", "saved_to_reference", 3),
        interval(f"Saved / {same}", "saved_to_equal_time_steps", 3),
        Column("Peak (MiB)", lambda row: _mebibytes(row["peak_bytes"]), "r"),
        interval("Peak / ANN", "peak_to_ann", 3),
        interval(f"Peak / {reference}", "peak_to_reference", 3),
        interval(f"Peak / {same}", "peak_to_equal_time_steps", 3),
        text("samples", "r", "Rounds or seeds"),
        text("note", "p"),
    ]


def _step_row(cost: Cost, measured: list[Cost], sides: Comparison) -> Values:
    seconds = cost.series("seconds")
    low, middle, high = (float(seconds.quantile(each)) for each in (0.25, 0.5, 0.75))
    row: Values = {
        "measured": "training step",
        "dataset": "",
        "network": cost.network,
        "method": cost.method,
        "configuration": cost.label(several(measured, "variant")),
        "time_steps": cost.time_steps,
        "seconds": middle,
        "seconds_low": low,
        "seconds_high": high,
        "samples": len(seconds),
        "saved_bytes": _median(cost.series("saved_bytes")),
        "peak_bytes": _median(cost.series("peak_bytes")),
        "status": "measured",
        "note": ", ".join(part for part in (cost.library, f"batch {cost.batch_size}") if part),
    }
    others = _others(cost, measured, sides)
    for ratio, other in zip(RATIOS, others, strict=True):
        row |= estimate_columns(f"time_{ratio}", _ratio(cost, other, "seconds"))
        row |= estimate_columns(f"saved_{ratio}", _ratio(cost, other, "saved_bytes"))
        row |= estimate_columns(f"peak_{ratio}", _ratio(cost, other, "peak_bytes"))
    return row


def _others(cost: Cost, measured: list[Cost], sides: Comparison) -> list[Cost | None]:
    equal = {**sides.reference, "training_time_steps": cost.time_steps}
    return [
        find_cost(measured, cost.network, {"method": "ann"}),
        find_cost(measured, cost.network, sides.reference),
        find_cost(measured, cost.network, equal) if cost.time_steps else None,
    ]


def _ratio(cost: Cost, other: Cost | None, measure: str) -> Estimate:
    return EMPTY if other is None else paired_ratio(cost.series(measure), other.series(measure))


def _training_cells(study: StudyData) -> list[Cell]:
    """One cell for each configuration that is trained; calibration and T of the evaluation cost no training."""
    cells: dict[tuple[Any, ...], Cell] = {}
    for cell in study.cells:
        if not cell.configuration.calibrated:
            cells.setdefault((cell.dataset, cell.network, cell.configuration), cell)
    return list(cells.values())


def _epoch_row(study: StudyData, cell: Cell, sides: Comparison) -> Values:
    seconds = _epoch_seconds(study, cell)
    mean = mean_interval(seconds)
    row: Values = {
        "measured": "epoch",
        "dataset": cell.dataset,
        "network": cell.network,
        "method": cell.configuration.method,
        "configuration": study.label(cell.configuration),
        "time_steps": cell.configuration.training_time_steps,
        "seconds": mean.mean,
        "seconds_low": mean.low,
        "seconds_high": mean.high,
        "samples": mean.n or None,
        "saved_bytes": None,
        "peak_bytes": None,
        "status": status(study, cell),
        "note": note(study, cell) or ("" if mean.n else "not trained by itself"),
    }
    place = (cell.dataset, cell.network)
    steps = cell.configuration.training_time_steps
    equal = {**sides.reference, "training_time_steps": steps} if steps else None
    for ratio, wanted in zip(RATIOS, ({"method": "ann"}, sides.reference, equal), strict=True):
        other = find_cell(study, place, wanted) if wanted else None
        estimate = EMPTY if other is None else paired_ratio(seconds, _epoch_seconds(study, other))
        row |= estimate_columns(f"time_{ratio}", estimate)
        row |= estimate_columns(f"saved_{ratio}", EMPTY) | estimate_columns(f"peak_{ratio}", EMPTY)
    return row


def _epoch_seconds(study: StudyData, cell: Cell) -> pd.Series:
    return study.values(cell, "epoch_seconds", "train")


def _cost_notes(study: StudyData, measured: list[Cost]) -> list[str]:
    if not study.content.get("training_cost"):
        return ["The study names no measurement of a training step (`training_cost` is empty)."]
    if not measured:
        return [f"The measurement of a training step is not there: `{study.command}`"]
    machines = {(cost.device, cost.threads) for cost in measured}
    where = "; ".join(f"{device}, {threads} threads" for device, threads in sorted(machines))
    return [f"Training steps were measured on {where}; bytes saved for backward do not depend on the machine."]


def _median(values: pd.Series) -> float | None:
    return float(values.median()) if len(values) else None


def _seconds(row: Row) -> str:
    middle, low, high = (float(row[key]) for key in ("seconds", "seconds_low", "seconds_high"))
    if math.isnan(middle):
        return "not run" if row["status"] == "not run" else NOTHING
    digits = 3 if middle < 10 else 1
    if row["measured"] == "training step":
        return f"{number(middle, digits)} ({number(low, digits)}–{number(high, digits)})"
    return plus_minus_text(middle, high, digits)


def _mebibytes(value: float | None) -> str:
    return NOTHING if value is None or pd.isna(value) else number(value * MEBIBYTE, 1)
