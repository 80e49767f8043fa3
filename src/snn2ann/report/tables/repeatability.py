"""How often two machines that make this study would contradict each other."""

from typing import Any

from snn2ann.report.configurations import network_name
from snn2ann.report.findings import findings
from snn2ann.report.repeatability import DRAWS, repeatability_rows
from snn2ann.report.selection import comparison
from snn2ann.report.study_data import StudyData
from snn2ann.report.table import Column, Row, Table, number, shown, text
from snn2ann.report.tables.cell_columns import missing_notes


def repeatability(study: StudyData) -> Table:
    """A row for each claim, variant and network."""
    columns = [
        text("claim"),
        text("judged"),
        Column("Network", lambda row: shown(network_name(row["network"]))),
        text("verdict"),
        text("n", "r"),
        Column("Spread of a pair", lambda row: _amount(row, "spread"), "r"),
        Column("Standard error", lambda row: _amount(row, "standard_error"), "r"),
        _chance("holds", "Holds"),
        _chance("undecided", "Undecided"),
        _chance("fails", "Does not hold"),
        _chance("contradiction", "Two contradict each other"),
        _chance("worst_contradiction", "The same, truth at the margin"),
    ]
    return Table(
        title="Repeatability of the verdicts",
        caption=f"From the spread of this study's pairs, {DRAWS:,} repetitions of each claim with as many pairs: how often "
        "they would say what, if the truth were what was measured here, and how often one of two says that the claim holds "
        "and the other that it does not. The last column has the truth at the margin or at the claimed value, where that "
        "is most frequent. A ratio's spread is that of its logarithm. The claim on time steps is judged by accuracy.",
        frame=repeatability_rows(findings(study), comparison(study).margin),
        columns=columns,
        notes=missing_notes(study),
        group=lambda row: (row["judged"], row["claim"]),
    )


def _amount(row: Row, key: str) -> str:
    value: Any = row[key]
    return number(value, 3) if row["unit"] == "log ratio" else f"{number(value, 2)} points"


def _chance(key: str, header: str) -> Column:
    return Column(f"{header} (%)", lambda row: number(100 * row[key], 1), "r")
