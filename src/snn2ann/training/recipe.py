"""Optimiser, learning-rate schedule and loss, as a recipe names them; the same for every method."""

from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, MultiStepLR, OneCycleLR

from snn2ann.errors import UserError

OPTIMISERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}


def build_optimiser(parameters: Any, recipe: dict[str, Any]) -> Optimizer:
    """Build the recipe's optimiser.

    Args:
        parameters: the model's parameters.
        recipe: optimizer, learning_rate, weight_decay.

    Raises:
        UserError: an optimiser that is not known.
    """
    name = recipe["optimizer"]
    if name not in OPTIMISERS:
        raise UserError(f"recipe optimizer: {name!r} is not known; expected one of {', '.join(OPTIMISERS)}")
    extra = {"momentum": 0.9, "nesterov": True} if name == "sgd" else {}
    return OPTIMISERS[name](parameters, lr=recipe["learning_rate"], weight_decay=recipe["weight_decay"], **extra)


def build_schedule(optimiser: Optimizer, recipe: dict[str, Any], batches: int) -> LRScheduler:
    """Build the learning-rate schedule, which advances once a batch.

    Args:
        optimiser: its learning rate is the schedule's start (multi-step) or peak (one-cycle).
        recipe: epochs and schedule: {kind: multi-step, milestones: [epochs], gamma} or {kind: one-cycle, warmup: fraction}.
        batches: batches an epoch.

    Raises:
        UserError: a schedule that is not known.
    """
    schedule = recipe["schedule"]
    if schedule["kind"] == "multi-step":
        milestones = [epoch * batches for epoch in schedule["milestones"]]
        return MultiStepLR(optimiser, milestones, schedule["gamma"])
    if schedule["kind"] == "one-cycle":
        total = recipe["epochs"] * batches
        return OneCycleLR(
            optimiser,
            recipe["learning_rate"],
            total_steps=total,
            pct_start=schedule["warmup"],
            cycle_momentum=False,
        )
    raise UserError(f"recipe schedule kind: {schedule['kind']!r}; expected multi-step or one-cycle")


def build_loss(recipe: dict[str, Any]) -> nn.Module:
    """Cross-entropy, with the recipe's label smoothing."""
    return nn.CrossEntropyLoss(label_smoothing=recipe["label_smoothing"])
