"""The frontier: test accuracy against spikes per image and against energy, all methods at every T."""

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from snn2ann.report.configurations import Configuration
from snn2ann.report.figures.curves import accuracy_axis, line_handles, of_line, over_time_steps
from snn2ann.report.figures.style import (
    GREY,
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
from snn2ann.report.selection import comparison, find_cell, without_ablation
from snn2ann.report.study_data import StudyData

PANELS = (
    ("spikes_per_image", 1.0, "Spikes per image"),
    ("energy", 1e6, "Energy per image (µJ)"),
)


def accuracy_against_spikes(study: StudyData) -> Drawing:
    """Left: spikes; right: energy. A line joins a configuration's T from 1 up; the grey line is the frontier of all."""
    study = without_ablation(study)
    data = over_time_steps(study, ["accuracy", "spikes_per_image", "energy"])
    if data.empty:
        return empty_drawing(f"no results yet: {study.command}", list(data.columns))
    rows = len(study.places)
    figure, grid = plt.subplots(
        rows,
        2,
        figsize=(WIDTH, 2.75 * rows + 1.1),
        layout="constrained",
        squeeze=False,
        sharey="row",
        sharex="col",
    )
    look = looks(study)
    for place, line in zip(study.places, grid, strict=True):
        for axes, (measure, factor, _) in zip(line, PANELS, strict=True):
            _panel(axes, study, data, place, (measure, factor), look)
            axes.set_title(place_title(*place))
        line[0].set_ylabel("Test accuracy (%, log-error scale)")
    for column, (measure, factor, words) in zip(grid.T, PANELS, strict=True):
        column[-1].set_xlabel(words)
        _shared_axis(
            column,
            [factor * _shown(axes, data, each, measure) for axes, each in zip(column, study.places, strict=True)],
        )
    handles = line_handles(study, data, look)
    if data["ata"].str.contains("calibration").any():
        handles.append(hollow_handle())
    legend_below(figure, [*handles, *_frontier_handles()], columns=3)
    return Drawing(figure, data)


def _panel(
    axes: Axes,
    study: StudyData,
    data: pd.DataFrame,
    place: tuple[str, str],
    panel: tuple[str, float],
    look: dict[Configuration, Look],
) -> None:
    here = at_place(data, place)
    if here.empty:
        say(axes, f"not run: {study.command}")
        return
    measure, factor = panel
    points = here.dropna(subset=[f"{measure}_mean"])
    _frontier(axes, factor * points[f"{measure}_mean"], 100 * points["accuracy_mean"])
    for each in study.configurations:
        rows = of_line(here, study, place, each)
        _line(axes, rows, panel, look[each], each)
    accuracy_axis(axes, 100 * here["accuracy_mean"], 100 * _ends_of_bars(here), 50)
    if len(points):
        axes.set_xscale("log")
        _time_step_words(axes, study, here, place, panel, look)
    _better(axes)


def _better(axes: Axes) -> None:
    axes.annotate(
        "better",
        xy=(0.02, 0.975),
        xytext=(0.13, 0.86),
        xycoords="axes fraction",
        color="#595959",
        fontsize=7,
        arrowprops={"arrowstyle": "->", "color": "#595959", "linewidth": 0.8},
    )


def _line(axes: Axes, rows: pd.DataFrame, panel: tuple[str, float], look: Look, each: Configuration) -> None:
    measure, factor = panel
    known = rows.dropna(subset=[f"{measure}_mean"])
    if known.empty:
        _level(axes, rows, look)
        return
    x, y = factor * known[f"{measure}_mean"], 100 * known["accuracy_mean"]
    keywords = look.line_keywords() | {"markersize": 2.6, "linewidth": 0.9, "markeredgewidth": 0.6}
    axes.plot(x, y, **keywords)
    own = known["time_steps"].isna() | (known["time_steps"] == each.training_time_steps)
    spread = known[own.fillna(False).astype(bool)]
    if spread.empty:
        return
    mean = spread["accuracy_mean"]
    ends = [mean - spread["accuracy_low"], spread["accuracy_high"] - mean]
    axes.errorbar(
        factor * spread[f"{measure}_mean"],
        100 * spread["accuracy_mean"],
        [100 * each.fillna(0) for each in ends],
        fmt=look.marker,
        color=look.colour,
        markersize=6,
        markerfacecolor="white" if look.hollow else look.colour,
        markeredgecolor="black" if not look.hollow else look.colour,
        markeredgewidth=0.8,
        elinewidth=0.8,
        zorder=5,
    )


def _ends_of_bars(here: pd.DataFrame) -> pd.Series:
    """Upper ends of the intervals that are drawn: those at the training T, and of methods without T."""
    steps = here["time_steps"]
    drawn = steps.isna() | (steps == here["training_time_steps"]).fillna(False)
    return here.loc[drawn.astype(bool), "accuracy_high"]


def _time_step_words(
    axes: Axes,
    study: StudyData,
    here: pd.DataFrame,
    place: tuple[str, str],
    panel: tuple[str, float],
    look: dict[Configuration, Look],
) -> None:
    """Say at the headline's line which T its first point, its training point and its last point are."""
    measure, factor = panel
    headline = find_cell(study, place, comparison(study).headline)
    if headline is None:
        return
    rows = of_line(here, study, place, headline.configuration).dropna(subset=["time_steps", f"{measure}_mean"])
    told = [rows["time_steps"].min(), rows["time_steps"].max(), headline.time_steps]
    colour = look[headline.configuration].colour
    for row in rows[rows["time_steps"].isin(told)].to_dict("records"):
        axes.annotate(
            f"T={row['time_steps']}",
            (factor * row[f"{measure}_mean"], 100 * row["accuracy_mean"]),
            xytext=(-18, 12),
            textcoords="offset points",
            ha="center",
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 3},
            fontsize=6.5,
            color=colour,
            path_effects=[withStroke(linewidth=2, foreground="white")],
            zorder=6,
        )


