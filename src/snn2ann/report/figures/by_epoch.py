"""What several figures show epoch by epoch: a panel for each network and configuration, a line for each layer."""

import math
import textwrap
from dataclasses import dataclass
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from snn2ann.report.figures.curves import LABELS, labels
from snn2ann.report.figures.style import (
    LINE_STYLES,
    WIDTH,
    Drawing,
    empty_drawing,
    legend_below,
    place_title,
)
from snn2ann.report.study_data import StudyData
from snn2ann.runs.problems import try_read
from snn2ann.runs.reading import read_layers

COLUMNS = [*LABELS, "epoch", "position", "layer", "mean", "minimum", "maximum", "n"]
ACROSS = 4


@dataclass(frozen=True)
class LayerCurve:
    """What is drawn of layers.csv.

    Attributes:
        mean: column whose mean over seeds is the line.
        minimum: column whose least value over seeds is the band's lower end.
        maximum: column whose largest value over seeds is its upper end.
        words: name and unit of the axis.
        factor: from the column's unit to the axis's.
    """

    mean: str
    minimum: str
    maximum: str
    words: str
    factor: float = 1.0


def layers_by_epoch(study: StudyData, curve: LayerCurve) -> Drawing:
    """Draw a curve of every layer; layers are dark at the input and light at the output."""
    data = _data(study, curve)
    if data.empty:
        return empty_drawing(f"no run tells this over epochs yet: {study.command}", COLUMNS)
    blocks = list(data.groupby(["dataset", "network"], sort=False))
    counts = [block["configuration"].nunique() for _, block in blocks]
    across = max(math.ceil(count / math.ceil(count / ACROSS)) for count in counts)
    heights = [math.ceil(count / across) for count in counts]
    rows = sum(heights)
    figure, grid = plt.subplots(
        rows,
        across,
        figsize=(WIDTH, 1.9 * rows + 0.9),
        layout="constrained",
        squeeze=False,
        sharex=True,
        sharey=True,
    )
    layers = int(data["position"].max())
    used: set[Axes] = set()
    start = 0
    for (_, block), height in zip(blocks, heights, strict=True):
        panels = grid[start : start + height].flatten()
        for axes, ((place, configuration), lines) in zip(panels, _panels(block), strict=False):
            _panel(axes, lines, layers, curve.factor)
            words = [place_title(*place), *textwrap.wrap(configuration, 120 // across)]
            axes.set_title("\n".join(words), fontsize=7, fontweight="normal")
            used.add(axes)
        start += height
    _finish(grid, used, curve.words)
    legend_below(figure, [_handle(position, layers) for position in range(1, layers + 1)], columns=7)
    return Drawing(figure, data)


def _data(study: StudyData, curve: LayerCurve) -> pd.DataFrame:
    """Mean over seeds of `curve.mean`; least and largest value over seeds of the other two."""
    frames = []
    for run in study.planned_runs:
        if not run.files.layers.exists():
            continue
        layers = try_read(read_layers, run.files.layers, study.problems)
        if layers is not None and layers[curve.mean].notna().any():
            told = labels(study, run.dataset, run.network, run.configuration)
            position = pd.factorize(layers["layer"])[0] + 1
            frames.append(layers.assign(position=position, **told).dropna(subset=[curve.mean]))
    if not frames:
        return pd.DataFrame(columns=COLUMNS)
    grouped = pd.concat(frames).groupby([*LABELS, "epoch", "position", "layer"], sort=False, dropna=False)
    data = grouped.agg(
        mean=(curve.mean, "mean"),
        minimum=(curve.minimum, "min"),
        maximum=(curve.maximum, "max"),
        n=(curve.mean, "count"),
    ).reset_index()
    return data.astype({"epoch": int, "training_time_steps": "Int64"})[COLUMNS]


def _panels(block: pd.DataFrame) -> list[tuple[tuple[tuple[str, str], str], pd.DataFrame]]:
    panels = []
    for configuration, lines in block.groupby("configuration", sort=False):
        place = (str(lines["dataset"].iloc[0]), str(lines["network"].iloc[0]))
        panels.append(((place, str(configuration)), lines))
    return panels


def _panel(axes: Axes, lines: pd.DataFrame, layers: int, factor: float) -> None:
    for position, rows in lines.groupby("position", sort=False):
        colour, style = _layer_look(int(str(position)), layers)
        faint = 0.3 / layers
        low, middle, high = (factor * rows[end] for end in ("minimum", "mean", "maximum"))
        axes.fill_between(rows["epoch"], low, high, color=colour, alpha=faint, linewidth=0)
        for end in (low, high):
            axes.plot(rows["epoch"], end, color=colour, linewidth=0.5, alpha=0.8)
        axes.plot(rows["epoch"], middle, color=colour, linestyle=style, linewidth=1.1)


def _layer_look(position: int, layers: int) -> tuple[Any, Any]:
    """Dark for the first layer, light for the last; neighbours differ in line style too."""
    palette = sns.color_palette("viridis", layers + 1)
    return palette[position - 1], LINE_STYLES[(position - 1) % 3]


def _handle(position: int, layers: int) -> Line2D:
    colour, style = _layer_look(position, layers)
    return Line2D([], [], color=colour, linestyle=style, linewidth=1.3, label=f"layer {position}")


def _finish(grid: np.ndarray, used: set[Axes], words: str) -> None:
    """Name the axes and hide unused panels; the lowest used panel of a column carries the epochs."""
    for line in grid:
        for axes in line:
            axes.set_visible(axes in used)
        line[0].set_ylabel(words)
    for column in grid.T:
        lowest = [axes for axes in column if axes in used][-1]
        lowest.tick_params(labelbottom=True)
        lowest.set_xlabel("Epoch")
    grid[0][0].set_ylim(bottom=0)
    grid[0][0].xaxis.set_major_locator(MaxNLocator(integer=True))
