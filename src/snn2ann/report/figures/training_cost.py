"""Time and memory of a training step over T, with the laws that they should follow."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from snn2ann.report.configurations import network_name
from snn2ann.report.figures.style import (
    GREY,
    WIDTH,
    Drawing,
    empty_drawing,
    legend_below,
    method_look,
)
from snn2ann.report.measured_cost import Cost, costs, find_cost, several
from snn2ann.report.selection import comparison
from snn2ann.report.statistics import mean_interval
from snn2ann.report.study_data import StudyData
from snn2ann.runs.records import Values

COLUMNS = [
    "network",
    "method",
    "variant",
    "library",
    "time_steps",
    "measure",
    "mean",
    "low",
    "high",
    "n",
    "device",
    "threads",
    "batch_size",
]
PANELS = (
    ("seconds", "Time of a step (s)", 1.0),
    ("saved_bytes", "Saved for backward (MiB)", 2.0**-20),
    ("peak_bytes", "Peak memory (MiB)", 2.0**-20),
)
LINEAR, COUNTED, FLAT = (0, (1, 1.2)), (0, (5, 1.5, 1, 1.5)), (0, (5, 2))


def training_cost(study: StudyData) -> Drawing:
    """Rows: time and memory; columns: networks. Grey: what grows with T, what does not, what counting predicts."""
    if study.cost is None:
        named = study.content.get("training_cost")
        words = f"not measured: {study.command}" if named else "the study names no measurement of a training step"
        return empty_drawing(words, COLUMNS)
    measured = costs(study.cost)
    data = pd.DataFrame([row for cost in measured for row in _rows(cost)], columns=COLUMNS)
    networks = list(dict.fromkeys(cost.network for cost in measured))
    panels = [panel for panel in PANELS if panel[0] in set(data["measure"])]
    rows = len(panels)
    size = (WIDTH, 2.2 * rows + 0.9)
    figure, grid = plt.subplots(rows, len(networks), figsize=size, layout="constrained", squeeze=False, sharex=True)
    for column, network in enumerate(networks):
        here = [cost for cost in measured if cost.network == network]
        for line, (measure, words, factor) in zip(grid, panels, strict=True):
            _panel(line[column], study, here, measure, factor)
            line[0].set_ylabel(words)
        grid[0][column].set_title(f"{network_name(network)}, batch {here[0].batch_size}, {here[0].device}")
        grid[-1][column].set_xlabel("Time steps T in training")
    legend_below(figure, [*_handles(study, measured), *_law_handles()], columns=3)
    return Drawing(figure, data)


def _rows(cost: Cost) -> list[Values]:
    rows = []
    for measure in ("seconds", "saved_bytes", "peak_bytes"):
        estimate = mean_interval(cost.series(measure))
        if estimate.n:
            labels = {key: getattr(cost, key) for key in COLUMNS if hasattr(cost, key)}
            ends = {key: getattr(estimate, key) for key in ("mean", "low", "high", "n")}
            rows.append(labels | ends | {"measure": measure})
    return rows


def _panel(axes: Axes, study: StudyData, here: list[Cost], measure: str, factor: float) -> None:
    steps = sorted({cost.time_steps for cost in here if cost.time_steps})
    right = max([8, *steps]) * 1.08
    axes.set_xlim(0, right)
    _laws(axes, study, here, measure, factor, right)
    for own in _series(here):
        _points(axes, own, measure, factor, _look(study, own[0]))
    axes.set_ylim(bottom=0)
    axes.set_xticks([0, *([4, 8, 12, 16] if right > 12 else [2, 4, 5, 6, 8])])


def _series(measured: list[Cost]) -> list[list[Cost]]:
    """What makes one line over T: the costs of a method and variant in a library."""
    lines: dict[tuple[str, ...], list[Cost]] = {}
    for cost in measured:
        lines.setdefault((cost.method, cost.variant, cost.library), []).append(cost)
    return list(lines.values())


def _look(study: StudyData, cost: Cost) -> tuple[str, str]:
    """Colour and marker of what was measured; the headline's where it is the headline's method and variant."""
    headline = comparison(study).headline
    same = (cost.method, cost.variant) == (headline["method"], headline.get("variant") or "")
    return method_look(cost.method, (headline.get("mapping_unit") or "") if same else "resu", cost.variant)


def _points(axes: Axes, own: list[Cost], measure: str, factor: float, look: tuple[str, str]) -> None:
    """A line over T with intervals over rounds; a method without T is a point at the left end."""
    keywords: dict[str, Any] = {"color": look[0], "marker": look[1], "markersize": 5.5}
    known = [cost for cost in own if len(cost.series(measure))]
    timed = sorted((cost for cost in known if cost.time_steps), key=lambda cost: cost.time_steps or 0)
    estimates = [mean_interval(cost.series(measure)).scaled(factor) for cost in timed]
    if timed:
        spread = [0 if np.isnan(each.high) else each.high - each.mean for each in estimates]
        means = [each.mean for each in estimates]
        steps = [cost.time_steps or 0 for cost in timed]
        axes.errorbar(steps, means, spread, capsize=2, linewidth=1.2, zorder=3, **keywords)
    for cost in known:
        if not cost.time_steps:
            value = float(cost.series(measure).mean()) * factor
            axes.plot([0.25], [value], clip_on=False, zorder=4, **keywords)


def _laws(axes: Axes, study: StudyData, here: list[Cost], measure: str, factor: float, right: float) -> None:
    """Linear: through the origin and the reference's largest T. Flat: the ANN's value. Time also: (T + 3)/3 of it."""
    reference = comparison(study).reference["method"]
    known = [c for c in here if c.method == reference and c.time_steps and len(c.series(measure))]
    if known:
        last = max(known, key=lambda cost: cost.time_steps or 0)
        slope = float(last.series(measure).mean()) * factor / (last.time_steps or 1)
        _law(axes, right, 0, slope * right, LINEAR)
    ann = find_cost(here, here[0].network, {"method": "ann"})
    if ann is not None and len(ann.series(measure)):
        value = float(ann.series(measure).mean()) * factor
        _law(axes, right, value, value, FLAT)
        if measure == "seconds":
            _law(axes, right, value, value * (right + 3) / 3, COUNTED)


def _law(axes: Axes, right: float, start: float, end: float, line: Any) -> None:
    axes.plot([0, right], [start, end], color=GREY, linestyle=line, linewidth=1, zorder=1)


def _handles(study: StudyData, measured: list[Cost]) -> list[Line2D]:
    handles = []
    name_library, name_variant = several(measured, "library"), several(measured, "variant")
    for own in _series(measured):
        colour, marker = _look(study, own[0])
        timed = any(cost.time_steps for cost in own)
        label = own[0].label(name_variant, own[0].library * name_library, "" if timed else "no T")
        line: Any = "-" if timed else ""
        handles.append(Line2D([], [], color=colour, marker=marker, markersize=5.5, linestyle=line, label=label))
    return handles


def _law_handles() -> list[Line2D]:
    words = {
        LINEAR: "linear in T, through the reference",
        COUNTED: "(T + 3)/3 × ANN: forwards counted",
        FLAT: "flat in T, at the ANN",
    }
    return [Line2D([], [], color=GREY, linestyle=line, label=text) for line, text in words.items()]
