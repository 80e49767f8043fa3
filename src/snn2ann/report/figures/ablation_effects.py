"""What each part of the method does: paired differences from the headline, with their intervals (a forest plot)."""

from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes

from snn2ann.report.figures.curves import LABELS, labels
from snn2ann.report.figures.style import GREY, WIDTH, Drawing, Look, at_place, empty_drawing, looks, place_title
from snn2ann.report.selection import comparison, find_cell, one_cell_each
from snn2ann.report.statistics import paired_difference, paired_ratio
from snn2ann.report.study_data import Cell, StudyData

ENDS = ("mean", "low", "high", "n")
COLUMNS = [*LABELS, *(f"{what}_{end}" for what in ("accuracy", "spikes") for end in ENDS)]
PANELS = (("accuracy", "Δ test accuracy (points)"), ("spikes", "Δ spikes per image (%)"))


def ablation_effects(study: StudyData) -> Drawing:
    """A row for each other configuration of the headline's method; left: accuracy, right: spikes."""
    rows = [row for place in study.places for row in _rows_of_place(study, place)]
    data = pd.DataFrame(rows, columns=COLUMNS)
    if data.empty:
        return empty_drawing("this study runs the headline's method in one configuration only", COLUMNS)
    counts = [max(len(at_place(data, place)), 1) for place in study.places]
    figure, grid = plt.subplots(
        len(study.places),
        2,
        figsize=(WIDTH, 0.2 * sum(counts) + 0.75 * len(counts) + 0.2),
        layout="constrained",
        squeeze=False,
        sharex="col",
        height_ratios=counts,
    )
    look = {study.label(each): drawn for each, drawn in looks(study).items()}
    for place, line in zip(study.places, grid, strict=True):
        here = at_place(data, place)
        for axes, (what, words) in zip(line, PANELS, strict=True):
            _panel(axes, here, what, look)
            axes.set_xlabel(words if place == study.places[-1] else "")
        line[0].set_yticks(range(len(here)), here["configuration"].tolist(), fontsize=6.5)
        line[1].set_yticks(range(len(here)), [""] * len(here))
        line[0].set_title(place_title(*place), loc="left")
    figure.supylabel("Changed configuration", fontsize="medium")
    return Drawing(figure, data)


def _rows_of_place(study: StudyData, place: tuple[str, str]) -> list[dict[str, Any]]:
    headline = comparison(study).headline
    first = find_cell(study, place, headline)
    if first is None:
        return []
    others = [cell for cell in one_cell_each(study, place) if cell.configuration != first.configuration]
    rows = [_row(study, cell, first) for cell in others if cell.configuration.method == headline["method"]]
    return [row for row in rows if row["accuracy_n"]]


def _row(study: StudyData, cell: Cell, first: Cell) -> dict[str, Any]:
    accuracy = paired_difference(study.values(cell, "accuracy"), study.values(first, "accuracy")).scaled(100)
    spikes = paired_ratio(study.values(cell, "spikes_per_image"), study.values(first, "spikes_per_image"))
    row = labels(study, cell.dataset, cell.network, cell.configuration)
    row |= {f"accuracy_{end}": getattr(accuracy, end) for end in ENDS}
    percent = {end: 100 * (getattr(spikes, end) - 1) for end in ENDS[:3]} | {"n": spikes.n}
    return row | {f"spikes_{end}": value for end, value in percent.items()}


def _panel(axes: Axes, here: pd.DataFrame, what: str, look: dict[str, Look]) -> None:
    axes.axvline(0, color=GREY, linewidth=0.9, zorder=1)
    for place, row in enumerate(here.to_dict("records")):
        own, mean = look[row["configuration"]], row[f"{what}_mean"]
        ends = [row[f"{what}_{end}"] for end in ("low", "high")]
        if not any(pd.isna(ends)):
            axes.plot(ends, [place, place], color=own.colour, linewidth=1.1, zorder=2)
        keywords = own.line_keywords() | {"linestyle": ""}
        axes.plot([mean], [place], zorder=3, **keywords)
    axes.set_ylim(len(here) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
