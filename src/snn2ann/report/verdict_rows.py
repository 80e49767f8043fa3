"""The verdicts of a study as front pages show them, read from its claims.json. Free of pandas: every Snakemake reads it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from snn2ann.errors import UserError
from snn2ann.files import read_json

HEADER = ("Claim", "Claimed", "Measured [95 % interval]", "Verdict")


def read_verdicts(claims: Path) -> list[dict[str, str]]:
    """Read the verdicts of a claims.json: claim, claimed, measured and verdict of each of the paper's claims, in words.

    Raises:
        UserError: the file is missing or holds no verdicts.
    """
    if not claims.exists():
        raise UserError(f"{claims}: missing; make the study first (snakemake --cores all)")
    content = read_json(claims)
    rows = content.get("verdicts") if isinstance(content, dict) else None
    if not rows:
        raise UserError(f"{claims}: holds no verdicts; remove it and make it again (snakemake --cores all claims)")
    return [{key: str(row[key]) for key in ("claim", "claimed", "measured", "verdict")} for row in rows]


def verdict_cells(rows: Sequence[Mapping[str, str]]) -> list[list[str]]:
    """A row of cells for each verdict, which stands out."""
    return [[row["claim"], row["claimed"], row["measured"], f"**{row['verdict']}**"] for row in rows]


def verdict_table(rows: Sequence[Mapping[str, str]]) -> str:
    """The verdicts as a table in Markdown."""
    from tabulate import tabulate

    return str(tabulate(verdict_cells(rows), HEADER, tablefmt="pipe", disable_numparse=True))
