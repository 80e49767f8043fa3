"""Test accuracy of every method at every number of time steps, as trained and after calibration."""

from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from snn2ann.report.configurations import Configuration
from snn2ann.report.figures.curves import accuracy_axis, band, line_handles, of_line, over_time_steps
from snn2ann.report.figures.style import (
    WIDTH,
    Drawing,
    Look,
    at_place,
    empty_drawing,
    hollow_handle,
    legend_below,
    looks,
    place_title,
    say,
)
from snn2ann.report.selection import without_ablation
from snn2ann.report.study_data import StudyData


def accuracy_over_time_steps(study: StudyData) -> Drawing:
    """A row of panels for each data set and network; bands span the seeds."""
    study = without_ablation(study, calibrated=True)
    data = over_time_steps(study, ["accuracy"])
    if data.empty:
        return empty_drawing(f"no results yet: {study.command}", list(data.columns))
    calibrated = any(each.calibrated for each in study.configurations)
    titles = ["as trained", "after calibration"] if calibrated else ["as trained"]
    rows = len(study.places)
    size = (WIDTH, 2.4 * rows + 1.0)
    figure, grid = plt.subplots(
        rows,
        len(titles),
        figsize=size,
        layout="constrained",
        squeeze=False,
        sharex=True,
        sharey="row",
    )
    look = looks(study)
    for place, line in zip(study.places, grid, strict=True):
        for title, axes in zip(titles, line, strict=True):
            _panel(axes, study, data, place, _shown(study, title == "after calibration"), look)
            axes.set_title(f"{place_title(*place)}: {title}")
        line[0].set_ylabel("Test accuracy (%, log-error scale)")
    for axes in grid[-1]:
        axes.set_xlabel("Time steps T of the evaluation")
    legend_below(
        figure,
        [*line_handles(study, data, look), _marked_handle(), *([hollow_handle()] if calibrated else [])],
        columns=3,
    )
    return Drawing(figure, data)


def _shown(study: StudyData, after: bool) -> list[Configuration]:
    """Lines of a panel: after calibration the methods that can't be calibrated stay for comparison."""
    if not after:
        return [each for each in study.configurations if not each.calibrated]
    can = {each.trained for each in study.configurations if each.calibrated}
    return [each for each in study.configurations if each.calibrated or each not in can]


def _panel(
    axes: Axes,
    study: StudyData,
    data: pd.DataFrame,
    place: tuple[str, str],
    shown: list[Configuration],
    look: dict[Configuration, Look],
) -> None:
    drawn = False
    for each in shown:
        rows = of_line(data, study, place, each)
        drawn |= len(rows) > 0
        _line(axes, rows, look[each], each)
    if not drawn:
        say(axes, f"not run: {study.command}")
        return
    here = at_place(data, place)
    accuracy_axis(axes, 100 * here["accuracy_mean"], 100 * here["accuracy_greatest"])
    axes.set_xticks(study.evaluated_time_steps[:1] + [t for t in study.evaluated_time_steps if t % 2 == 0])


def _line(axes: Axes, rows: pd.DataFrame, look: Look, each: Configuration) -> None:
    flat = rows[rows["time_steps"].isna()]
    if len(flat):
        axes.axhline(
            100 * float(flat["accuracy_mean"].iloc[0]),
            color=look.colour,
            linestyle=look.line,
            linewidth=1,
        )
    rows = rows[rows["time_steps"].notna()].astype({"time_steps": int})
    if rows.empty:
        return
    axes.plot(rows["time_steps"], 100 * rows["accuracy_mean"], markersize=3, **_without_size(look))
    band(axes, rows["time_steps"], 100 * rows["accuracy_least"], 100 * rows["accuracy_greatest"], look, 0.1)
    mark = rows[rows["time_steps"] == each.training_time_steps]
    axes.plot(
        mark["time_steps"],
        100 * mark["accuracy_mean"],
        linestyle="",
        marker="o",
        markersize=8,
        markerfacecolor="none",
        markeredgecolor=look.colour,
        zorder=5,
    )


def _without_size(look: Look) -> dict[str, Any]:
    return look.line_keywords() | {"linewidth": 1.1, "markeredgewidth": 0.7}


def _marked_handle() -> Line2D:
    marked: dict[str, Any] = {"marker": "o", "markersize": 8, "markerfacecolor": "none", "color": "black"}
    return Line2D([], [], linestyle="", label="training T", **marked)
