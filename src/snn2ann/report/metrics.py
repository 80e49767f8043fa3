"""metrics.json: what a study comes to, as nested maps of single values, which `dvc metrics` and `dvc exp show` lay out."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from snn2ann.files import read_json, write_json
from snn2ann.report.selection import comparison, find_cell
from snn2ann.report.study_data import StudyData, load_study


def make_metrics(study_folder: Path) -> None:
    """Write metrics.json in a study's folder, from its claims.json and results.csv.

    Raises:
        UserError: one of them can't be read.
    """
    claims = read_json(study_folder / "claims.json")
    write_json(study_folder / "metrics.json", metrics_content(claims, load_study(study_folder)))


def metrics_content(claims: Mapping[str, Any], study: StudyData) -> dict[str, Any]:
    """What metrics.json holds.

    Args:
        claims: content of claims.json.
        study: its results.

    Returns:
        "verdict" and "measured" of the headline by claim, over all networks and by network; "accuracy" of the two
        sides that the claims
        compare, the mean over seeds of the test accuracy at the T of training, by data set and network. What was not
        measured is not in it.
    """
    judged = comparison(study).judged
    found = [each for each in claims["findings"] if each["judged"] == judged]
    overall = [each for each in found if each["scope"] == "overall"]
    by_network: dict[str, dict[str, float]] = {}
    for each in found:
        if each["scope"] == "network" and each["measured_mean"] is not None:
            place = " ".join(filter(None, (each["dataset"], each["network"])))
            by_network.setdefault(each["claim"], {})[place] = each["measured_mean"]
    return {
        "verdict": {each["claim"]: each["verdict"] for each in overall},
        "measured": {each["claim"]: each["measured_mean"] for each in overall if each["measured_mean"] is not None},
        "by_network": by_network,
        "accuracy": {side: _accuracies(study, claims[side]) for side in ("headline", "reference")},
    }


def _accuracies(study: StudyData, side: Mapping[str, Any]) -> dict[str, float]:
    cells = {" ".join(place): find_cell(study, place, side) for place in study.places}
    values = {place: study.values(cell, "accuracy") for place, cell in cells.items() if cell is not None}
    return {place: float(found.mean()) for place, found in values.items() if len(found)}
