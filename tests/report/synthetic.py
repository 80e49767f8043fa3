"""A made-up study in the layout of a real one: seeded, plausible numbers, every kind of file."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml

EVALUATED = list(range(1, 17))
LAYERS = {"vgg-small": 6, "resnet-small": 5}
HEADLINE = {
    "method": "snn2ann",
    "variant": "released",
    "mapping_unit": "resu",
    "ata": "training",
    "training_time_steps": 5,
}


@dataclass(frozen=True)
class Method:
    """One kind of run and how it behaves: final accuracy, spikes relative to spike-based BP, noisy-spike rate."""

    name: str
    time_steps: int | None = None
    variant: str | None = None
    mapping_unit: str | None = None
    ata: bool | None = None
    calibrated: bool = False
    accuracy: float = 0.97
    spikes: float = 1.0
    noise: float | None = None
    changed: dict[str, Any] = field(default_factory=dict)

    @property
    def spiking(self) -> bool:
        return self.name != "ann"


def _snn2ann(unit: str, ata: bool, accuracy: float, spikes: float, noise: float) -> Method:
    return Method("snn2ann", 5, "released", unit, ata, True, accuracy, spikes, noise)


METHODS = [
    Method("ann", accuracy=0.985),
    Method("stbp", 5, accuracy=0.972),
    Method("stbp", 8, accuracy=0.976),
    Method("conversion", calibrated=True, accuracy=0.965, spikes=1.6, noise=0.08),
    _snn2ann("resu", True, 0.971, 0.55, 0.04),
    _snn2ann("resu", False, 0.968, 0.7, 0.11),
    _snn2ann("stsu", True, 0.969, 0.6, 0.05),
    _snn2ann("stsu", False, 0.964, 0.8, 0.14),
]
DUMMY = Method("dummy", 4, accuracy=0.95, spikes=0.9, noise=0.07)


def write_study(
    root: Path,
    methods: list[Method] | None = None,
    networks: tuple[str, ...] = ("vgg-small", "resnet-small"),
    seeds: tuple[int, ...] = (0, 1, 2),
    cost: bool = True,
    dataset: str = "digits",
) -> Path:
    """Write study.json and all run folders under `root`; give the study's folder."""
    runs = []
    for network in networks:
        for method in METHODS if methods is None else methods:
            for seed in seeds:
                runs.append(_write_run(root / "runs", dataset, network, method, seed))
    name = "training_cost-0c057000.csv"
    if cost:
        _write(root / "measurements" / name, "\n".join(_cost_lines()) + "\n")
        names = {method.name for method in (METHODS if methods is None else methods)}
        lines = _inference_lines(dataset, networks, sorted(names))
        _write(root / "measurements" / "inference-0c057000.csv", "\n".join(lines) + "\n")
    report = {
        "headline": HEADLINE,
        "reference": {"method": "stbp", "training_time_steps": 8},
        "accuracy_margin": 1.0,
    }
    study = {
        "study": "synthetic",
        "digest": "5eed5eed",
        "runs": runs,
        "not_run": [],
        "training_cost": name if cost else None,
        "inference": "inference-0c057000.csv" if cost else None,
        "report": report,
        "parameters": {},
    }
    _write_json(root / "synthetic" / "study.json", study)
    return root / "synthetic"


