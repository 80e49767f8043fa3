"""claims.md and claims.json: every claim of the paper with a verdict that can be traced to files."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import pandas as pd
from tabulate import tabulate

from snn2ann.errors import UserError
from snn2ann.files import write_json, write_text
from snn2ann.report.agreement import agreement_content, compare_studies
from snn2ann.report.configurations import Configuration
from snn2ann.report.findings import Finding, findings, place_words
from snn2ann.report.selection import Comparison, comparison, find_cell
from snn2ann.report.statistics import EMPTY, interval_of
from snn2ann.report.study_data import StudyData, load_study
from snn2ann.report.table import estimate_columns
from snn2ann.report.table_files import write_table
from snn2ann.report.tables import TABLES
from snn2ann.report.tables.cell_columns import missing_notes
from snn2ann.report.tables.claims import claim_row, claimed_text, claims_table, measured_text
from snn2ann.report.verdict_rows import verdict_table
from snn2ann.report.verdicts import RULES

SENTENCES = {
    "comparable accuracy": "Accuracy comparable to spike-based BP",
    "time steps": "0.625× time steps",
    "training time": "0.377× training time",
    "GPU memory": "0.27× GPU memory",
    "spike activity": "0.33× spike activity",
}


def make_claims(study_folder: Path) -> None:
    """Write claims.md, claims.json, agreement.json and tables/claims.csv, .md, .tex, .html in a study's folder.

    Raises:
        UserError: study.json or results.csv can't be read; or, after all has been written, files of runs are wrong.
    """
    study = load_study(study_folder)
    found = findings(study)
    entry = TABLES["claims"]
    table = claims_table(found, missing_notes(study))
    write_table(table, study_folder / "tables" / "claims", entry.reading, entry.made("claims", study.name))
    write_text(study_folder / "claims.md", claims_markdown(study, found))
    write_json(study_folder / "claims.json", claims_content(study, found))
    write_json(study_folder / "agreement.json", _agreement(study_folder))
    study.finish("claims.md")


def _agreement(study_folder: Path) -> dict[str, Any]:
    """What agreement.json holds: the study beside its reference run in the documentation, if there is one."""
    reference = Path("docs/reference") / study_folder.name.removesuffix("-so-far")
    try:
        return agreement_content(compare_studies(study_folder, reference), study_folder, reference)
    except UserError as error:
        return {
            "here": str(study_folder),
            "there": str(reference),
            "differs": False,
            "summary": str(error),
            "values": [],
        }


def claims_content(study: StudyData, found: list[Finding]) -> dict[str, Any]:
    """What claims.json holds: the sides compared and every finding; null where nothing was measured."""
    sides = comparison(study)
    rows = [claim_row(each) | {"files": list(each.files)} for each in found]
    return {
        "study": study.name,
        "judged": [one.judged for one in sides.every()],
        "headline": dict(sides.headline),
        "beside": None if sides.beside is None else dict(sides.beside),
        "reference": dict(sides.reference),
        "accuracy_margin": sides.margin,
        "verdicts": verdict_rows(sides, found),
        "findings": [{key: _plain(value) for key, value in row.items()} for row in rows],
        "cells": [{key: _plain(value) for key, value in row.items()} for row in headline_cells(study)],
    }


def claims_markdown(study: StudyData, found: list[Finding]) -> str:
    """claims.md: the verdicts first, then each claim with its networks, its reasons and its files."""
    sides = comparison(study)
    parts = [
        f"# The paper's claims on the study `{study.name}`",
        _sides(sides),
        verdict_table(verdict_rows(sides, found)),
    ]
    parts += [f"**Incomplete.** {note}" for note in missing_notes(study)]
    for claim in dict.fromkeys(each.claim for each in found):
        for one in sides.every():
            rows = [row for row in found if (row.claim, row.judged) == (claim, one.judged)]
            parts.append(_section(rows, several=len(sides.every()) > 1))
    parts += ["## How verdicts are given", RULES.rstrip()]
    return "\n\n".join(parts) + "\n"


def _sides(sides: Comparison) -> str:
    order = [field.name for field in fields(Configuration)]

    def words(side: Mapping[str, Any]) -> str:
        return ", ".join(f"{key.replace('_', ' ')} {side[key]}" for key in order if side.get(key))

    judged = "; and ".join(words(one.headline) for one in sides.every())
    return (
        f"Compared: {judged}; with: {words(sides.reference)}. Margin of accuracy: {sides.margin:.1f} points. Intervals "
        "are 95 % t-intervals over paired seeds, or paired rounds of a measurement; ratios are geometric means with the "
        "interval of the log ratio."
    )


def verdict_rows(sides: Comparison, found: list[Finding]) -> list[dict[str, Any]]:
    """The verdicts in words, as front pages show them; see `verdict_rows.read_verdicts`."""
    rows: dict[str, dict[str, Any]] = {}
    for one in sides.every():
        for each in (each for each in found if each.scope == "overall" and each.judged == one.judged):
            claimed, measured = _values(each)
            words = SENTENCES.get(each.claim, each.claim)
            row = rows.setdefault(each.claim, {"claim": words, "claimed": claimed, "judged": []})
            own = {"measured": measured, "verdict": each.verdict, "networks": each.count}
            row["judged"].append({"name": one.judged, **own})
    return list(rows.values())


def headline_cells(study: StudyData) -> Iterator[dict[str, Any]]:
    """What the sides of the claims came to on each data set and network: accuracy and spikes, over seeds."""
    sides = comparison(study)
    named = {one.judged: one.headline for one in sides.every()} | {"reference": sides.reference}
    for place in study.places:
        for name, wanted in named.items():
            cell = find_cell(study, place, wanted)
            for measure in ("accuracy", "spikes_per_image"):
                estimate = interval_of(measure, study.values(cell, measure)) if cell else EMPTY
                labels = {"dataset": place[0], "network": place[1], "side": name, "measure": measure}
                yield labels | estimate_columns("measured", estimate)


def _values(each: Finding) -> list[str]:
    row: dict[Any, Any] = dict(claim_row(each))
    return [claimed_text(row), measured_text(row)]


def _section(rows: list[Finding], several: bool) -> str:
    overall = next(row for row in rows if row.scope == "overall")
    judged = f", {overall.judged}" if several else ""
    lines = [
        f"## {SENTENCES.get(overall.claim, overall.claim)}{judged}: {overall.verdict}",
        "",
        f"{overall.reason}.",
    ]
    for scope, title in (
        ("network", "By network"),
        ("equal time steps", "At equal time steps, for information"),
    ):
        chosen = [row for row in rows if row.scope == scope]
        if chosen:
            lines += ["", f"{title}:", "", _network_rows(chosen), ""]
            lines += [f"- {place_words(row) or row.claim}: {row.reason}." for row in chosen]
    files = dict.fromkeys(file for row in rows for file in row.files)
    if files:
        lines += ["", "From " + ", ".join(f"`{file}`" for file in files) + "."]
    return "\n".join(lines)


def _network_rows(rows: list[Finding]) -> str:
    cells = [[place_words(row), row.compared, *_values(row), row.estimate.n, row.verdict] for row in rows]
    header = ["Network", "Compared", "Claimed", "Measured [95 % interval]", "n", "Verdict"]
    return str(tabulate(cells, header, tablefmt="pipe", disable_numparse=True))


def _plain(value: Any) -> Any:
    """The value as JSON has it; null for what is not there and for the infinite."""
    if isinstance(value, list):
        return value
    return None if pd.isna(value) or value in (math.inf, -math.inf) else value
