"""Draw what `engine.py` and `firing_rate.py` measured: benchmarks/results/engine.png."""

import argparse
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

matplotlib.use("Agg")
LOOKS = {
    "ann": ("Plain ANN", "#000000", "s"),
    "snn2ann": ("SNN2ANN", "#0072B2", "o"),
    "stbp": ("Spike-based BP, this project's", "#D55E00", "^"),
    "spikingjelly": ("Spike-based BP, SpikingJelly", "#E69F00", "v"),
    "snntorch": ("Spike-based BP, snnTorch", "#CC79A7", "P"),
    "sltt": ("SLTT, SpikingJelly", "#009E73", "D"),
    "checkpointed": ("Spike-based BP, checkpointed", "#999999", "X"),
}
LAYER_LOOKS = (("#0072B2", "o"), ("#D55E00", "^"), ("#009E73", "D"), ("#CC79A7", "P"))


def panel(axes: Axes, data: pd.DataFrame, measure: str, words: str) -> None:
    """One line a method over T, as multiples of the plain ANN's."""
    for method, (label, colour, marker) in LOOKS.items():
        rows = data[data["method"] == method].sort_values("time_steps")
        if method == "checkpointed" and measure == "saved_to_ann":
            continue  # Most of what it keeps is kept outside of autograd.
        if method == "ann":
            axes.axhline(1, color=colour, linewidth=1, label=label)
        elif len(rows):
            style: dict[str, Any] = {"color": colour, "marker": marker, "markersize": 5, "linewidth": 1.3}
            axes.plot(rows["time_steps"], rows[measure], label=label, **style)
    axes.set(xlabel="Time steps T", ylabel=words, yscale="log")
    plain(axes)
    axes.set_xticks(sorted(data["time_steps"].dropna().astype(int).unique()))


def plain(axes: Axes) -> None:
    """Numbers instead of powers of ten, and a light grid."""
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.grid(visible=True, which="major", color="#e6e6e6")
    axes.spines[["top", "right"]].set_visible(False)


def training_figure(folder: Path) -> None:
    """Time and memory of a training step over T, a row for each network and batch size."""
    data = pd.read_csv(folder / "training_step.csv")
    groups = list(data.groupby(["network", "batch_size"], sort=False))
    # One with T = 5 and 8 only would be a row of single points.
    groups = [group for group in groups if group[1]["method"].nunique() > 3]
    figure, grid = plt.subplots(
        len(groups), 2, figsize=(8, 2.9 * len(groups) + 0.6), layout="constrained", squeeze=False
    )
    for line, ((network, size), rows) in zip(grid, groups, strict=True):
        panel(line[0], rows, "ratio_to_ann", "Time of a step / plain ANN")
        panel(line[1], rows, "saved_to_ann", "Saved for backward / plain ANN")
        line[0].set_title(f"{network}, batch {size}, {rows['device'].iloc[0]}", fontsize=9)
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    figure.savefig(folder / "training_step.png", dpi=130)
    plt.close(figure)


def firing_rate_figure(folder: Path) -> None:
    """Speed of a layer run spike by spike, relative to the dense one, over the firing rate."""
    data = pd.read_csv(folder / "firing_rate.csv")
    figure, axes = plt.subplots(figsize=(5, 3.2), layout="constrained")
    groups = data.groupby(["channels", "size"], sort=False)
    for ((channels, size), rows), (colour, marker) in zip(groups, LAYER_LOOKS, strict=True):
        label = f"{channels} channels, {size}×{size}"
        axes.plot(rows["firing_rate"], rows["speed"], color=colour, marker=marker, markersize=4, label=label)
    axes.axhline(1, color="black", linewidth=1)
    axes.set(xlabel="Firing rate (spikes a neuron and step)", ylabel="Speed / dense layer", yscale="log")
    plain(axes)
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(folder / "firing_rate.png", dpi=130)
    plt.close(figure)


def main() -> None:
    """Draw what there is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results"))
    options, _ = parser.parse_known_args()
    folder = options.output / "quick" if options.quick else options.output
    training_figure(folder)
    if (folder / "firing_rate.csv").exists():
        firing_rate_figure(folder)


if __name__ == "__main__":
    main()
