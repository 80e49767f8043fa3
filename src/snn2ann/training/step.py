"""One step of a training: the gradient of a batch, in parts where the recipe says so, and the optimiser's step."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.optim import Optimizer

from snn2ann.engine.signals import Observer
from snn2ann.methods.model import Loss, Model
from snn2ann.parameters.recipe import Recipe
from snn2ann.training.parts import mean_gradients, parts_of
from snn2ann.training.precision import arithmetic


class Step(Protocol):
    """What takes a batch and leaves a model that has learnt from it."""

    def __call__(self, images: Tensor, labels: Tensor, whole: int, progress: float) -> tuple[Tensor, Tensor]:
        """Learn from a batch.

        Args:
            images: [B, C, H, W], or frames [T, B, C, H, W]; this process's part of the batch.
            labels: [B].
            whole: how many images all processes have together.
            progress: share of the training that is done.

        Returns:
            The loss summed over this process's images, and how many of them were right: scalars on the model's device.
        """


@dataclass
class EagerStep:
    """A step whose operations are started one by one.

    Attributes:
        model: on its device, in training mode.
        recipe: its precision and micro-batches.
        optimiser: of the model's parameters.
        loss: of logits and labels, a mean over the images.
        observer: is shown what the model shows.
    """

    model: Model
    recipe: Recipe
    optimiser: Optimizer
    loss: Loss
    observer: Observer

    def __call__(self, images: Tensor, labels: Tensor, whole: int, progress: float | Tensor) -> tuple[Tensor, Tensor]:
        """As in `Step`; `progress` may be a scalar on the device, where whoever gives it has set the phase."""
        if not isinstance(progress, Tensor):
            self.model.phase = self.model.phase_at(progress)
        self.model.progress = progress
        self.optimiser.zero_grad(set_to_none=True)
        summed = torch.zeros((), device=labels.device)
        correct = torch.zeros((), device=labels.device, dtype=torch.long)
        for some, theirs, weight in self._parts(images, labels, whole):
            self.model.loss_weight = weight
            with arithmetic(self.recipe.precision, labels.device):
                step = self.model.training_step(some, theirs, self.loss, self.observer)
            (step.loss if weight == 1 else step.loss * weight).backward()
            summed += step.loss.detach() * len(theirs)
            correct += (step.logits.argmax(1) == theirs).sum()
        mean_gradients(self.model.parameters())
        self.optimiser.step()
        return summed, correct

    def _parts(self, images: Tensor, labels: Tensor, whole: int) -> Iterator[tuple[Tensor, Tensor, float]]:
        return parts_of(
            images,
            labels,
            whole=whole,
            micro_batches=self.recipe.micro_batches or 1,
            smallest=self.model.network.smallest_batch,
            batch_axis=1 if self.model.frames else 0,
        )
