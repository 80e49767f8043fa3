"""A table: its numbers, how they are shown, and its text as Markdown and as a LaTeX document."""

import math
import textwrap
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from tabulate import tabulate

from snn2ann.report.statistics import Estimate
from snn2ann.runs.records import Values

NOTHING = "–"
ENDS = ("mean", "low", "high", "n")
Row = dict[Hashable, Any]


@dataclass(frozen=True)
class Column:
    """A column as readers see it: its header, how a row of the frame is shown in it, and its LaTeX column type."""

    header: str
    render: Callable[[Row], str]
    kind: str = "l"


@dataclass(frozen=True)
class Table:
    """A table: `frame` has the numbers, `columns` shows them; `notes` stand below.

    Where `group` of a row differs from that of the row before, LaTeX sets them apart.
    """

    title: str
    caption: str
    frame: pd.DataFrame
    columns: list[Column]
    notes: list[str] = field(default_factory=list)
    group: Callable[[Row], object] = lambda row: None

    def shown_columns(self) -> list[Column]:
        """The columns that have something to show in some row."""
        rows = self.frame.to_dict("records")
        return [c for c in self.columns if not rows or any(c.render(row) != NOTHING for row in rows)]

    def cells(self) -> list[list[str]]:
        """The text of every cell, row by row."""
        rows = self.frame.to_dict("records")
        return [[column.render(row) for column in self.shown_columns()] for row in rows]


def estimate_columns(prefix: str, estimate: Estimate) -> Values:
    """An estimate as the columns `<prefix>_mean`, `_low`, `_high` and `_n`; all empty where nothing was measured."""
    values = (estimate.mean, estimate.low, estimate.high, estimate.n or None)
    return {f"{prefix}_{end}": value for end, value in zip(ENDS, values, strict=True)}


def text(key: str, kind: str = "l", header: str = "") -> Column:
    """A column that shows the value of `key`; an empty value as a dash."""
    return Column(header or key.replace("_", " ").capitalize(), lambda row: shown(row[key]), kind)


def shown(value: Any) -> str:
    """A value as text; nothing as a dash, a whole number without decimals."""
    if value is None or value is pd.NA or value == "" or (isinstance(value, float) and math.isnan(value)):
        return NOTHING
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def plus_minus(header: str, prefix: str, digits: int = 2, factor: float = 1.0) -> Column:
    """A column that shows `mean ± half the interval`; the mean alone where these digits can't show an interval."""

    def render(row: Row) -> str:
        return plus_minus_text(row[f"{prefix}_mean"] * factor, row[f"{prefix}_high"] * factor, digits)

    return Column(header, render, "r")


def plus_minus_text(mean: float, high: float, digits: int) -> str:
    """`mean ± (high - mean)`; the mean alone where these digits can't show an interval, a dash where there is none."""
    if math.isnan(mean):
        return NOTHING
    half = number(high - mean, digits)
    return number(mean, digits) + ("" if math.isnan(high) or half == number(0, digits) else f" ± {half}")


def interval(header: str, prefix: str, digits: int = 2, factor: float = 1.0, sign: bool = False) -> Column:
    """A column that shows `mean [low, high]`, without the interval where there is one value only."""

    def render(row: Row) -> str:
        ends = [row[f"{prefix}_{end}"] * factor for end in ENDS[:3]]
        return interval_text(ends[0], ends[1], ends[2], digits, sign)

    return Column(header, render, "r")


def interval_text(mean: float, low: float, high: float, digits: int = 2, sign: bool = False) -> str:
    """`mean [low, high]`; the mean alone where there is no interval, or none that these digits can show."""
    if math.isnan(mean):
        return NOTHING
    main = number(mean, digits, sign)
    ends = [number(low, digits, sign), number(high, digits, sign)]
    if math.isnan(low) or ends == [main, main]:
        return main
    return f"{main} [{ends[0]}, {ends[1]}]"


def number(value: float, digits: int = 2, sign: bool = False) -> str:
    """A number with `digits` decimals, thousands set apart, a true minus sign, and a plus sign where `sign`."""
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    written = f"{value:{'+' if sign else ''},.{digits}f}"
    return written.replace("-", "−")


def markdown(table: Table) -> str:
    """The table as Markdown with its title, caption and notes."""
    notes = "".join(f"- {note}\n" for note in table.notes)
    head = f"# {table.title}\n\n{table.caption}\n\n{markdown_grid(table)}\n"
    return head + (f"\n{notes}" if notes else "")


def markdown_grid(table: Table) -> str:
    """The rows of the table alone, as Markdown."""
    rows = [[cell.replace("|", "\\|") for cell in row] for row in table.cells()]
    if not rows:
        return "*No rows: nothing of this has been measured.*"
    columns = table.shown_columns()
    sides = ["right" if column.kind == "r" else "left" for column in columns]
    headers = [column.header for column in columns]
    return str(tabulate(rows, headers, tablefmt="pipe", colalign=sides, disable_numparse=True))


LATEX_PREAMBLE = r"""\documentclass{article}
\usepackage[T1]{fontenc}
\usepackage[utf8]{inputenc}
\usepackage[paperwidth=50cm,paperheight=29.7cm,margin=1.5cm]{geometry}
\usepackage{array,booktabs,longtable}
\pagestyle{empty}
\setlength{\tabcolsep}{4pt}
\begin{document}
\setlength{\LTcapwidth}{\linewidth}
\footnotesize
"""
LATEX_CHARACTERS = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "`": "",
    "∞": r"$\infty$",
    "±": r"$\pm$",
    "−": r"$-$",
    "–": "--",
    "×": r"$\times$",
    "Δ": r"$\Delta$",
    "µ": r"$\mu$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "→": r"$\rightarrow$",
    "∝": r"$\propto$",
}


def latex(table: Table) -> str:
    """The table as a whole LaTeX document in booktabs style; packages of the basic distribution only."""
    kinds = " ".join(
        r">{\raggedright\arraybackslash}p{6.5cm}" if c.kind == "p" else c.kind for c in table.shown_columns()
    )
    header = " & ".join(_latex_header(column) for column in table.shown_columns())
    rows = "".join(_latex_rows(table))
    notes = "".join(f"\\par {escape(note)}\n" for note in table.notes)
    return (
        f"{LATEX_PREAMBLE}\\begin{{longtable}}{{{kinds}}}\n"
        f"\\caption{{\\textbf{{{escape(table.title)}.}} {escape(table.caption)}}}\\\\\n"
        f"\\toprule\n{header} \\\\\n\\midrule\n\\endhead\n{rows}\\bottomrule\n\\end{{longtable}}\n"
        f"\\noindent\n{notes}\\end{{document}}\n"
    )


def _latex_rows(table: Table) -> Iterator[str]:
    groups = [table.group(row) for row in table.frame.to_dict("records")]
    for number, cells in enumerate(table.cells()):
        if number and groups[number] != groups[number - 1]:
            yield "\\addlinespace\n"
        yield " & ".join(escape(cell) for cell in cells) + " \\\\\n"


def _latex_header(column: Column) -> str:
    """A header on several lines, so that it doesn't make its column wide."""
    lines = r"\\".join(rf"\textbf{{{escape(line)}}}" for line in textwrap.wrap(column.header, 12))
    return rf"\shortstack[{'r' if column.kind == 'r' else 'l'}]{{{lines}}}"


def escape(words: str) -> str:
    """Text with the characters that mean something to LaTeX, or that it can't read, replaced."""
    return "".join(LATEX_CHARACTERS.get(character, character) for character in words)
