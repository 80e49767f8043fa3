"""Loss and validation accuracy over epochs and over wall time (paper, evaluation section 2)."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from snn2ann.report.configurations import Configuration
from snn2ann.report.figures.curves import ENDS, LABELS, accuracy_axis, band, labels, of_line, uncalibrated
from snn2ann.report.figures.style import (
    WIDTH,
    Drawing,
    Look,
    empty_drawing,
    legend_below,
    line_handle,
    looks,
    place_title,
    say,
)
from snn2ann.report.results import try_read
from snn2ann.report.run_files import read_history
from snn2ann.report.statistics import summarise
from snn2ann.report.study_data import StudyData

MEASURES = ("train_loss", "validation_accuracy", "seconds")


def convergence(study: StudyData) -> Drawing:
    """Three panels for each data set and network; bands are 95 % intervals over seeds."""
    data = _data(study)
    if data.empty:
        return empty_drawing(f"no histories yet: {study.command}", list(data.columns))
    rows = len(study.places)
    figure, grid = plt.subplots(rows, 3, figsize=(WIDTH, 2.1 * rows + 0.9), layout="constrained", squeeze=False)
    look = looks(study)
    shown = [each for each in uncalibrated(study.configurations) if study.label(each) in set(data["configuration"])]
    for place, line in zip(study.places, grid, strict=True):
        _row(line, study, data, place, shown, look)
    for axes, words in zip(grid[-1], ("Epoch", "Epoch", "Training time (s)"), strict=True):
        axes.set_xlabel(words)
    legend_below(figure, [line_handle(look[each], study.label(each)) for each in shown], columns=3)
    return Drawing(figure, data)


def _data(study: StudyData) -> pd.DataFrame:
    """Mean over seeds at each epoch; epochs that only some seeds reached have a smaller n."""
    frames = []
    for run in study.runs:
        if not (run.folder / "history.csv").exists():
            continue
        history = try_read(read_history, run.folder, study.problems)
        if history is not None and len(history):
            told = labels(study, run.dataset, run.network, run.configuration)
            frames.append(history[["epoch", *MEASURES]].assign(**told))
    if not frames:
        return pd.DataFrame(columns=[*LABELS, "epoch"])
    together = pd.concat(frames).astype({"training_time_steps": "Int64", "epoch": int})
    by = [*LABELS, "epoch"]
    parts = [
        summarise(together, by, measure).rename(columns={end: f"{measure}_{end}" for end in ENDS}).set_index([*by, "n"])
        for measure in MEASURES
    ]
    return pd.concat(parts, axis=1).reset_index()


def _row(
    line: list[Axes],
    study: StudyData,
    data: pd.DataFrame,
    place: tuple[str, str],
    shown: list[Configuration],
    look: dict[Configuration, Look],
) -> None:
    here = data[(data["dataset"] == place[0]) & (data["network"] == place[1])]
    if here.empty:
        for axes in line:
            say(axes, "not run")
        return
    panels = (
        ("epoch", "train_loss", 1),
        ("epoch", "validation_accuracy", 100),
        ("seconds_mean", "validation_accuracy", 100),
    )
    for axes, (x, measure, factor) in zip(line, panels, strict=True):
        for each in shown:
            rows = of_line(data, study, place, each)
            _curve(axes, rows, (x, measure, factor), look[each])
    for axes in line[1:]:
        accuracy_axis(axes, 100 * here["validation_accuracy_mean"], 100 * here["validation_accuracy_high"])
        axes.set_ylabel("Validation accuracy (%)")
    line[0].set_yscale("log")
    line[0].set_ylabel("Training loss")
    line[1].set_title(place_title(*place))
    line[2].set_xlim(0, 1.04 * float(here["seconds_mean"].max()))
    for axes in line[:2]:
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))


def _curve(axes: Axes, rows: pd.DataFrame, panel: tuple[str, str, int], look: Look) -> None:
    if rows.empty:
        return
    x, measure, factor = panel
    every = max(1, len(rows) // 5)
    keywords = look.line_keywords() | {"markersize": 3.2, "linewidth": 1.1}
    axes.plot(rows[x], factor * rows[f"{measure}_mean"], markevery=(every - 1, every), **keywords)
    low, high = factor * rows[f"{measure}_low"], factor * rows[f"{measure}_high"]
    positive = low.clip(lower=float(rows[f"{measure}_mean"].min()) * factor / 3)
    band(axes, rows[x], positive, high, look, 0.1)
