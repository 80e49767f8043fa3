"""A study of few numbers, written down by hand, so that every cell of a table can be worked out on paper."""

import json
from pathlib import Path
from typing import Any

from snn2ann.report.results import COLUMNS

HEADLINE = {
    "method": "snn2ann",
    "variant": "released",
    "mapping_unit": "resu",
    "ata": "training",
    "training_time_steps": 5,
}
# Three seeds a row, one apart: mean the middle one, standard deviation one step, half interval 2.4841 steps.
ACCURACY = {
    ("ann", None): (0.95, 0.96, 0.97),
    ("stbp", 5): (0.91, 0.92, 0.93),
    ("stbp", 8): (0.93, 0.94, 0.95),
    ("snn2ann", 5): (0.925, 0.935, 0.945),
}
SPIKES = {("stbp", 5): 5000, ("stbp", 8): 8000, ("snn2ann", 5): 2000}
INFERENCE = {("ann", None): 0.01, ("stbp", 5): 0.05, ("stbp", 8): 0.08, ("snn2ann", 5): 0.04}
COST = {("ann", None): (3.0, 100), ("stbp", 5): (15.0, 500), ("stbp", 8): (24.0, 800), ("snn2ann", 5): (8.0, 120)}


def write_hand_made(root: Path, without: tuple[str, ...] = (), seeds: tuple[int, ...] = (0, 1, 2)) -> Path:
    """Write study.json, results.csv and a measurement; runs whose name is in `without` have no results."""
    runs = [_descriptor(method, steps, seed) for method, steps in ACCURACY for seed in seeds]
    rows = [row for run in runs if run["name"] not in without for row in _rows(run)]
    study = {
        "study": "hand",
        "digest": "0" * 8,
        "runs": runs,
        "not_run": [],
        "training_cost": "training_cost-00000000.csv",
        "inference": "inference-00000000.csv",
        "report": {
            "headline": HEADLINE,
            "reference": {"method": "stbp", "training_time_steps": 8},
            "accuracy_margin": 1.0,
        },
        "parameters": {},
    }
    folder = root / "hand"
    folder.mkdir(parents=True)
    (folder / "study.json").write_text(json.dumps(study))
    lines = [",".join(COLUMNS)] + [",".join(str(row.get(key, "")) for key in COLUMNS) for row in rows]
    (folder / "results.csv").write_text("\n".join(lines) + "\n")
    (root / "measurements").mkdir()
    (root / "measurements" / "training_cost-00000000.csv").write_text("\n".join(_cost_lines()) + "\n")
    (root / "measurements" / "inference-00000000.csv").write_text("\n".join(_inference_lines()) + "\n")
    return folder


def _descriptor(method: str, steps: int | None, seed: int) -> dict[str, Any]:
    own = method == "snn2ann"
    return {
        "name": f"digits_vgg-small_{method}_T{steps}_s{seed}-00000000",
        "dataset": "digits",
        "network": "vgg-small",
        "method": method,
        "variant": "released" if own else None,
        "mapping_unit": "resu" if own else None,
        "ata": True if own else None,
        "training_time_steps": steps,
        "seed": seed,
        "changed": {},
        "evaluation": "evaluation-00000000.json",
        "calibration": None,
    }


def _rows(run: dict[str, Any]) -> list[dict[str, Any]]:
    key = (run["method"], run["training_time_steps"])
    labels = {name: run[name] or "" for name in ("dataset", "network", "method", "variant", "mapping_unit")}
    labels |= {"ata": "training" if run["ata"] else "", "seed": run["seed"], "split": "test", "run": run["name"]}
    labels |= {"training_time_steps": key[1] or "", "time_steps": key[1] or ""}
    accuracy = ACCURACY[key][run["seed"]]
    rows = [labels | {"measure": "accuracy", "value": accuracy}]
    rows.append(labels | {"measure": "accuracy_last_epoch", "value": accuracy - 0.01})
    rows.append(labels | {"measure": "epoch_seconds", "value": 2.0 * (key[1] or 1), "split": "train"})
    if key in SPIKES:
        rows.append(labels | {"measure": "spikes_per_image", "value": SPIKES[key]})
        rows.append(labels | {"measure": "energy", "value": SPIKES[key] * 1e-9})
    else:
        rows.append(labels | {"measure": "energy", "value": 1e-5})
    if key[0] == "snn2ann":
        rows.append(labels | {"measure": "noisy_spike_rate", "value": 0.04})
        rows.append(labels | {"measure": "accuracy", "value": accuracy - 0.002, "time_steps": 4})
        rows.append(labels | {"measure": "accuracy", "value": accuracy - 0.03, "time_steps": 3})
    return rows


def _cost_lines() -> list[str]:
    lines = [
        "network,method,variant,library,time_steps,batch_size,precision,device,threads,round,seconds,"
        "saved_bytes,peak_bytes,machine"
    ]
    for number in range(3):
        for (method, steps), (seconds, mebibytes) in COST.items():
            variant = "released" if method == "snn2ann" else ""
            lines.append(
                f"vgg13,{method},{variant},own,{steps or ''},16,float32,cpu,2,{number},{seconds * (1 + number)},"
                f"{mebibytes * 2**20},,here"
            )
    return lines


def _inference_lines() -> list[str]:
    """Batches of 10; each round takes as long again as the first."""
    lines = ["dataset,network,method,variant,library,time_steps,batch_size,device,threads,round,seconds,machine"]
    for number in range(3):
        for (method, steps), seconds in INFERENCE.items():
            variant = "released" if method == "snn2ann" else ""
            time = seconds * (1 + number)
            lines.append(f"digits,vgg-small,{method},{variant},own,{steps or ''},10,cpu,2,{number},{time},here")
    return lines


def measure_a_second_variant(root: Path, seconds: float) -> None:
    """Add the step of the refined variant at T = 5 to the measurement: as long in every round."""
    path = root / "measurements" / "training_cost-00000000.csv"
    lines = path.read_text().splitlines()
    own = [line.split(",") for line in lines if line.startswith("vgg13,snn2ann,released,own,5,")]
    at = lines[0].split(",").index("seconds")
    new = [",".join([*each[:2], "refined", *each[3:at], str(seconds), *each[at + 1 :]]) for each in own]
    path.write_text("\n".join([*lines, *new]) + "\n")
