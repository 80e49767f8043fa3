"""What a method is to the rest of the project: one object that builds itself, takes a training step and runs as an SNN."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from snn2ann.engine.interpreter import AnnInterpreter
from snn2ann.engine.network import Network
from snn2ann.engine.signals import Observer

Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass
class Step:
    """Outcome of a training step: the loss to go backward from, and the logits [B, classes] that it was taken of."""

    loss: Tensor
    logits: Tensor


class Model(nn.Module, ABC):
    """A network trained by one method.

    Args:
        network: its neurons have thresholds of 1.
        time_steps: T of training; 1 for methods that are trained without time.
        options: the method's own options, all resolved.
    """

    spiking: ClassVar[bool] = True
    """Whether the trained network runs as a spiking one."""
    coupled: ClassVar[bool] = False
    """Whether it has an ANN branch and per-neuron thresholds, so that noisy spikes can be counted and calibrated."""
    converted: ClassVar[bool] = False
    """Whether `ann_forward` is the ANN that was trained, which the spiking network repeats."""
    trains: ClassVar[bool] = True
    """Whether it is trained; else `convert` does all."""

    progress: float | Tensor = 0.0
    """Share of its training that is done; whoever trains it says so before each batch. A scalar on the device in a graph."""
    phase: int = 0
    """Part of its training that it is in, where a step of one is other operations than a step of the next; whoever trains it
    sets it to `phase_at` before each batch."""
    loss_weight: float = 1.0
    """What the loss of the batch weighs in the step, of which it may be a part; who goes backward from the returned loss
    multiplies it so, and a method that goes backward itself must do the same."""
    frames: bool = False
    """Whether it is given frames, an image for each time step: [T, B, C, H, W] wherever images [B, C, H, W] are taken."""

    def __init__(self, network: Network, time_steps: int, options: Mapping[str, Any]) -> None:
        super().__init__()
        self.network = network
        self.time_steps = time_steps

    def convert(self, batches: Iterable[Tensor]) -> None:
        """Make the method's network out of its source's weights.

        Args:
            batches: training images [B, C, H, W].
        """
        raise NotImplementedError

    def training_step(self, images: Tensor, labels: Tensor, loss: Loss, observer: Observer | None = None) -> Step:
        """Give the loss of a batch; the caller, who has cleared the gradients before, goes backward from it.

        A method that learns step by step adds the gradients of the earlier steps itself.

        Args:
            images: [B, C, H, W].
            labels: [B].
            loss: of logits and labels, scalar.
            observer: takes an `Observation` of any stage at any time. A coupled method shows it every layer with
                its noisy spikes, which is what layers.csv is made of; every other method may pass it on or leave it.
        """
        raise NotImplementedError

    def phase_at(self, progress: float) -> int:
        """Give the part of the training that a batch is of when a share `progress` is done; here there is one."""
        return 0

    @abstractmethod
    def spiking_forward(self, images: Tensor, time_steps: int, observer: Observer | None = None) -> Tensor:
        """Run as a spiking network.

        Args:
            images: [B, C, H, W].
            time_steps: T to run for.
            observer: is shown every stage, with its incoming and outgoing spikes.

        Returns:
            Logits after each step, [T, B, classes].
        """

    def coupled_forward(
        self, images: Tensor, time_steps: int, observer: Observer | None = None
    ) -> tuple[Tensor, Tensor]:
        """Run both branches, nothing adjusted: logits of the ANN and of the SNN branch, [B, classes] each."""
        raise NotImplementedError

    def ann_forward(self, images: Tensor, observer: Callable[[str, Tensor], None] | None = None) -> Tensor:
        """Run as an ordinary ANN, with no spikes: logits [B, classes].

        Args:
            images: [B, C, H, W]; of frames, their sum is taken.
            observer: is shown every layer's label and activation.
        """
        return self.network.run_by(AnnInterpreter(observer), images.sum(0) if self.frames else images)

    def start_thresholds(self, start: float | Literal["uniform"]) -> None:
        """Set every threshold to `start`, or draw each from the uniform distribution over [0, 1)."""
        for layer in self.network.by_label().values():
            layer.start(start)
