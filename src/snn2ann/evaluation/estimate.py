"""How much arithmetic and memory a study's training is, worked out from its parameters alone, before anything runs."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from snn2ann.evaluation.arithmetic import image_operations
from snn2ann.evaluation.pretended import held_bytes
from snn2ann.methods import METHODS
from snn2ann.methods.build import build_model
from snn2ann.specs import training_images
from snn2ann.study import Run

# Operations a second that training sustains: the paper's networks on a GPU, small ones on cores; and in bfloat16, by its
# matrix units, on a GPU.
SUSTAINED = {"gpu": 2e13, "cpu": 2e10}
IN_BFLOAT16 = 3.0
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
        precision: "fp32", "tf32" or "bf16".
        recipe: its name.
        micro_batches: parts in which a batch is run.
        saved_bytes: what a training step of a run keeps for backward.
        held_bytes: that, and its weights, their gradients and two moments; what a step needs for a moment comes to it.
    """

    dataset: str
    network: str
    method: str
    time_steps: int | None
    runs: int
    passes: int
    operations: float
    precision: str
    recipe: str
    micro_batches: int
    saved_bytes: int
    held_bytes: int

    def hours(self, teraflops: float | None = None) -> float:
        """Hours on a GPU, at so many 10^12 operations a second; by its precision where they are not said."""
        sustained = SUSTAINED["gpu"] * (IN_BFLOAT16 if self.precision == "bf16" else 1)
        return self.operations / (teraflops * 1e12 if teraflops else sustained) / 3600


def estimate(runs: Sequence[Run]) -> list[Estimate]:
    """Estimate the training of runs, group by group; methods that don't train are left out."""
    groups: dict[tuple[str | int | None, ...], list[Run]] = {}
    for run in runs:
        if any(METHODS[run.method].passes):
            key = (run.dataset, run.network, run.method, run.training_time_steps, run.recipe)
            groups.setdefault(key, []).append(run)
    return [_group(members) for members in groups.values()]


def time_limit(run: Run, gpu: bool) -> int:
    """Minutes to ask of a queue for the training of a run; a network that is converted is not trained."""
    operations = _operations(run.spec) if any(METHODS[run.method].passes) else 0
    minutes = SAFETY * operations / SUSTAINED["gpu" if gpu else "cpu"] / 60
    return min(START_MINUTES + math.ceil(minutes), LONGEST_MINUTES)


def _group(runs: list[Run]) -> Estimate:
    one, recipe = runs[0], runs[0].spec["recipe"]
    saved, weights = held_bytes(one.spec)
    if recipe.get("cuda_graph"):
        # It keeps its memory while the last, smaller batch of an epoch is run beside it.
        saved += saved * (training_images(one.spec["dataset"]) % recipe["batch_size"]) // recipe["batch_size"]
    return Estimate(
        one.dataset,
        one.network,
        one.method,
        one.training_time_steps,
        len(runs),
        _passes(one.spec),
        _operations(one.spec) * len(runs),
        recipe["precision"],
        one.recipe,
        recipe.get("micro_batches", 1),
        saved,
        saved + weights,
    )


def _passes(spec: Mapping[str, Any]) -> int:
    each_step, once = METHODS[spec["method"]["name"]].passes
    return each_step * (spec["method"]["time_steps"] or 0) + once


def _operations(spec: Mapping[str, Any]) -> float:
    """Of one run."""
    images = training_images(spec["dataset"]) * spec["recipe"]["epochs"]
    return 2.0 * _multiply_accumulates(spec) * _passes(spec) * images


def too_large(groups: Sequence[Estimate], memory: int) -> Iterator[str]:
    """Say of which groups of runs a training step does not fit into so many bytes, and what to change."""
    for group in groups:
        if group.held_bytes <= memory:
            continue
        steps = f" at T = {group.time_steps}" if group.time_steps else ""
        # What does not grow with the batch stays; the part that is held now may be one of several.
        room = memory - (group.held_bytes - group.saved_bytes)
        parts = math.ceil(group.micro_batches * group.saved_bytes / room) if room > 0 else 0
        cure = f"micro_batches: {parts} or more" if parts else "a smaller network"
        yield (
            f"recipes.{group.recipe}: a training step of {group.method}{steps} on {group.network} holds "
            f"{group.held_bytes / 2**30:.1f} GiB, and there are {memory / 2**30:.1f}; expected {cure}"
        )


def _multiply_accumulates(spec: Mapping[str, Any]) -> int:
    plain: dict[str, Any] = {"name": "ann", "time_steps": None, "options": {}}
    with torch.device("meta"):
        return image_operations(build_model({**spec, "method": plain}).network).all
