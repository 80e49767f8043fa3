"""How much arithmetic a study's training is, worked out from its parameters alone, before anything runs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from snn2ann.data import DATASETS
from snn2ann.evaluation.arithmetic import image_operations
from snn2ann.methods import METHODS
from snn2ann.methods.build import build_model
from snn2ann.study import Run

# Operations a second that training sustains: the paper's networks on a GPU, small ones on cores.
SUSTAINED = {"gpu": 2e13, "cpu": 2e10}
# A job is given this times what the estimate says, and time to start. No queue takes longer ones than a week.
SAFETY = 2.0
START_MINUTES = 10
LONGEST_MINUTES = 7 * 24 * 60


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


def time_limit(run: Run, gpu: bool) -> int:
    """Minutes to ask of a queue for the training of a run; a network that is converted is not trained."""
    operations = sum(group.operations for group in estimate([run]))
    minutes = SAFETY * operations / SUSTAINED["gpu" if gpu else "cpu"] / 60
    return min(START_MINUTES + math.ceil(minutes), LONGEST_MINUTES)


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
    images = dataset["parts"]["train"] if "parts" in dataset else DATASETS[dataset["name"]].images
    return images * (1 - dataset.get("test", 0) - dataset.get("validation", 0))


def _multiply_accumulates(spec: dict[str, Any]) -> int:
    plain: dict[str, Any] = {"name": "ann", "time_steps": None, "options": {}}
    with torch.device("meta"):
        return image_operations(build_model(spec | {"method": plain}).network).all
