"""Training loss and validation accuracy over epochs and over wall time (paper, evaluation section 2)."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from snn2ann.report.configurations import Configuration
from snn2ann.report.figures.curves import (
    ENDS,
    LABELS,
    accuracy_axis,
    band,
    labels,
    line_handles,
    of_line,
    uncalibrated,
)
from snn2ann.report.figures.style import (
    WIDTH,
    Drawing,
    Look,
    at_place,
    empty_drawing,
    legend_below,
    looks,
    place_title,
    say,
)
from snn2ann.report.selection import without_ablation
from snn2ann.report.statistics import mean_interval, share_interval, summarise
from snn2ann.report.study_data import StudyData
from snn2ann.runs.problems import try_read
from snn2ann.runs.reading import read_history

MEASURES = ("train_loss", "validation_accuracy", "seconds")
PANELS = (
    ("epoch", "train_loss", 1),
    ("seconds_mean", "train_loss", 1),
    ("epoch", "validation_accuracy", 100),
    ("seconds_mean", "validation_accuracy", 100),
)
X_WORDS = {"epoch": "Epoch", "seconds_mean": "Training time (s)"}


def convergence(study: StudyData) -> Drawing:
    """Four panels for each data set and network: loss and accuracy, by epoch and by time; bands span the seeds."""
    study = without_ablation(study)
    data = _data(study)
    if data.empty:
        return empty_drawing(f"no histories yet: {study.command}", list(data.columns))
    rows = len(study.places)
    size = (WIDTH, 2.1 * rows + 0.9)
    figure, grid = plt.subplots(rows, len(PANELS), figsize=size, layout="constrained", squeeze=False)
    look = looks(study)
    for place, line in zip(study.places, grid, strict=True):
        _row(line, study, data, place, look)
    for axes, (x, _, _) in zip(grid[-1], PANELS, strict=True):
        axes.set_xlabel(X_WORDS[x])
    legend_below(figure, line_handles(study, data, look), columns=3)
    return Drawing(figure, data)


def _data(study: StudyData) -> pd.DataFrame:
    """Over seeds at each epoch; epochs that only some seeds reached have a smaller n."""
    frames = []
    for run in study.planned_runs:
        if not run.files.history.exists():
            continue
        history = try_read(read_history, run.files.history, study.problems)
        if history is not None and len(history):
            told = labels(study, run.dataset, run.network, run.configuration)
            frames.append(history[["epoch", *MEASURES]].assign(**told))
    if not frames:
        return pd.DataFrame(columns=[*LABELS, "epoch"])
    together = pd.concat(frames).astype({"training_time_steps": "Int64", "epoch": int})
    by = [*LABELS, "epoch"]
    parts = [
        summarise(together, by, measure, share_interval if "accuracy" in measure else mean_interval)
        .rename(columns={end: f"{measure}_{end}" for end in ENDS})
        .set_index([*by, "n"])
        for measure in MEASURES
    ]
    groups = together.groupby(by, sort=False, dropna=False)
    for measure in MEASURES:
        ends = {f"{measure}_least": groups[measure].min(), f"{measure}_greatest": groups[measure].max()}
        parts.append(pd.DataFrame(ends).set_index(parts[0].index))
    return pd.concat(parts, axis=1).reset_index()


def _row(
    line: list[Axes], study: StudyData, data: pd.DataFrame, place: tuple[str, str], look: dict[Configuration, Look]
) -> None:
    here = at_place(data, place)
    if here.empty:
        for axes in line:
            say(axes, "not run")
        return
    for axes, panel in zip(line, PANELS, strict=True):
        for each in uncalibrated(study.configurations):
            _curve(axes, of_line(data, study, place, each), panel, look[each])
    for axes in line[:2]:
        axes.set_yscale("log")
        axes.set_ylabel("Training loss")
    for axes in line[2:]:
        accuracy_axis(axes, 100 * here["validation_accuracy_mean"], 100 * here["validation_accuracy_greatest"])
        axes.set_ylabel("Validation accuracy (%)")
    line[0].set_title(place_title(*place), loc="left")
    for axes, (x, _, _) in zip(line, PANELS, strict=True):
        if x == "epoch":
            axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        else:
            axes.set_xlim(0, 1.04 * float(here["seconds_mean"].max()))
    for axes in (line[1], line[3]):  # the same values once more, over time
        axes.set_ylabel("")


def _curve(axes: Axes, rows: pd.DataFrame, panel: tuple[str, str, int], look: Look) -> None:
    if rows.empty:
        return
    x, measure, factor = panel
    every = max(1, len(rows) // 5)
    keywords = look.line_keywords() | {"markersize": 3.2, "linewidth": 1.1}
    axes.plot(rows[x], factor * rows[f"{measure}_mean"], markevery=(every - 1, every), **keywords)
    band(axes, rows[x], factor * rows[f"{measure}_least"], factor * rows[f"{measure}_greatest"], look, 0.12)
