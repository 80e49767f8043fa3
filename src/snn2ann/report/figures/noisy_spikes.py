"""Noisy spikes per layer, as trained and after calibration, and over the epochs (paper, noisy-spike figure)."""

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from snn2ann.report.configurations import Configuration
from snn2ann.report.figures.by_layer import LAYER_AXIS, by_layer, handles, lines, number_layers
from snn2ann.report.figures.curves import LABELS, labels
from snn2ann.report.figures.style import WIDTH, Drawing, empty_drawing, legend_below, looks, place_title
from snn2ann.report.statistics import share_interval, summarise
from snn2ann.report.study_data import StudyData
from snn2ann.runs.problems import try_read
from snn2ann.runs.reading import read_calibration, read_layers

COLUMNS = [*LABELS, "panel", "position", "layer", "epoch", "mean", "low", "high", "n"]
TARGET: dict[str, Any] = {"color": "#595959", "linestyle": (0, (2, 2)), "linewidth": 0.8}


def noisy_spikes(study: StudyData) -> Drawing:
    """Left: test images, layer by layer; right: mean over layers in training. Bands are 95 % intervals over seeds."""
    layers, epochs = by_layer(study, _noisy_spike_rate, "noisy_spike_rate"), _over_epochs(study)
    data = pd.concat([layers.assign(panel="layers"), epochs.assign(panel="epochs")], ignore_index=True)
    data = data.reindex(columns=COLUMNS)
    if data.empty:
        return empty_drawing(f"no run tells its noisy spikes yet: {study.command}", COLUMNS)
    rows = len(study.places)
    size = (WIDTH, 2.5 * rows + 1.0)
    shape = {"width_ratios": [1.5, 1]}
    figure, grid = plt.subplots(rows, 2, figsize=size, layout="constrained", squeeze=False, gridspec_kw=shape)
    look, target = looks(study), _target(study)
    for place, (left, right) in zip(study.places, grid, strict=True):
        lines(left, study, layers, place, "position", look, 100)
        number_layers(left, layers, place)
        if target is not None:
            left.axhline(100 * target, **TARGET)
        lines(right, study, epochs, place, "epoch", look, 100)
        right.xaxis.set_major_locator(MaxNLocator(integer=True))
        left.set_title(f"{place_title(*place)}: by layer, test images")
        right.set_title("mean of layers in training")
        for axes in (left, right):
            axes.set_ylabel("Noisy-spike rate (%)")
            axes.set_ylim(bottom=0)
    grid[-1][0].set_xlabel(LAYER_AXIS)
    grid[-1][1].set_xlabel("Epoch")
    words = [] if target is None else [Line2D([], [], label=f"target of calibration, {100 * target:g} %", **TARGET)]
    legend_below(figure, [*handles(study, data, look), *words], columns=3)
    return Drawing(figure, data.astype({"position": "Int64", "epoch": "Int64", "training_time_steps": "Int64"}))


def _noisy_spike_rate(entry: Mapping[str, Any], layer: Mapping[str, Any], each: Configuration) -> float | None:
    return layer.get("noisy_spike_rate")


def _over_epochs(study: StudyData) -> pd.DataFrame:
    frames = []
    for run in study.planned_runs:
        if not run.files.layers.exists():
            continue
        layers = try_read(read_layers, run.files.layers, study.problems)
        if layers is not None and layers["noisy_spike_rate"].notna().any():
            means = layers.groupby("epoch")["noisy_spike_rate"].mean()
            told = labels(study, run.dataset, run.network, run.configuration)
            frames.append(pd.DataFrame({"epoch": means.index, "value": means.to_numpy()}).assign(**told))
    if not frames:
        return pd.DataFrame(columns=COLUMNS)
    return summarise(pd.concat(frames).dropna(subset=["value"]), [*LABELS, "epoch"], interval=share_interval)


def _target(study: StudyData) -> float | None:
    """The noisy-spike rate that calibration aims at; None where no run is calibrated or runs differ in it."""
    targets = set()
    for run in study.planned_runs:
        path = run.folder / (run.calibration or "-")
        content = try_read(read_calibration, path, study.problems) if path.exists() else None
        targets |= {float(content["target"])} if content else set()
    return targets.pop() if len(targets) == 1 else None
