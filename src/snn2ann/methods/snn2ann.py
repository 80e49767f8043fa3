"""The paper's method: an SNN branch without gradient and an ANN branch with it, sharing one set of weights."""

from typing import Any

from torch import Tensor, nn

from snn2ann.method.coupling import CoupledView
from snn2ann.method.signals import Observer
from snn2ann.method.views import SpikingView
from snn2ann.methods.coupled import CoupledModel
from snn2ann.methods.model import Loss, Step
from snn2ann.options import CouplingOptions


class Snn2Ann(CoupledModel):
    """A network trained by coupling.

    Args:
        network: its thresholds are started here.
        time_steps: T of training.
        options: those of `CouplingOptions`.
    """

    def __init__(self, network: nn.Module, time_steps: int, options: dict[str, Any]) -> None:
        super().__init__(network, time_steps, options)
        self.options = CouplingOptions().with_options(options)
        for layer in self.network.spiking_layers().values():
            layer.start_thresholds(self.options.threshold_start)
        self.neurons = self.network.number_of_neurons()

    def training_step(self, images: Tensor, labels: Tensor, loss: Loss, observer: Observer | None = None) -> Step:
        """Run both branches; the loss is that of the ANN branch's logits (demo behaviour)."""
        spiking = SpikingView(
            self.time_steps, self.time_steps, self.options, training=True, event_driven=self.event_driven
        )
        penalty = self.options.penalty_at(self.progress) / self.neurons
        view = CoupledView(spiking, adjust=self.options.ata, observer=observer, penalty=penalty)
        logits, _ = self.network(view, images)
        return Step(loss(logits, labels), logits)
