"""How every figure looks: sizes, one palette, and the same colour and marker for a method everywhere."""

import hashlib
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from snn2ann.files import atomic_path, write_text
from snn2ann.methods import METHODS
from snn2ann.report.configurations import Configuration, network_name
from snn2ann.report.study_data import StudyData

WIDTH = 7.2  # inches: the text width of a two-column page
DPI = 200
# Of a legend: rows that every figure has room for, and inches that one more needs.
ROWS_WITH_ROOM, ROW_HEIGHT = 6, 0.17
LETTER = 0.06  # inches that one takes on the mean
GREY = "#8c8c8c"

# For methods whose entry gives none. Markers and line styles carry the same in grey.
_FREE_COLOURS = ("#882255", "#999933", "#6A51A3", "#B15928", "#44AA99", "#AA4499")
_FREE_MARKERS = ("h", "8", "H", "$\u2663$", "$\u2660$", "$\u2665$")
# For the rows of an ablation, in their order: after Tol (2021), "muted", without what methods have.
_CHANGED_COLOURS = (
    "#CC6677",
    "#6688CC",
    "#AA9933",
    "#669944",
    "#66AACC",
    "#882255",
    "#44AA99",
    "#5C3317",
    "#AA4499",
    "#777777",
)
LINE_STYLES: tuple[Any, ...] = (
    "-",
    (0, (4, 1.5)),
    (0, (1, 1)),
    (0, (5, 1, 1, 1)),
    (0, (7, 1, 1, 1, 1, 1)),
    (0, (9, 2)),
    (0, (2, 2.5)),
    (0, (3, 1, 3, 3)),
    (0, (8, 1.5, 2, 1.5)),
    (0, (1, 1, 1, 3)),
)

_PARAMETERS: dict[Any, Any] = {
    "figure.dpi": DPI,
    "savefig.dpi": DPI,
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": 8.5,
    "axes.titleweight": "bold",
    "axes.labelsize": 8,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "lines.linewidth": 1.3,
    "lines.markersize": 4,
    "axes.linewidth": 0.7,
    "grid.linewidth": 0.5,
    "grid.color": "#e6e6e6",
    "axes.edgecolor": "#4d4d4d",
    "svg.fonttype": "path",
    "svg.hashsalt": "snn2ann",
    "pdf.fonttype": 42,
    "pdf.compression": 6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
}


@dataclass(frozen=True)
class Drawing:
    """A figure and the data that it shows."""

    figure: Figure
    data: pd.DataFrame


@dataclass(frozen=True)
class Look:
    """Colour, marker and line style of a configuration; markers of calibrated ones are hollow."""

    colour: str
    marker: str
    line: Any
    hollow: bool

    def line_keywords(self) -> dict[str, Any]:
        """For `Axes.plot`."""
        return {
            "color": self.colour,
            "marker": self.marker,
            "linestyle": self.line,
            "markerfacecolor": "white" if self.hollow else self.colour,
            "markeredgecolor": self.colour,
            "markeredgewidth": 0.9,
        }


@contextmanager
def theme() -> Iterator[None]:
    """Draw in the project's style; afterwards everything is as before and no figure stays open."""
    with plt.rc_context(), sns.axes_style("whitegrid"):
        plt.rcParams.update(_PARAMETERS)
        try:
            yield
        finally:
            plt.close("all")


def looks(study: StudyData) -> dict[Configuration, Look]:
    """The look of every configuration of a study: colour and marker by method, line style by place among its like.

    One in which options were changed has the marker of its method and a colour of its own, unless none of its like is
    without changes: then the first has that of the method.
    """
    found: dict[Configuration, Look] = {}
    order: dict[str, list[Configuration]] = {}
    changed: list[str] = []
    every = (study.whole or study).configurations
    # Of options, those of each method and variant that its colour is for.
    usual: dict[tuple[str, str, str], str] = {}
    for each in sorted(every, key=lambda each: each.setting != ""):
        usual.setdefault((each.method, each.mapping_unit, each.variant), each.setting)
    for each in every:
        colour, marker = method_look(each.method, each.mapping_unit, each.variant)
        alike = order.setdefault(marker, [])
        if each.trained not in alike:
            alike.append(each.trained)
        if each.setting != usual[each.method, each.mapping_unit, each.variant]:
            changed += [each.setting] * (each.setting not in changed)
            colour = _CHANGED_COLOURS[changed.index(each.setting) % len(_CHANGED_COLOURS)]
        line = LINE_STYLES[alike.index(each.trained) % len(LINE_STYLES)]
        found[each] = Look(colour, marker, line, each.calibrated)
    return found


