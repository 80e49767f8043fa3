"""How much arithmetic a study's training is, worked out from its parameters alone, before anything runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from snn2ann.data import DATASETS
from snn2ann.evaluation.arithmetic import image_operations
from snn2ann.methods import METHODS
from snn2ann.methods.build import build_model
from snn2ann.study import Run


@dataclass(frozen=True)
class Estimate:
    """A group of runs that cost the same.

    Attributes:
        passes: forward passes of the plain network that one training step is worth, a backward counting as two:
            3 for a plain ANN, T + 3 for SNN2ANN, 3T for spike-based backpropagation.
        operations: floating-point operations of all runs of the group, a multiply-accumulate counting as two.
    """

    dataset: str
    network: str
    method: str
    time_steps: int | None
    runs: int
    passes: int
    operations: float


def estimate(runs: Sequence[Run]) -> list[Estimate]:
    """Estimate the training of runs, group by group; methods that don't train are left out."""
    groups: dict[tuple[str, str, str, int | None], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.dataset, run.network, run.method, run.training_time_steps), []).append(run)
    return [found for key, members in groups.items() if (found := _group(*key, members)).passes]


def _group(dataset: str, network: str, method: str, time_steps: int | None, runs: list[Run]) -> Estimate:
    spec = runs[0].spec
    each_step, once = METHODS[method].passes
    passes = each_step * (time_steps or 0) + once
    images = _training_images(spec["dataset"]) * spec["recipe"]["epochs"]
    operations = 2.0 * _multiply_accumulates(spec) * passes * images * len(runs)
    return Estimate(dataset, network, method, time_steps, len(runs), passes, operations)


def _training_images(dataset: dict[str, Any]) -> float:
    if dataset.get("train_images"):
        return float(dataset["train_images"])
    return DATASETS[dataset["name"]].images * (1 - dataset.get("test", 0) - dataset["validation"])


def _multiply_accumulates(spec: dict[str, Any]) -> int:
    plain: dict[str, Any] = {"name": "ann", "time_steps": None, "options": {}}
    with torch.device("meta"):
        return image_operations(build_model(spec | {"method": plain}).network).all
