"""What a study is to show beyond the paper's claims, and whether it does."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from snn2ann.report.configurations import network_name
from snn2ann.report.selection import find_cell
from snn2ann.report.statistics import EMPTY, Estimate, mean_interval, paired_difference, paired_ratio
from snn2ann.report.study_data import Cell, StudyData
from snn2ann.report.table import Column, Row, Table, estimate_columns, interval_text, number, text
from snn2ann.report.tables.cell_columns import footnotes, missing_notes, note, status
from snn2ann.report.verdicts import MISSED_OR_MET, difference_verdict, ratio_verdict
from snn2ann.runs.records import Values


@dataclass(frozen=True)
class Measure:
    """A measure that an aim may be about.

    Attributes:
        column: its name in results.csv.
        words: in a table.
        estimate: of the seeds' values and of those compared with.
        is_difference: in accuracy, which is to be above the limit; else what is to be at most that.
    """

    column: str
    words: str
    estimate: Callable[[pd.Series, pd.Series], Estimate]
    is_difference: bool = False


MEASURES = {
    "accuracy": Measure(
        "accuracy", "Δ accuracy (points)", lambda one, other: paired_difference(100 * one, 100 * other), True
    ),
    "spikes": Measure("spikes_per_image", "× spikes", paired_ratio),
    "operations": Measure("synaptic_operations", "× synaptic operations", paired_ratio),
    "noise": Measure("noisy_spike_rate_maximum", "noisiest layer's rate", lambda one, _: mean_interval(one)),
}

SIDES = ("of", "beside")


def aims(study: StudyData) -> Table:
    """A row for each aim and network that has runs of what it is about."""
    rows = [row for number, aim in enumerate(study.settings.get("aims", [])) for row in _rows(study, number, aim)]
    notes, below = footnotes(rows)
    return Table(
        title="Aims",
        caption="What this study is to show beyond the paper's claims: test accuracy, spikes and synaptic operations over "
        "paired seeds, with the 95 % t-interval; ratios are geometric means. An aim is met where the whole interval is on "
        "its side of the limit, missed where it is on the other, and undecided where the limit lies in the interval.",
        frame=pd.DataFrame(rows),
        columns=[
            text("method", header="Of"),
            text("beside"),
            text("dataset"),
            Column("Network", lambda row: network_name(row["network"])),
            text("measure"),
            Column("Limit", _limit_text, "r"),
            Column("Measured", _measured_text, "r"),
            text("measured_n", "r", "n"),
            text("aim"),
            notes,
        ],
        notes=[*below, *missing_notes(study)],
        group=lambda row: row["number"],
    )


def _rows(study: StudyData, number: int, aim: Mapping[str, Any]) -> Iterator[Values]:
    measure = MEASURES[aim["measure"]]
    for place in study.places:
        cells = [cell for side in SIDES if side in aim and (cell := _cell(study, place, aim[side]))]
        if len(cells) < len(aim.keys() & SIDES):
            # This network has no such rows.
            continue
        values = [study.values(cell, measure.column) for cell in cells]
        estimate = measure.estimate(values[0], values[-1]) if all(len(each) for each in values) else EMPTY
        judge, limit = (difference_verdict, -aim["limit"]) if measure.is_difference else (ratio_verdict, aim["limit"])
        verdict = judge(estimate, limit)[0]
        yield {
            "number": number,
            "method": _words(study, cells[0]),
            "beside": "".join(_words(study, cell) for cell in cells[1:]),
            "dataset": place[0],
            "network": place[1],
            "measure": measure.words,
            "kind": aim["measure"],
            "limit": aim["limit"],
            **estimate_columns("measured", estimate),
            "aim": MISSED_OR_MET.get(verdict, verdict),
            "status": status(study, cells[0]),
            "note": next((note(study, cell) for cell in cells if note(study, cell)), ""),
        }


def _cell(study: StudyData, place: tuple[str, str], rows: Mapping[str, Any]) -> Cell | None:
    cell = find_cell(study, place, rows)
    return replace(cell, time_steps=rows["time_steps"]) if cell and "time_steps" in rows else cell


def _words(study: StudyData, cell: Cell) -> str:
    trained = cell.configuration.training_time_steps
    at = f", run at T={cell.time_steps}" if cell.time_steps not in (None, trained) else ""
    return study.label(cell.configuration) + at


def _limit_text(row: Row) -> str:
    if MEASURES[row["kind"]].is_difference:
        return f"> {number(row['limit'], 1)}"
    return f"≤ {row['limit']:g}"


def _measured_text(row: Row) -> str:
    mean, low, high = (row[f"measured_{end}"] for end in ("mean", "low", "high"))
    difference = MEASURES[row["kind"]].is_difference
    return interval_text(mean, low, high, 2 if difference else 3, sign=difference)
