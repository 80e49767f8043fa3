"""What verdicts rest on, in two sentences for a front page: how many values, of which networks, on which machine."""

from collections.abc import Mapping, Sequence
from typing import Any

from snn2ann.report.configurations import network_name
from snn2ann.report.verdicts import NOT_CLAIMED, UNKNOWN


def rests_on(findings: Sequence[Mapping[str, Any]], made_with: Mapping[str, Sequence[Any]]) -> str:
    """Say it.

    Args:
        findings: of a claims.json.
        made_with: the machines, devices, threads and versions of the study's runs.
    """
    seeds, rounds = _counted(findings, of_runs=True), _counted(findings, of_runs=False)
    parts = [f"Accuracy, time steps and spikes: {seeds}."] if seeds else []
    parts += [f"Training time and memory: {rounds}."] if rounds else []
    return " ".join([*parts, f"Made on {_machines(made_with)}."])


def _counted(findings: Sequence[Mapping[str, Any]], *, of_runs: bool) -> str:
    """Number of values by network: seeds of what runs came to on a data set, else rounds of a measurement."""
    counts: dict[str, int] = {}
    for row in findings:
        judged = row["scope"] == "network" and row["verdict"] not in (NOT_CLAIMED, UNKNOWN)
        if judged and bool(row["dataset"]) == of_runs:
            place = network_name(row["network"]) + (f" on {row['dataset']}" if of_runs else "")
            counts[place] = int(row["measured_n"])
    unit = "seeds" if of_runs else "rounds"
    numbers = sorted(set(counts.values()))
    groups = [(number, [place for place, count in counts.items() if count == number]) for number in numbers]
    return "; ".join(f"n = {number} {unit} of {' and of '.join(places)}" for number, places in groups)


def _machines(made_with: Mapping[str, Sequence[Any]]) -> str:
    machines = [
        f"{each.get('cores', '?')} cores of {each['processor']}"
        + (f" with {each['kernels']}" if "kernels" in each else "")
        for each in made_with["machine"]
    ]
    versions = [f"Python {each.get('python', '?')} and PyTorch {each['torch']}" for each in made_with["versions"]]
    devices, threads = (", ".join(map(str, made_with[key])) for key in ("device", "threads"))
    return f"{', '.join(machines)} (device: {devices}; threads of a job: {threads}), with {', '.join(versions)}"
