"""metrics.json: what a study comes to, as nested maps of single values, which `dvc metrics` and `dvc exp show` lay out."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from snn2ann.files import read_json, write_json
from snn2ann.report.results import load_results


def make_metrics(study_folder: Path) -> None:
    """Write metrics.json in a study's folder, from its claims.json and results.csv.

    Raises:
        UserError: one of them can't be read.
    """
    claims = read_json(study_folder / "claims.json")
    write_json(study_folder / "metrics.json", metrics_content(claims, load_results(study_folder)))


def metrics_content(claims: Mapping[str, Any], results: pd.DataFrame) -> dict[str, Any]:
    """What metrics.json holds.

    Args:
        claims: content of claims.json.
        results: results.csv.

    Returns:
        "verdict" and "measured" by claim, over all networks and by network; "accuracy" of the two sides that the claims
        compare, the mean over seeds of the test accuracy at the T of training, by data set and network. What was not
        measured is not in it.
    """
    overall = [each for each in claims["findings"] if each["scope"] == "overall"]
    by_network: dict[str, dict[str, float]] = {}
    for each in claims["findings"]:
        if each["scope"] == "network" and each["measured_mean"] is not None:
            place = " ".join(filter(None, (each["dataset"], each["network"])))
            by_network.setdefault(each["claim"], {})[place] = each["measured_mean"]
    return {
        "verdict": {each["claim"]: each["verdict"] for each in overall},
        "measured": {each["claim"]: each["measured_mean"] for each in overall if each["measured_mean"] is not None},
        "by_network": by_network,
        "accuracy": {side: _accuracies(results, claims[side]) for side in ("headline", "reference")},
    }


def _accuracies(results: pd.DataFrame, side: Mapping[str, Any]) -> dict[str, float]:
    wanted = {key: value for key, value in side.items() if value not in (None, "")}
    steps = results["training_time_steps"]
    chosen = (results["measure"] == "accuracy") & (results["split"] == "test") & (results["time_steps"] == steps)
    for key, value in wanted.items():
        chosen &= results[key] == value
    places = results["dataset"] + " " + results["network"]
    return {str(place): float(value) for place, value in results[chosen].groupby(places)["value"].mean().items()}
