"""Optimiser, learning-rate schedule and loss, as a recipe names them; the same for every method."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, MultiStepLR, OneCycleLR

from snn2ann.parameters.recipe import MultiStep, Recipe

OPTIMISERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}


def build_optimiser(parameters: Any, recipe: Recipe) -> Optimizer:
    """Build the recipe's optimiser for a model's parameters."""
    parameters = list(parameters)
    extra: dict[str, Any] = {"momentum": 0.9, "nesterov": True} if recipe.optimizer == "sgd" else {}
    rate: float | Tensor = recipe.learning_rate
    device = parameters[0].device
    # One kernel for all parameters; on a CPU PyTorch's choice, and its last bits, stay.
    if device.type == "cuda" or recipe.cuda_graph:
        extra["fused"] = True
    if recipe.cuda_graph:
        # A graph reads it anew at every step.
        rate = torch.tensor(rate, device=device)
        if recipe.optimizer != "sgd":
            extra["capturable"] = device.type == "cuda"
    return OPTIMISERS[recipe.optimizer](parameters, lr=rate, weight_decay=recipe.weight_decay, **extra)


def build_schedule(optimiser: Optimizer, recipe: Recipe, batches: int) -> LRScheduler:
    """Build the learning-rate schedule, which advances once a batch.

    Args:
        optimiser: its learning rate is the schedule's start (multi-step) or peak (one-cycle).
        recipe: its epochs and schedule.
        batches: batches an epoch.
    """
    schedule = recipe.schedule
    if isinstance(schedule, MultiStep):
        return MultiStepLR(optimiser, [epoch * batches for epoch in schedule.milestones], schedule.gamma)
    return OneCycleLR(
        optimiser,
        recipe.learning_rate,
        total_steps=recipe.epochs * batches,
        pct_start=schedule.warmup,
        cycle_momentum=False,
    )


def build_loss(recipe: Recipe) -> nn.Module:
    """Cross-entropy, with the recipe's label smoothing."""
    return nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing)
