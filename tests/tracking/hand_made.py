"""Runs and a study made by hand, and what a store holds of them."""

import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

import yaml
from mlflow import MlflowClient
from mlflow.entities import Run

from snn2ann.files import write_csv, write_json, write_text
from snn2ann.tracking.store import NAME_TAG

NAMES = ("digits_vgg_ann_s0-00000001", "digits_vgg_snn2ann_T2_s0-00000002")
HISTORY = [
    {
        "epoch": 1,
        "seconds": 0.5,
        "train_loss": 2.25,
        "validation_accuracy": 0.25,
        "ann_branch_validation_accuracy": None,
    },
    {
        "epoch": 2,
        "seconds": 1.5,
        "train_loss": 1.125,
        "validation_accuracy": 0.5,
        "ann_branch_validation_accuracy": None,
    },
]
LAYERS = [
    {"epoch": epoch, "layer": "block1", "noisy_spike_rate": rate} for epoch, rate in ((0, None), (1, 0.25), (2, 0.125))
]


def entry(split: str, thresholds: str, accuracy: list[float]) -> dict[str, Any]:
    """One entry of an evaluation; an ANN's lists are empty."""
    return {
        "checkpoint": "selected",
        "thresholds": thresholds,
        "split": split,
        "ann_accuracy": 0.75,
        "time_steps": list(range(1, len(accuracy) + 1)),
        "accuracy": accuracy,
        **{name: [10.0 * value for value in accuracy] for name in ("spikes_per_image", "firing_rate")},
        **{name: [20.0 * value for value in accuracy] for name in ("synaptic_operations", "energy")},
    }


def write_run(folder: Path, method: str, entries: list[dict[str, Any]]) -> None:
    spec = {
        "dataset": {"name": "digits", "digest": "0123abcd"},
        "method": {"name": method, "options": {"ata": method == "snn2ann", "reset": "zero"}},
        "recipe": {"epochs": 2, "schedule": {"kind": "multi-step", "milestones": [1]}},
        "seed": 0,
        "source": None,
    }
    write_text(folder / "run.yaml", yaml.safe_dump(spec))
    write_csv(folder / "history.csv", list(HISTORY[0]), HISTORY)
    write_csv(folder / "layers.csv", list(LAYERS[0]), LAYERS if method == "snn2ann" else [])
    training = {
        "parameters": 1234,
        "selected_epoch": 2,
        "seconds": 1.5,
        "device": "cpu",
        "commit": "c" * 40,
        "dirty": False,
    }
    write_json(folder / "training.json", training | {"machine": {"system": "Linux", "cores": 2}})
    write_json(folder / "evaluation-0000000a.json", {"run": folder.name, "entries": entries})


def descriptor(name: str, method: str) -> dict[str, Any]:
    return {
        "name": name,
        "dataset": "digits",
        "network": "vgg",
        "method": method,
        "variant": "released" if method == "snn2ann" else None,
        "mapping_unit": "stsu" if method == "snn2ann" else None,
        "ata": True if method == "snn2ann" else None,
        "training_time_steps": 2 if method == "snn2ann" else None,
        "seed": 0,
        "evaluation": "evaluation-0000000a.json",
        "calibration": None,
    }


def client(study: Path) -> MlflowClient:
    return MlflowClient(f"sqlite:///{study.parents[1] / 'mlflow.db'}")


def tracked(study: Path, name: str = "small") -> dict[str, Run]:
    """Runs of the study's experiment by name."""
    found = client(study).get_experiment_by_name(name)
    assert found is not None
    runs = client(study).search_runs([found.experiment_id])
    by_name = {run.data.tags[NAME_TAG]: run for run in runs}
    assert len(by_name) == len(runs)
    return by_name


def history(study: Path, run: Run, metric: str) -> list[tuple[int, float]]:
    return sorted((point.step, point.value) for point in client(study).get_metric_history(run.info.run_id, metric))


def points(study: Path, run: Run) -> Counter[tuple[str, int, float]]:
    """Every point that the store has of a run, but what the machine did meanwhile."""
    names = [name for name in run.data.metrics if not name.startswith("system/")]
    return Counter((name, *each) for name in names for each in history(study, run, name))


def points_of_files(folder: Path, evaluation: str, trained_steps: int | None) -> Counter[tuple[str, int, float]]:
    """Every point that a run's files stand for, read apart from the code under test."""
    training = json.loads((folder / "training.json").read_text())
    found = [(f"training_{key}", 0, float(training[key])) for key in ("parameters", "selected_epoch", "seconds")]
    for row in csv.DictReader((folder / "history.csv").open()):
        found += [(key, int(row["epoch"]), float(row[key])) for key in row if key != "epoch" and row[key]]
    for row in csv.DictReader((folder / "layers.csv").open()):
        layer, epoch = row.pop("layer"), int(row.pop("epoch"))
        found += [(f"{key}/{layer}", epoch, float(value)) for key, value in row.items() if value]
    for entry in json.loads((folder / evaluation).read_text())["entries"]:
        name = "last_epoch_" * (entry["checkpoint"] == "last") + "calibrated_" * (entry["thresholds"] == "calibrated")
        name += entry["split"]
        if entry["ann_accuracy"] is not None:
            found += [(f"{name}_ann_accuracy", 0, entry["ann_accuracy"])]
            found += [(f"{name}_accuracy", 0, entry["ann_accuracy"])] * (not entry["time_steps"])
        for measure in ("accuracy", "spikes_per_image", "firing_rate", "synaptic_operations", "energy"):
            over = list(zip(entry["time_steps"], entry[measure], strict=True))
            found += [(f"{name}_{measure}_over_time_steps", steps, value) for steps, value in over]
            if over:
                reported = dict(over).get(trained_steps, over[-1][1])
                found.append((f"{name}_{measure}", 0, reported))
    return Counter(found)
