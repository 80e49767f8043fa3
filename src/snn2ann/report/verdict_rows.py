"""The verdicts of a study as front pages show them, read from its claims.json. Free of pandas: every Snakemake reads it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from snn2ann.errors import UserError
from snn2ann.files import read_json

VerdictRow = Mapping[str, Any]


def read_verdicts(claims: Path) -> list[dict[str, Any]]:
    """Read the verdicts of a claims.json.

    Returns:
        For each of the paper's claims its words (`claim`), what is claimed (`claimed`), and `judged`: for each variant
        that was judged its `name`, the value `measured`, the `verdict` and how many `networks` hold, in words.

    Raises:
        UserError: the file is missing or holds no verdicts.
    """
    if not claims.exists():
        raise UserError(f"{claims}: missing; make the study first (snakemake --cores all)")
    content = read_json(claims)
    rows = content.get("verdicts") if isinstance(content, dict) else None
    if not rows or "judged" not in rows[0]:
        raise UserError(f"{claims}: holds no verdicts; remove it and make it again (snakemake --cores all claims)")
    return list(rows)


def verdict_header(rows: Sequence[VerdictRow]) -> list[str]:
    """The header: a column for each variant that was judged."""
    names = {"released": "As released", "refined": "Refined"}
    return ["Claim", "Claimed", *(names.get(each["name"], each["name"]) for each in rows[0]["judged"])]


def verdict_cells(rows: Sequence[VerdictRow]) -> list[list[str]]:
    """A row of cells for each claim: the value with its interval first, then the verdict, which stands out."""
    return [[row["claim"], row["claimed"], *(_cell(each) for each in row["judged"])] for row in rows]


def _cell(judged: VerdictRow) -> str:
    networks = f" ({judged['networks']})" if judged["networks"] else ""
    return f"{judged['measured']}: **{judged['verdict']}**{networks}"


def verdict_table(rows: Sequence[VerdictRow]) -> str:
    """The verdicts as a table in Markdown."""
    from tabulate import tabulate

    return str(tabulate(verdict_cells(rows), verdict_header(rows), tablefmt="pipe", disable_numparse=True))