def _write_run(runs: Path, dataset: str, network: str, method: Method, seed: int) -> dict[str, Any]:
    steps = f"_T{method.time_steps}" if method.time_steps else ""
    parts = [dataset, network, method.name + (method.mapping_unit or "") + str(method.ata)]
    draw = np.random.default_rng([seed, *"".join([*parts, steps, str(method.changed)]).encode()])
    name = f"{dataset}_{network}_{method.name}{steps}_s{seed}-{draw.integers(16**8):08x}"
    folder = runs / name
    options = {"mapping_unit": method.mapping_unit, "ata": method.ata} if method.mapping_unit else {}
    method_spec = {"name": method.name, "time_steps": method.time_steps, "options": options | method.changed}
    _write(folder / "run.yaml", yaml.safe_dump({"method": method_spec, "seed": seed}))
    layers = [f"conv{number + 1}" for number in range(LAYERS.get(network, 4))]
    epochs = 0 if method.name == "conversion" else 20
    speed = {"ann": 0.4, "stbp": 0.35 * (method.time_steps or 1)}.get(method.name, 1.1)
    _write(folder / "history.csv", "\n".join(_history_lines(draw, method, epochs, speed)) + "\n")
    _write(folder / "layers.csv", "\n".join(_layer_lines(draw, method, layers, epochs)) + "\n")
    training = {
        "parameters": 31000 if network.startswith("vgg") else 42000,
        "selected_epoch": max(epochs - 2, 0),
        "epochs": epochs,
        "seconds": round(speed * epochs, 3),
        "device": "cpu",
        "threads": 2,
        "machine": {"processor": "made up"},
        "versions": {"torch": "2"},
        "commit": None,
        "dirty": None,
    }
    _write_json(folder / "training.json", training)
    entries = list(_entries(draw, method, layers))
    _write_json(folder / "evaluation-e0e0e0e0.json", {"run": name, "entries": entries})
    if method.calibrated:
        _write_json(folder / "calibration-ca11b8a7.json", _calibration(method, layers))
    return {
        "name": name,
        "dataset": dataset,
        "network": network,
        "method": method.name,
        "variant": method.variant,
        "mapping_unit": method.mapping_unit,
        "ata": method.ata,
        "training_time_steps": method.time_steps,
        "seed": seed,
        "changed": method.changed,
        "evaluation": "evaluation-e0e0e0e0.json",
        "calibration": "calibration-ca11b8a7.json" if method.calibrated else None,
    }


def _history_lines(draw: np.random.Generator, method: Method, epochs: int, speed: float) -> Iterator[str]:
    yield (
        "epoch,seconds,learning_rate,train_loss,train_accuracy,"
        "validation_loss,validation_accuracy,ann_branch_validation_accuracy"
    )
    seconds = 0.0
    for epoch in range(1, epochs + 1):
        seconds += speed * draw.normal(1, 0.03)
        reached = 1 - 0.9 * np.exp(-epoch / 4)
        accuracy = method.accuracy * reached + draw.normal(0, 0.006)
        loss = 2.3 * np.exp(-epoch / 4) + 0.05 + abs(draw.normal(0, 0.02))
        branch = f"{min(accuracy + 0.004, 1):.4f}" if method.mapping_unit else ""
        yield (
            f"{epoch},{seconds:.4f},0.001,{loss:.5f},{accuracy:.4f},{loss * 1.1:.5f},{min(accuracy, 1):.4f},{branch}"
        )


def _layer_lines(draw: np.random.Generator, method: Method, layers: list[str], epochs: int) -> Iterator[str]:
    yield "epoch,layer,noisy_spike_rate,threshold_mean,threshold_minimum,threshold_maximum,firing_rate"
    if method.noise is None or not epochs:
        return
    for epoch in range(epochs + 1):
        for index, layer in enumerate(layers):
            rise = 0.25 * (1 - np.exp(-epoch / 6)) * (index + 1) / len(layers) if method.ata else 0.0
            noise = method.noise * (0.5 + index / len(layers)) * (1 + 2 * np.exp(-epoch / 3))
            noise *= draw.normal(1, 0.05)
            yield (
                f"{epoch},{layer},{noise:.5f},{0.5 + rise:.4f},{0.001 + rise:.4f},"
                f"{0.999 + rise:.4f},{0.12 - 0.01 * index:.4f}"
            )


def _entries(draw: np.random.Generator, method: Method, layers: list[str]) -> Iterator[dict[str, Any]]:
    shift = float(draw.normal(0, 0.004))
    kinds = [("selected", "trained", "validation"), ("selected", "trained", "test"), ("last", "trained", "test")]
    if method.calibrated:
        kinds += [("selected", "calibrated", "validation"), ("selected", "calibrated", "test")]
    for checkpoint, thresholds, split in kinds:
        moved = shift - 0.002 * (checkpoint == "last") - 0.005 * (thresholds == "calibrated")
        yield _entry(draw, method, layers, (checkpoint, thresholds, split), moved)


