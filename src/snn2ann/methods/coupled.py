"""A model with an ANN branch and an SNN branch over the same weights, as it is evaluated and deployed."""

from typing import ClassVar

import torch
from torch import Tensor

from snn2ann.engine.signals import Observer
from snn2ann.method.coupling import CoupledInterpreter
from snn2ann.method.spiking import SpikingInterpreter
from snn2ann.methods.model import Model
from snn2ann.options import CouplingOptions


class CoupledModel(Model):
    """A model whose SNN branch is run by `SpikingInterpreter`, and beside its ANN branch by `CoupledInterpreter`.

    Attributes:
        options: how the branches are coupled.
        event_driven: whether layers that suit it are run spike by spike (see `events.unsuited`); else all are run densely.
    """

    coupled: ClassVar[bool] = True
    options: CouplingOptions
    event_driven: bool = True

    def spiking_forward(self, images: Tensor, time_steps: int, observer: Observer | None = None) -> Tensor:
        """Run the SNN alone for `time_steps`, biases spread over the T of training: [T, B, classes]."""
        return self.network.run_by(self._spiking(time_steps, observer), images)

    @torch.no_grad()
    def coupled_forward(
        self, images: Tensor, time_steps: int, observer: Observer | None = None
    ) -> tuple[Tensor, Tensor]:
        """Run both branches, nothing adjusted: logits [B, classes] of each."""
        interpreter = CoupledInterpreter(self._spiking(time_steps), observer=observer)
        return self.network.run_by(interpreter, images)

    def _spiking(
        self, time_steps: int, observer: Observer | None = None, *, training: bool = False
    ) -> SpikingInterpreter:
        return SpikingInterpreter(
            time_steps,
            self.time_steps,
            self.options,
            training=training,
            observer=observer,
            event_driven=self.event_driven,
            frames=self.frames,
        )
