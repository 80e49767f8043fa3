"""The paper's method: an SNN branch without gradient and an ANN branch with it, sharing one set of weights."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from snn2ann.engine.network import Network
from snn2ann.engine.signals import Observer
from snn2ann.method.coupling import CoupledInterpreter, check_coding
from snn2ann.method.quantised import QuantisedInterpreter
from snn2ann.methods.coupled import CoupledModel
from snn2ann.methods.model import Loss, Step
from snn2ann.options import CouplingOptions


class Snn2Ann(CoupledModel):
    """A network trained by coupling.

    Args:
        network: its thresholds are started here.
        time_steps: T of training.
        options: those of `CouplingOptions`.

    Raises:
        UserError: an option that is not allowed, or not with this network.

    Attributes:
        interpreter: runs both branches in training, once counts are spikes'; another one is for trying what it might be.
    """

    interpreter: type[CoupledInterpreter] = CoupledInterpreter

    def __init__(self, network: Network, time_steps: int, options: Mapping[str, Any]) -> None:
        super().__init__(network, time_steps, options)
        self.options = CouplingOptions().with_options(dict(options))
        check_coding(network.plan, self.options, time_steps)
        self.start_thresholds(self.options.threshold_start)

    def phase_at(self, progress: float) -> int:
        """Give 1 while counts are quantised, then 0."""
        return int(self.options.quantised_at(progress))

    def training_step(self, images: Tensor, labels: Tensor, loss: Loss, observer: Observer | None = None) -> Step:
        """Run both branches; the loss is that of the ANN branch's logits (demo behaviour)."""
        interpreter = (QuantisedInterpreter if self.phase else self.interpreter)(
            self._spiking(self.time_steps, training=True),
            adjust=self.options.ata,
            observer=observer,
            progress=self.progress,
            neurons=self.network.number_of_neurons(),
            weight=self.loss_weight,
        )
        logits, _ = self.network.run_by(interpreter, images)
        value = loss(logits, labels)
        if interpreter.price is not None:
            # Curves show the loss without the price, as of other methods.
            value = value + (interpreter.price - interpreter.price.detach())
        return Step(value, logits)