def _entry(
    draw: np.random.Generator, method: Method, layers: list[str], kind: tuple[str, str, str], shift: float
) -> dict[str, Any]:
    checkpoint, thresholds, split = kind
    steps = EVALUATED if method.spiking else []
    calm = 0.3 if thresholds == "calibrated" else 1.0
    spikes = [(2400 * method.spikes + 9000 * shift) * t * (0.8 + 0.2 * calm) for t in steps]
    slow = 6.0 if method.name == "conversion" else 1.3
    per_layer = []
    for index, layer in enumerate(layers):
        noise = None if method.noise is None else method.noise * calm * (0.5 + index / len(layers))
        noise = None if noise is None else noise * float(draw.normal(1, 0.05))
        share = [value / len(layers) for value in spikes]
        agreement = None if method.noise is None else 0.95 - 0.02 * index - 0.3 * (noise or 0)
        per_layer.append(
            {
                "name": layer,
                "neurons": 4096,
                "spikes_per_image": share,
                "noisy_spike_rate": noise,
                "agreement": agreement,
            }
        )
    return {
        "checkpoint": checkpoint,
        "thresholds": thresholds,
        "split": split,
        "images": 360,
        "ann_accuracy": method.accuracy + shift if not method.spiking or method.mapping_unit else None,
        "time_steps": steps,
        "accuracy": [min((method.accuracy + shift) * (1 - 0.75 * float(np.exp(-t / slow))), 1) for t in steps],
        "spikes_per_image": spikes,
        "firing_rate": [value / (4096 * len(layers) * t) for value, t in zip(spikes, steps, strict=True)],
        "synaptic_operations": [value * 150 for value in spikes],
        "multiply_accumulates": 120_000 if method.spiking else 2_500_000,
        "energy": [120_000 * 4.6e-12 + value * 150 * 0.9e-12 for value in spikes],
        "ann_energy": None if method.spiking else 2_500_000 * 4.6e-12,
        "layers": per_layer,
        "confusion": _confusion(method.accuracy + shift),
        "confusion_time_steps": method.time_steps or 5,
    }


def _confusion(accuracy: float, classes: int = 4, images: int = 90) -> list[list[int]]:
    """Images by class and answer: what is wrong is taken for the next class."""
    right = round(min(accuracy, 1) * images)
    wrong = [[0] * classes for _ in range(classes)]
    for each, row in enumerate(wrong):
        row[each], row[(each + 1) % classes] = right, images - right
    return wrong


def _calibration(method: Method, layers: list[str]) -> dict[str, Any]:
    noise = method.noise or 0.0
    passes = [
        {
            "pass": number,
            "noisy_spike_rate": dict.fromkeys(layers, noise * 0.7**number),
            "threshold_mean": dict.fromkeys(layers, 0.5 + 0.05 * number),
            "validation_accuracy": method.accuracy,
        }
        for number in range(5)
    ]
    return {"time_steps": 5, "target": 0.02, "reached": False, "passes": passes}


def _cost_lines() -> Iterator[str]:
    yield (
        "network,method,variant,library,time_steps,batch_size,precision,device,threads,round,seconds,"
        "saved_bytes,peak_bytes,machine"
    )
    draw = np.random.default_rng(1)
    for network, base in (("vgg13", 1.4), ("resnet17", 0.9)):
        for number in range(7):
            timed = [(method, steps) for method in ("stbp", "snn2ann") for steps in (1, 2, 4, 5, 8, 16)]
            for method, steps in [("ann", None), *timed]:
                forwards = {"ann": 3.0, "snn2ann": (steps or 0) + 3.0, "stbp": 3.0 * (steps or 1)}[method]
                saved = {"ann": 1.0, "snn2ann": 1.15, "stbp": 0.95 * (steps or 1)}[method]
                library = "spikingjelly" if method == "stbp" else "snn2ann"
                variant = "released" if method == "snn2ann" else ""
                yield (
                    f"{network},{method},{variant},{library},{steps or ''},16,float32,cpu,2,{number},"
                    f"{base * forwards * draw.normal(1, 0.02):.4f},{int(saved * base * 9e7)},,made up"
                )


def _inference_lines(dataset: str, networks: tuple[str, ...], methods: list[str]) -> Iterator[str]:
    yield "dataset,network,method,variant,library,time_steps,batch_size,device,threads,round,seconds,machine"
    draw = np.random.default_rng(2)
    for network in networks:
        for number in range(1, 6):
            for method in methods:
                variant = "released" if method == "snn2ann" else ""
                for steps in (None,) if method == "ann" else (1, 2, 4, 5, 8, 16):
                    seconds = 0.003 * (steps or 1) * draw.normal(1, 0.05)
                    yield f"{dataset},{network},{method},{variant},own,{steps or ''},64,cpu,2,{number},{seconds:.6f},made up"


def _write(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def _write_json(path: Path, content: Any) -> None:
    _write(path, json.dumps(content))
