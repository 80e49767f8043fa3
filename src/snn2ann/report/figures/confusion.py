"""What images of each class are taken for, as a matrix for each side of the claims."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from snn2ann.report.confusions import Confusion, confusion, confusion_cells
from snn2ann.report.figures.curves import LABELS, labels
from snn2ann.report.figures.style import WIDTH, Drawing, place_title, say
from snn2ann.report.selection import comparison, side_of
from snn2ann.report.study_data import Cell, StudyData

COLUMNS = [*LABELS, "time_steps", "class", "answer", "images", "share"]
# Panels of a data set and network that has neither side of the claims.
FIRST = 2
# So many classes have their shares written into the cells, and their names at the axes.
WRITTEN, NAMED = 12, 30
TICKS = 10
LETTERS = 12


def confusion_matrices(study: StudyData) -> Drawing:
    """Draw a row of panels for each data set and network."""
    found = {cell: confusion(study, cell) for cell in confusion_cells(study)}
    rows = [_shown(study, place, list(found)) for place in study.places]
    across = max(map(len, rows), default=1)
    size = (WIDTH, max(2.2, WIDTH / across * 0.95) * max(len(rows), 1))
    figure, grid = plt.subplots(max(len(rows), 1), across, figsize=size, layout="constrained", squeeze=False)
    for place, cells, line in zip(study.places, rows, grid, strict=True):
        for axes in line[len(cells) :]:
            axes.set_visible(False)
        for cell, axes in zip(cells, line, strict=False):
            axes.set_title(f"{place_title(*place)}\n{study.label(cell.configuration)}")
            axes.set_xlabel("Answer")
            axes.set_ylabel("Class")
            _draw(axes, found[cell], study.command)
    data = [row for cell, each in found.items() for row in _rows(study, cell, each)]
    return Drawing(figure, pd.DataFrame(data, columns=COLUMNS).astype({"training_time_steps": "Int64"}))


def _shown(study: StudyData, place: tuple[str, str], cells: Sequence[Cell]) -> list[Cell]:
    """The headline's and the reference's cell of a data set and network; the first ones where neither is there."""
    here = {cell.configuration: cell for cell in cells if (cell.dataset, cell.network) == place}
    sides = comparison(study)
    chosen = [side_of(here, side) for side in (sides.headline, sides.reference)]
    return [here[side] for side in chosen if side is not None] or list(here.values())[:FIRST]


def _draw(axes: Axes, found: Confusion | None, command: str) -> None:
    """The shares as shades of grey to blue, the diagonal marked."""
    axes.grid(visible=False)
    if found is None:
        axes.plot([0, 1], [1, 0], color="#4d4d4d", linewidth=0.8, transform=axes.transAxes)
        say(axes, f"not counted: {command}")
        return
    count = len(found.names)
    axes.imshow(found.shares, cmap="Blues", vmin=0, vmax=1, interpolation="nearest", aspect="equal")
    stairs = np.repeat(np.arange(count + 1), 2) - 0.5
    for x, y in ((stairs[1:], stairs[:-1]), (stairs[:-1], stairs[1:])):
        axes.plot(x, y, color="#4d4d4d", linewidth=0.8)
    axes.set(xlim=(-0.5, count - 0.5), ylim=(count - 0.5, -0.5))
    _name_classes(axes, found.names)
    if count <= WRITTEN:
        for (row, column), share in np.ndenumerate(found.shares):
            if found.counts[row, column]:
                colour = "white" if share > 0.5 else "#333333"
                axes.text(column, row, f"{100 * share:.0f}", ha="center", va="center", fontsize=5.5, color=colour)


def _name_classes(axes: Axes, names: Sequence[str]) -> None:
    """Names at both axes; of very many classes the numbers of some."""
    places = list(range(len(names)))
    shown = [name if len(name) <= LETTERS else f"{name[: LETTERS - 1]}…" for name in names]
    if len(names) > NAMED:
        places = places[:: -(-len(names) // TICKS)]
        shown = [str(place) for place in places]
    size = 7 if len(shown) <= WRITTEN else 5
    turned = 90 if any(len(name) > 2 for name in shown) else 0
    axes.set_xticks(places, shown, fontsize=size, rotation=turned)
    axes.set_yticks(places, shown, fontsize=size)


def _rows(study: StudyData, cell: Cell, found: Confusion | None) -> list[dict[str, object]]:
    """A row for each pair of class and answer that some image has."""
    if found is None:
        return []
    told = labels(study, cell.dataset, cell.network, cell.configuration) | {"time_steps": found.time_steps}
    shares = found.shares
    return [
        told
        | {
            "class": found.names[row],
            "answer": found.names[column],
            "images": int(found.counts[row, column]),
            "share": float(shares[row, column]),
        }
        for row, column in np.argwhere(found.counts)
    ]
