"""Data and strokes that several figures share: means over seeds with their bands."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

from snn2ann.report.configurations import Configuration
from snn2ann.report.figures.style import Look, line_handle
from snn2ann.report.statistics import interval_of
from snn2ann.report.study_data import Cell, StudyData
from snn2ann.runs.records import Values

ENDS = ("mean", "low", "high")
RANGE = ("least", "greatest")
LABELS = [
    "dataset",
    "network",
    "configuration",
    "method",
    "variant",
    "mapping_unit",
    "ata",
    "setting",
    "training_time_steps",
]


def labels(study: StudyData, dataset: str, network: str, each: Configuration) -> Values:
    """The columns that say to which line a point belongs."""
    return {
        "dataset": dataset,
        "network": network,
        "configuration": study.label(each),
        "method": each.method,
        "variant": each.variant,
        "mapping_unit": each.mapping_unit,
        "ata": each.ata,
        "setting": each.setting,
        "training_time_steps": each.training_time_steps,
    }


def over_time_steps(study: StudyData, measures: list[str]) -> pd.DataFrame:
    """For each line and T each measure over seeds: `LABELS`, time_steps, <measure>_ with `ENDS` and `RANGE`, n."""
    rows = []
    for dataset, network in study.places:
        for each in study.configurations:
            for steps in [None, *study.evaluated_time_steps]:
                cell = Cell(dataset, network, each, steps)
                accuracy = study.values(cell, "accuracy")
                if accuracy.empty:
                    continue
                row = labels(study, dataset, network, each) | {
                    "time_steps": steps,
                    "n": len(accuracy),
                }
                for measure in measures:
                    values = study.values(cell, measure)
                    estimate = interval_of(measure, values)
                    row |= {f"{measure}_{end}": getattr(estimate, end) for end in ENDS}
                    row |= {f"{measure}_least": values.min(), f"{measure}_greatest": values.max()}
                rows.append(row)
    ends = [f"{measure}_{end}" for measure in measures for end in (*ENDS, *RANGE)]
    frame = pd.DataFrame(rows, columns=[*LABELS, "time_steps", *ends, "n"])
    return frame.astype({"time_steps": "Int64", "training_time_steps": "Int64"})


def of_line(frame: pd.DataFrame, study: StudyData, place: tuple[str, str], each: Configuration) -> pd.DataFrame:
    """The rows of one line."""
    here = (frame["dataset"] == place[0]) & (frame["network"] == place[1])
    return frame[here & (frame["configuration"] == study.label(each))]


def line_handles(study: StudyData, data: pd.DataFrame, look: Mapping[Configuration, Look]) -> list[Line2D]:
    """Entries of the legend: each configuration that is drawn, as trained."""
    drawn = set(data["configuration"])
    shown = [each for each in study.configurations if study.label(each) in drawn]
    return [line_handle(look[each], study.label(each)) for each in uncalibrated(shown)]


def band(axes: Axes, x: pd.Series, low: pd.Series, high: pd.Series, look: Look, alpha: float = 0.15) -> None:
    """From `low` to `high`; nothing where there is one seed."""
    known = low.notna() & (high > low)
    if known.any():
        axes.fill_between(x[known], low[known], high[known], color=look.colour, alpha=alpha, linewidth=0)


_ERROR_OFFSET = 0.5  # percentage points: keeps an accuracy of 100 % at a finite place


def accuracy_axis(axes: Axes, values: pd.Series, ends: pd.Series, span: float = 60.0) -> None:
    """Scale an axis of accuracy (%) by the logarithm of the error, so that 98 and 99 are as far apart as 90 and 95.

    It begins where the differences that matter can be seen: at the least of `values`, but not more than `span` points
    below the largest; it ends above the upper `ends` of intervals.
    """
    known = values.dropna()
    lowest, highest = (float(known.min()), float(known.max())) if len(known) else (0.0, 100.0)
    bottom = max(0.0, lowest - 0.1 * (100 - lowest), highest - span)
    top = max(highest, float(ends.max())) if ends.notna().any() else highest
    top = min(100.0, top + 0.1 * (100 - top) + 0.1)
    axes.set_yscale("function", functions=(_stretch, _unstretch))
    axes.set_ylim(bottom, top)
    ticks = [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 97, 98, 99, 99.5, 100]
    seen = _thin([tick for tick in ticks if bottom <= tick <= top], bottom, top)
    axes.yaxis.set_major_locator(FixedLocator(seen))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_locator(NullLocator())


def _thin(ticks: list[float], bottom: float, top: float) -> list[float]:
    """Leave out ticks that stand closer than a label's height."""
    height = float(_stretch(np.array(top)) - _stretch(np.array(bottom)))
    kept: list[float] = []
    for tick in reversed(ticks):
        if not kept or _stretch(np.array(kept[-1])) - _stretch(np.array(tick)) > 0.07 * height:
            kept.append(tick)
    return kept[::-1]


def _stretch(accuracy: np.ndarray) -> np.ndarray:
    return -np.log10(np.maximum(100 + _ERROR_OFFSET - accuracy, 1e-6))


def _unstretch(place: np.ndarray) -> np.ndarray:
    return 100 + _ERROR_OFFSET - 10.0**-place


def uncalibrated(configurations: list[Configuration]) -> list[Configuration]:
    """Each configuration as trained, once."""
    return list(dict.fromkeys(each.trained for each in configurations))
