"""A model with an ANN branch and an SNN branch over the same weights, as it is evaluated and deployed."""

from typing import ClassVar

import torch
from torch import Tensor

from snn2ann.method.coupling import CoupledView
from snn2ann.method.signals import Observer
from snn2ann.method.views import SpikingView
from snn2ann.methods.model import Model
from snn2ann.options import CouplingOptions


class CoupledModel(Model):
    """A model whose SNN branch is run by `SpikingView`, and beside its ANN branch by `CoupledView`.

    Attributes:
        options: how the branches are coupled.
        event_driven: whether layers that suit it are run spike by spike (see `events.suit`); else all are run densely.
    """

    coupled: ClassVar[bool] = True
    options: CouplingOptions
    event_driven: bool = True

    def spiking_forward(self, images: Tensor, time_steps: int, observer: Observer | None = None) -> Tensor:
        """Run the SNN alone for `time_steps`, biases spread over the T of training: [T, B, classes]."""
        view = SpikingView(time_steps, self.time_steps, self.options, observer=observer, event_driven=self.event_driven)
        logits: Tensor = self.network(view, images)
        return logits

    @torch.no_grad()
    def coupled_forward(
        self, images: Tensor, time_steps: int, observer: Observer | None = None
    ) -> tuple[Tensor, Tensor]:
        """Run both branches, nothing adjusted: logits [B, classes] of each."""
        spiking = SpikingView(time_steps, self.time_steps, self.options, event_driven=self.event_driven)
        ann, snn = self.network(CoupledView(spiking, observer=observer), images)
        return ann, snn
