"""QCFS (Bu et al. 2022): an ANN of quantised activations, which a spiking network repeats in as many steps as levels.

"Optimal ANN-SNN Conversion for High-accuracy and Ultra-low-latency Spiking Neural Networks", ICLR 2022. The activation is a
quantisation-clip-floor-shift with a learned ceiling λ for each layer; the neurons' threshold is λ, a spike takes it off the
membrane, and the membrane starts half full. For a constant current and T = L, λ times the rate is the activation, but where
they fall on a threshold: these neurons fire above it, the paper's at it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from snn2ann.engine.firing import fire_densely
from snn2ann.engine.interpreter import AnnInterpreter
from snn2ann.engine.network import Network
from snn2ann.engine.signals import Observer, Spikes
from snn2ann.engine.stages import Fire, Layer, Stage
from snn2ann.method.spiking import SpikingInterpreter
from snn2ann.methods.model import Loss, Model, Step
from snn2ann.options import CouplingOptions
from snn2ann.parameters.methods import QcfsOptions

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

    converted = True

    def __init__(self, network: Network, time_steps: int, options: Mapping[str, Any]) -> None:
        given = QcfsOptions.of(options)
        super().__init__(network, given.levels, options)
        self.levels = given.levels
        start = float(given.ceiling)
        self.start_thresholds(start)
        for layer in self.network.by_label().values():
            layer.register_parameter("ceiling", nn.Parameter(torch.tensor(start)))

    def train(self, mode: bool = True) -> "QuantisedConversion":
        """Enter training mode, or evaluation mode with every λ as its layer's threshold."""
        super().train(mode)
        if not mode:
            with torch.no_grad():
                for layer in self.network.by_label().values():
                    layer.threshold.copy_(layer.get_parameter("ceiling").expand_as(layer.threshold))
        return self

    def training_step(self, images: Tensor, labels: Tensor, loss: Loss, observer: Observer | None = None) -> Step:
        """Give the loss of the ANN's logits."""
        logits = self.ann_forward(images)
        return Step(loss(logits, labels), logits)

    def ann_forward(self, images: Tensor, observer: Callable[[str, Tensor], None] | None = None) -> Tensor:
        """Run the ANN with its quantised activations: logits [B, classes]."""
        return self.network.run_by(_QuantisedInterpreter(self.levels, observer), images)

    def spiking_forward(self, images: Tensor, time_steps: int, observer: Observer | None = None) -> Tensor:
        """Run the SNN, biases in full at every step: logits after each step, [T, B, classes]."""
        return self.network.run_by(_ThresholdSpikes(time_steps, 1, _NEURONS, observer=observer), images)


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


class _QuantisedInterpreter(AnnInterpreter):
    """The network as the ANN that is trained."""

    def __init__(self, levels: int, observer: Callable[[str, Tensor], None] | None) -> None:
        super().__init__(observer)
        self.levels = levels

    def activate(self, stage: Fire, value: Tensor) -> Tensor:
        return qcfs(value, stage.neurons.get_parameter("ceiling"), self.levels)


@dataclass
class _Amounts(Spikes):
    """What spikes stand for, [T, B, ...]: the threshold of the neuron that made each; and the spikes themselves."""

    spikes: Spikes | None = None


class _ThresholdSpikes(SpikingInterpreter):
    """The deployed spiking network, whose spikes are worth the threshold that they took."""

    @torch.no_grad()
    def layer(self, stage: Layer, incoming: Spikes, skipped: Spikes | None = None) -> Spikes:
        return self._amounts(stage.fire, fire_densely(stage, self.feed(stage, incoming, skipped), self.settings))

    def fire(self, stage: Fire, incoming: Spikes) -> Spikes:
        return self._amounts(stage, super().fire(stage, incoming))

    def _amounts(self, stage: Fire, spikes: Spikes) -> Spikes:
        return _Amounts(spikes.value * stage.neurons.threshold, spikes=spikes)

    def observe(self, stage: Stage, incoming: list[Spikes], outgoing: Spikes) -> None:
        super().observe(stage, [_spikes(signal) for signal in incoming], _spikes(outgoing))


def _spikes(signal: Spikes) -> Spikes:
    return signal.spikes if isinstance(signal, _Amounts) and signal.spikes else signal
