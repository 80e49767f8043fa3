"""What several figures show layer by layer: values of the evaluation, and panels with a line a configuration."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from snn2ann.report.configurations import Configuration
from snn2ann.report.figures.curves import LABELS, band, labels, line_handles, of_line
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
from snn2ann.report.statistics import interval_of, summarise
from snn2ann.report.study_data import Run, StudyData
from snn2ann.runs.problems import try_read
from snn2ann.runs.reading import read_evaluation
from snn2ann.runs.records import Values

COLUMNS = [*LABELS, "position", "layer", "mean", "low", "high", "n"]
LAYER_AXIS = "Layer, from input to output"
LayerValue = Callable[[Mapping[str, Any], Mapping[str, Any], Configuration], float | None]


def by_layer(study: StudyData, value: LayerValue, measure: str) -> pd.DataFrame:
    """Mean over seeds of `value(entry, layer, configuration)` on the test images, for each layer: `COLUMNS`.

    `measure` is what it is, by the name in results.csv, which says what interval it has.
    """
    rows: list[Values] = []
    for run in study.planned_runs:
        path = run.folder / run.evaluation
        entries = try_read(read_evaluation, path, study.problems) if path.exists() else None
        for entry in entries or []:
            calibrated = entry["thresholds"] == "calibrated"
            # A run whose calibration is left out of what is shown has it in its evaluation all the same.
            shown = run.calibration is not None or not calibrated
            if shown and (entry["checkpoint"], entry["split"]) == ("selected", "test"):
                rows += _layers(study, run, entry, value)
    if not rows:
        return pd.DataFrame(columns=COLUMNS)
    summary = summarise(pd.DataFrame(rows), [*LABELS, "position", "layer"], interval=partial(interval_of, measure))
    return summary.astype({"training_time_steps": "Int64"})


def _layers(study: StudyData, run: Run, entry: Mapping[str, Any], value: LayerValue) -> list[Values]:
    each = run.configurations[-1 if entry["thresholds"] == "calibrated" else 0]
    told = labels(study, run.dataset, run.network, each)
    rows = [
        told | {"position": number, "layer": layer["name"], "value": value(entry, layer, each)}
        for number, layer in enumerate(entry["layers"], start=1)
    ]
    return [row for row in rows if row["value"] is not None]


def layer_figure(study: StudyData, data: pd.DataFrame, words: str, factor: float = 1.0) -> Drawing:
    """A panel for each data set and network, two in a row; `words` name the value and its unit on the axis."""
    if data.empty:
        return empty_drawing(f"no run tells this yet: {study.command}", COLUMNS)
    across = min(2, len(study.places))
    rows = -(-len(study.places) // across)
    size = (WIDTH, 2.3 * rows + 1.0)
    figure, grid = plt.subplots(rows, across, figsize=size, layout="constrained", squeeze=False)
    look = looks(study)
    for axes in grid.flatten()[len(study.places) :]:
        axes.set_visible(False)
    for place, axes in zip(study.places, grid.flatten(), strict=False):
        lines(axes, study, data, place, "position", look, factor)
        number_layers(axes, data, place)
        axes.set_title(place_title(*place))
        axes.set_xlabel(LAYER_AXIS)
    for line in grid:
        line[0].set_ylabel(words)
    legend_below(figure, handles(study, data, look), columns=3)
    return Drawing(figure, data)


def lines(
    axes: Axes,
    study: StudyData,
    data: pd.DataFrame,
    place: tuple[str, str],
    x: str,
    look: Mapping[Configuration, Look],
    factor: float,
) -> None:
    """Draw every configuration that has values, with its band over seeds; words where none has."""
    drawn = False
    for each in study.configurations:
        rows = of_line(data, study, place, each)
        if rows.empty:
            continue
        drawn = True
        every = 1 if x == "position" else max(1, len(rows) // 5)
        keywords = look[each].line_keywords() | {"markersize": 4, "linewidth": 1.1}
        places = rows[x].astype(int)
        axes.plot(places, factor * rows["mean"], markevery=every, **keywords)
        band(axes, places, factor * rows["low"], factor * rows["high"], look[each], 0.1)
    if not drawn:
        say(axes, f"nothing measured here: {study.command}")


def number_layers(axes: Axes, data: pd.DataFrame, place: tuple[str, str]) -> None:
    """Number the layers along the axis; their names, too long to stand there, are in the figure's data."""
    here = at_place(data, place)
    if not here.empty:
        axes.set_xticks(sorted(here["position"].astype(int).unique()))


def handles(study: StudyData, data: pd.DataFrame, look: Mapping[Configuration, Look]) -> list[Line2D]:
    """Entries of the legend for the configurations that are drawn."""
    entries = line_handles(study, data, look)
    hollow = data["ata"].str.contains("calibration").any()
    return [*entries, hollow_handle()] if hollow else entries
