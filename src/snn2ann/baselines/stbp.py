"""Spike-based backpropagation through time (STBP, Wu et al. 2018), on SpikingJelly's multi-step neurons.

An independent implementation of the neuron: SpikingJelly's `IFNode` fires at equality (m >= V; ours is strict), and has one
threshold a layer where ours has one a neuron. BatchNorm runs over time and batch together, as SpikingJelly's layers do.
"""

from typing import Any

import torch
from spikingjelly.activation_based import functional as spikingjelly
from spikingjelly.activation_based import neuron, surrogate
from torch import Tensor, nn
from torch.nn.functional import dropout

from snn2ann.errors import UserError
from snn2ann.method.layers import ConvolutionShortcut, SpikingLayer
from snn2ann.method.model import Loss, Model, Step
from snn2ann.method.signals import Observation, Observer, Spikes

SURROGATES = {
    "atan": surrogate.ATan,
    "sigmoid": surrogate.Sigmoid,
    "triangle": surrogate.PiecewiseQuadratic,
}


class SpikeBasedBackpropagation(Model):
    """A spiking network trained by unrolling its T steps, with a surrogate gradient.

    Args:
        network: its convolutions, BatchNorms and classifier are used; its neurons are SpikingJelly's.
        time_steps: T of training.
        options: threshold (of every neuron), surrogate (atan, sigmoid or triangle), surrogate_width (SpikingJelly's alpha),
            detach_reset (no gradient through the reset).
    """

    def __init__(self, network: nn.Module, time_steps: int, options: dict[str, Any]) -> None:
        super().__init__(network, time_steps, options)
        if options["surrogate"] not in SURROGATES:
            raise UserError(f"option surrogate: {options['surrogate']!r}; expected one of {', '.join(SURROGATES)}")
        self.neurons = nn.ModuleList()
        for layer in self.network.spiking_layers().values():
            layer.start_thresholds(options["threshold"])
            self.neurons.append(
                neuron.IFNode(
                    v_threshold=float(options["threshold"]),
                    v_reset=0.0,
                    surrogate_function=SURROGATES[options["surrogate"]](alpha=options["surrogate_width"]),
                    detach_reset=options["detach_reset"],
                    step_mode="m",
                )
            )

    def training_step(self, images: Tensor, labels: Tensor, loss: Loss, observer: Observer | None = None) -> Step:
        """Unroll T steps; the loss is that of the mean logits over time."""
        logits = self._run(images, self.time_steps, None).mean(0)
        return Step(loss(logits, labels), logits)

    @torch.no_grad()
    def spiking_forward(self, images: Tensor, time_steps: int, observer: Observer | None = None) -> Tensor:
        """Run for `time_steps`; logits after each step are the mean over the steps so far: [T, B, classes]."""
        logits = self._run(images, time_steps, observer)
        steps = torch.arange(1, time_steps + 1, device=logits.device, dtype=logits.dtype)
        return logits.cumsum(0) / steps.view(-1, 1, 1)

    def _run(self, images: Tensor, time_steps: int, observer: Observer | None) -> Tensor:
        spikingjelly.reset_net(self)
        view = _MultiStepView(self.neurons, time_steps, observer)
        logits: Tensor = self.network(view, images)
        return logits


class _MultiStepView:
    """The network with SpikingJelly's neurons: spikes [T, B, C, H, W], with gradient, handed on in `Spikes`."""

    def __init__(self, neurons: nn.ModuleList, time_steps: int, observer: Observer | None) -> None:
        self.neurons = iter(neurons)
        self.time_steps = time_steps
        self.observer = observer

    def encode(self, images: Tensor) -> Spikes:
        return Spikes(images, constant=True)

    def layer(self, layer: SpikingLayer, incoming: Spikes, skipped: Spikes | None = None) -> Spikes:
        current = layer.norm(layer.convolution(_merged(incoming)))
        if isinstance(layer.shortcut, ConvolutionShortcut):
            assert skipped is not None
            current = current + layer.shortcut.norm(layer.shortcut.convolution(_merged(skipped)))
        elif layer.shortcut is not None:
            assert skipped is not None
            current = current + _merged(skipped)
        current = layer.reduce(current)
        if incoming.constant:
            # The image is the input of every step: its convolution is done once, which changes no number.
            current = current.expand(self.time_steps, *current.shape)
        else:
            current = current.unflatten(0, (self.time_steps, -1))
        outgoing = Spikes(next(self.neurons)(_drop(layer, current)))
        if self.observer:
            self.observer(Observation(layer, incoming, skipped, outgoing))
        return outgoing

    def readout(self, classifier: nn.Linear, signal: Spikes) -> Tensor:
        return classifier(signal.value.flatten(2))


def _merged(signal: Spikes) -> Tensor:
    return signal.value if signal.constant else signal.value.flatten(0, 1)


def _drop(layer: SpikingLayer, current: Tensor) -> Tensor:
    # One mask for all steps, as SpikingJelly's multi-step dropout draws it.
    if not (layer.dropout and layer.training):
        return current
    return current * dropout(torch.ones_like(current[0]), layer.dropout)