def method_look(method: str, mapping_unit: str = "", variant: str = "") -> tuple[str, str]:
    """Colour and marker of a method: its entry's, else free ones.

    Of registered methods each takes the next free ones; what is not registered has some that depend on its name only.
    """
    given = METHODS[method].looks if method in METHODS else {}
    for key in (variant, mapping_unit, ""):
        if key in given:
            return given[key]
    if method in METHODS and not given:
        place = [name for name, each in METHODS.items() if not each.looks].index(method)
        return _FREE_COLOURS[place % len(_FREE_COLOURS)], _FREE_MARKERS[place % len(_FREE_MARKERS)]
    digest = hashlib.sha256(f"{method} {mapping_unit}".encode()).digest()
    return _FREE_COLOURS[digest[0] % len(_FREE_COLOURS)], _FREE_MARKERS[digest[1] % len(_FREE_MARKERS)]


def at_place(data: pd.DataFrame, place: tuple[str, str]) -> pd.DataFrame:
    """The rows of a data set and network: what a panel shows."""
    return data[(data["dataset"] == place[0]) & (data["network"] == place[1])]


def place_title(dataset: str, network: str) -> str:
    """The title of a panel."""
    return f"{network_name(network)}, {dataset}" if dataset else network_name(network)


def legend_below(figure: Figure, handles: Sequence[Any], columns: int = 4) -> None:
    """One legend for the whole figure, under all panels, in as many columns (at most `columns`) as its width holds.

    A figure has room for a legend of some rows; it grows by what a longer one needs, and its panels keep their size.
    """
    if not handles:
        return
    fitting = [number for number in range(1, min(columns, len(handles)) + 1) if _legend_width(handles, number) <= WIDTH]
    number = max(fitting, default=1)
    longer = max(-(-len(handles) // number) - ROWS_WITH_ROOM, 0)
    figure.set_figheight(figure.get_figheight() + ROW_HEIGHT * longer)
    figure.legend(handles=handles, loc="outside lower center", ncols=number, handlelength=2.6, columnspacing=1.5)


def _legend_width(handles: Sequence[Any], columns: int) -> float:
    """Inches that a legend takes, by the usual width of a letter."""
    rows = -(-len(handles) // columns)
    letters = [max(len(each.get_label()) for each in handles[at : at + rows]) for at in range(0, len(handles), rows)]
    return sum(LETTER * each + 0.55 for each in letters)


def line_handle(look: Look, label: str) -> Line2D:
    """An entry of a legend."""
    return Line2D([], [], label=label, **look.line_keywords())


def hollow_handle() -> Line2D:
    """The entry of a legend that explains hollow markers."""
    return Line2D([], [], color="black", marker="o", markerfacecolor="white", linestyle="", label="hollow: calibrated")


def say(axes: Axes, words: str) -> None:
    """Put words in the place of data that isn't there."""
    place = axes.get_subplotspec()
    columns = place.get_gridspec().ncols if place else 1
    axes.text(
        0.5,
        0.5,
        # Matplotlib would wrap them at the figure's edge, and panels have neighbours.
        textwrap.fill(words, int((WIDTH / columns - 0.6) / LETTER)),
        transform=axes.transAxes,
        ha="center",
        va="center",
        color="#595959",
        fontsize=7.5,
    )
    axes.set_xticks([])
    axes.set_yticks([])


def empty_drawing(words: str, columns: list[str]) -> Drawing:
    """A figure that only says why there is nothing to draw."""
    figure, axes = plt.subplots(figsize=(WIDTH, 1.6), layout="constrained")
    say(axes, words)
    return Drawing(figure, pd.DataFrame(columns=columns))


def note_missing(drawing: Drawing, study: StudyData) -> None:
    """Say above the panels that runs are missing, if any are."""
    if study.missing:
        words = f"Incomplete: {len(study.missing)} of {len(study.planned_runs)} runs have no results ({study.command})"
        drawing.figure.suptitle(words, x=0.01, ha="left", fontsize=6.5, color="#595959")


def save(drawing: Drawing, stem: Path) -> None:
    """Write `<stem>.png`, `.svg`, `.pdf` and `.csv`; equal data gives equal bytes."""
    metadata: dict[str, dict[str, Any]] = {
        "png": {"Software": None},
        "svg": {"Date": None, "Creator": None},
        "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    }
    drawing.figure.draw_without_rendering()
    drawing.figure.set_layout_engine("none")  # laid out once, not again for each format
    for kind, words in metadata.items():
        with atomic_path(stem.with_suffix(f".{kind}")) as aside:
            drawing.figure.savefig(aside, format=kind, metadata=words)
    write_text(stem.with_suffix(".csv"), drawing.data.to_csv(index=False, lineterminator="\n"))