def _level(axes: Axes, rows: pd.DataFrame, look: Look) -> None:
    """A method without this cost (an ANN has no spikes) is a level to compare with."""
    if len(rows):
        axes.axhline(
            100 * float(rows["accuracy_mean"].iloc[0]),
            color=look.colour,
            linewidth=0.9,
            linestyle=look.line,
        )


def _frontier(axes: Axes, cost: pd.Series, accuracy: pd.Series) -> None:
    """The largest accuracy that any point reaches at a cost or less."""
    order = np.argsort(cost.to_numpy(), kind="stable")
    x, y = cost.to_numpy()[order], accuracy.to_numpy()[order]
    best = [place for place in range(len(y)) if place == 0 or y[place] > y[:place].max()]
    axes.step(x[best], y[best], where="post", color="#bdbdbd", linewidth=5, alpha=0.7, zorder=0)


def _frontier_handles() -> list[Line2D]:
    """What is marked and the grey line; made with each figure, for a line has the style of when it is made."""
    marked: dict[str, Any] = {"marker": "o", "markersize": 7, "markerfacecolor": GREY, "markeredgecolor": "black"}
    return [
        Line2D([], [], linestyle="", label="at training T", **marked),
        Line2D([], [], color="#bdbdbd", linewidth=5, alpha=0.7, label="best accuracy for the cost"),
    ]


def _shown(axes: Axes, data: pd.DataFrame, place: tuple[str, str], measure: str) -> pd.Series:
    """The costs of a panel's points that its accuracy axis reaches down to."""
    here = at_place(data, place)
    return here.loc[100 * here["accuracy_mean"] >= axes.get_ylim()[0], f"{measure}_mean"].dropna()


def _shared_axis(column: Sequence[Axes], costs: Sequence[pd.Series]) -> None:
    """Limits that hold every panel's costs, with room for the words at the first point."""
    logarithmic = [axes for axes in column if axes.get_xscale() == "log"]
    known = pd.concat(costs)
    if logarithmic and len(known):
        logarithmic[0].set_xlim(known.min() / 1.8, known.max() * 1.3)
    for axes in logarithmic:
        _plain_ticks(axes)


def _plain_ticks(axes: Axes) -> None:
    """Powers of ten, with twice and five times as much where there is room, as plain numbers."""
    low, high = axes.get_xlim()
    steps = (1, 2, 5) if high < low * 1e3 else (1,)
    ticks = [step * 10.0**power for power in range(-6, 10) for step in steps]
    axes.set_xticks([tick for tick in ticks if low <= tick <= high])
    axes.set_xticks([], minor=True)
    axes.xaxis.set_major_formatter(lambda value, _: _short(value))


def _short(value: float) -> str:
    """20000 as 20k, 3000000 as 3M; the axis says what is counted."""
    for unit, word in ((1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:g}{word}"
    return f"{value:g}"
