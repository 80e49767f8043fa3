"""The paper's claims (abstract) beside what this study measured."""

import pandas as pd

from snn2ann.report.configurations import network_name
from snn2ann.report.findings import Finding, findings
from snn2ann.report.statistics import ENOUGH
from snn2ann.report.study_data import StudyData
from snn2ann.report.table import (
    NOTHING,
    Column,
    Row,
    Table,
    estimate_columns,
    interval_text,
    number,
    shown,
    text,
)
from snn2ann.report.tables.cell_columns import missing_notes
from snn2ann.report.verdicts import few_words
from snn2ann.runs.records import Values


def claims(study: StudyData) -> Table:
    """For each claim a row overall, one for each network, and rows at equal time steps for information."""
    return claims_table(findings(study), missing_notes(study))


def claims_table(found: list[Finding], notes: list[str]) -> Table:
    """The table of `found`, in that order."""
    columns = [
        text("claim"),
        text("judged"),
        text("scope"),
        Column("Network", lambda row: shown(network_name(row["network"]))),
        text("dataset"),
        Column("Claimed", claimed_text, "r"),
        Column("Measured", measured_text, "r"),
        text("measured_n", "r", "n"),
        text("verdict"),
        text("networks"),
        text("compared"),
        text("reason", "p"),
    ]
    return Table(
        title="Claims of the paper",
        caption="Claimed and measured value with its 95 % interval, paired over seeds or over rounds of the "
        "measurement; ratios are geometric means. Accuracy is a difference in percentage points. Overall: the verdict "
        "and value of the least favourable network, and how many networks hold.",
        frame=pd.DataFrame([claim_row(each) for each in found]),
        columns=columns,
        notes=notes,
        group=lambda row: (row["judged"], row["claim"]),
    )


def claim_row(each: Finding) -> Values:
    """A finding as one flat row of numbers and words."""
    return {
        "claim": each.claim,
        "judged": each.judged,
        "scope": each.scope,
        "dataset": each.dataset,
        "network": each.network,
        "compared": each.compared,
        "claimed": each.claimed,
        "unit": "ratio" if each.is_ratio else "percentage points",
        **estimate_columns("measured", each.estimate),
        "nothing": each.nothing,
        "verdict": each.verdict,
        "networks": each.count,
        "reason": each.reason,
        "files": " ".join(each.files),
    }


def claimed_text(row: Row) -> str:
    """The claimed value: a ratio, or the loss of accuracy that still counts as comparable."""
    if row["scope"] == "equal time steps":
        return NOTHING
    if row["unit"] == "ratio":
        return f"{row['claimed']:g}"
    return f"≥ {number(row['claimed'], 1)} points"


def measured_text(row: Row) -> str:
    """The measured value with its interval; in the place of one that is not there, why."""
    ends = [row[f"measured_{end}"] for end in ("mean", "low", "high")]
    if pd.isna(ends[0]):
        return f"{NOTHING} ({row['nothing']})"
    few = f" ({few_words(int(row['measured_n']))})" if row["measured_n"] < ENOUGH else ""
    if row["unit"] == "ratio":
        return interval_text(ends[0], ends[1], ends[2], 3) + few
    return interval_text(ends[0], ends[1], ends[2], 2, sign=True) + " points" + few
