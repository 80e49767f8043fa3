"""QCFS (Bu et al. 2022): an ANN of quantised activations, which a spiking network repeats in as many steps as levels.

"Optimal ANN-SNN Conversion for High-accuracy and Ultra-low-latency Spiking Neural Networks", ICLR 2022. The activation is a
quantisation-clip-floor-shift with a learned ceiling λ for each layer; the neurons' threshold is λ, a spike takes it off the
membrane, and the membrane starts half full. For a constant current and T = L, λ times the rate is the activation, but where
they fall on a threshold: these neurons fire above it, the paper's at it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from snn2ann.errors import UserError
from snn2ann.method.firing import Feed, fire_densely
from snn2ann.method.layers import SpikingLayer
from snn2ann.method.signals import Observation, Observer, Spikes
from snn2ann.method.views import AnnView, SpikingView
from snn2ann.methods.limits import number_above
from snn2ann.methods.model import Loss, Model, Step
from snn2ann.options import CouplingOptions

_NEURONS = CouplingOptions(reset="subtract", membrane_start=0.5, membrane_dropout=0.0, shortcut="spikes")


class QuantisedConversion(Model):
    """An ANN trained with QCFS activations, run as a spiking network on the same weights.

    Max pooling acts on the current of each step, so that behind it the spiking network is near to the ANN, not equal.

    Args:
        network: each layer gets a parameter `ceiling`, its λ, which is its thresholds in evaluation mode.
        time_steps: not used; while training, the spiking network is validated at T = levels.
        options: levels (L), ceiling (λ before training; 8 in the authors' code).

    Raises:
        UserError: an option that is not allowed.
    """

    def __init__(self, network: nn.Module, time_steps: int, options: dict[str, Any]) -> None:
        levels = number_above(options, "levels", 0)
        if levels != int(levels):
            raise UserError(f"option levels: {levels!r} is not allowed; expected a whole number above 0")
        super().__init__(network, int(levels), options)
        self.levels = int(levels)
        start = float(number_above(options, "ceiling", 0))
        for layer in self.network.spiking_layers().values():
            layer.register_parameter("ceiling", nn.Parameter(torch.tensor(start)))
            layer.start_thresholds(start)

    def train(self, mode: bool = True) -> "QuantisedConversion":
        """Enter training mode, or evaluation mode with every λ as its layer's threshold."""
        super().train(mode)
        if not mode:
            with torch.no_grad():
                for layer in self.network.spiking_layers().values():
                    layer.threshold.copy_(layer.ceiling.expand_as(layer.threshold))
        return self

    def training_step(self, images: Tensor, labels: Tensor, loss: Loss, observer: Observer | None = None) -> Step:
        """Give the loss of the ANN's logits."""
        logits = self.ann_forward(images)
        return Step(loss(logits, labels), logits)

    def ann_forward(self, images: Tensor, observer: Callable[[SpikingLayer, Tensor], None] | None = None) -> Tensor:
        """Run the ANN with its quantised activations: logits [B, classes]."""
        logits: Tensor = self.network(_QuantisedView(self.levels, observer), images)
        return logits

    def spiking_forward(self, images: Tensor, time_steps: int, observer: Observer | None = None) -> Tensor:
        """Run the SNN, biases in full at every step: logits after each step, [T, B, classes]."""
        logits: Tensor = self.network(_ThresholdSpikesView(time_steps, 1, _NEURONS, observer=observer), images)
        return logits


def qcfs(value: Tensor, ceiling: Tensor, levels: int) -> Tensor:
    """Quantisation-clip-floor-shift: λ · clip(⌊L x / λ + 1/2⌋ / L, 0, 1) (Bu et al. 2022, equation 10, shift 1/2).

    Backward: the floor has slope 1; x has a gradient between 0 and λ, λ its own everywhere else, as in the authors' code.

    Args:
        value: x.
        ceiling: λ, scalar.
        levels: L.
    """
    scaled = (value / ceiling).clamp(0, 1) * levels
    rounded = scaled + ((scaled + 0.5).floor() - scaled).detach()
    return rounded / levels * ceiling


class _QuantisedView(AnnView):
    """The network as the ANN that is trained."""

    def __init__(self, levels: int, observer: Callable[[SpikingLayer, Tensor], None] | None) -> None:
        super().__init__(observer)
        self.levels = levels

    def activate(self, layer: SpikingLayer, value: Tensor) -> Tensor:
        return qcfs(value, layer.get_parameter("ceiling"), self.levels)


@dataclass
class _Weighted(Spikes):
    """Spikes that stand for `worth`, which broadcasts: the threshold of the neuron that made them; 1 for the image."""

    worth: Tensor | float = 1.0

    def amount(self) -> Spikes:
        """Give what they stand for."""
        return Spikes(self.value * self.worth, constant=self.constant)


class _ThresholdSpikesView(SpikingView):
    """The deployed spiking network, whose spikes are worth the threshold that they took."""

    def encode(self, images: Tensor) -> _Weighted:
        return _Weighted(images, constant=True)

    @torch.no_grad()
    def layer(self, layer: SpikingLayer, incoming: Spikes, skipped: Spikes | None = None) -> _Weighted:
        assert isinstance(incoming, _Weighted)
        amount = skipped.amount() if isinstance(skipped, _Weighted) else None
        fired = fire_densely(layer, Feed(incoming.amount(), amount, *self.affine(layer, incoming)), self.settings)
        outgoing = _Weighted(fired.value, worth=layer.threshold)
        if self.observer:
            self.observer(Observation(layer, incoming, skipped, outgoing))
        return outgoing

    def readout(self, classifier: nn.Linear, signal: Spikes) -> Tensor:
        assert isinstance(signal, _Weighted)
        return super().readout(classifier, signal.amount())
