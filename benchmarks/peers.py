"""Peers that a step is timed beside: networks run the way each library's users run them, from the same weights."""

from importlib.metadata import version
from typing import Any

import snntorch
import torch
from snntorch import surrogate
from spikingjelly.activation_based import functional as spikingjelly
from torch import Tensor, nn
from torch.nn.functional import dropout, max_pool2d

from snn2ann.method.layers import ConvolutionShortcut, SpikingLayer
from snn2ann.method.signals import Observer, Spikes
from snn2ann.methods.model import Loss, Model, Step
from snn2ann.methods.multi_step import MultiStepView
from snn2ann.methods.stbp import SpikeBasedBackpropagation


class SpikingJelly(SpikeBasedBackpropagation):
    """SpikingJelly's multi-step mode: the image at every step, its own functions, PyTorch's pooling."""

    def make_view(self, time_steps: int, observer: Observer | None) -> MultiStepView:
        return _SpikingJellyView(self.neurons, time_steps, observer)


class _SpikingJellyView(MultiStepView):
    def encode(self, images: Tensor) -> Spikes:
        return Spikes(images.expand(self.time_steps, *images.shape))

    def layer(self, layer: SpikingLayer, incoming: Spikes, skipped: Spikes | None = None) -> Spikes:
        current = spikingjelly.seq_to_ann_forward(incoming.value, nn.Sequential(layer.convolution, layer.norm))
        if isinstance(layer.shortcut, ConvolutionShortcut):
            assert skipped is not None
            side = nn.Sequential(layer.shortcut.convolution, layer.shortcut.norm)
            current = current + spikingjelly.seq_to_ann_forward(skipped.value, side)
        elif layer.shortcut is not None:
            assert skipped is not None
            current = current + skipped.value
        if layer.pool:
            current = spikingjelly.seq_to_ann_forward(current, nn.MaxPool2d(2))
        if layer.dropout and layer.training:
            current = current * dropout(torch.ones_like(current[0]), layer.dropout)
        return Spikes(next(self.neurons)(current))


class SnnTorch(Model):
    """snnTorch: one step of the whole network after the other. Its reset comes a step later than the others'."""

    def __init__(self, network: nn.Module, time_steps: int, options: dict[str, Any]) -> None:
        super().__init__(network, time_steps, options)
        gradient = surrogate.atan(alpha=options["surrogate_width"])
        self.neurons = [
            snntorch.Leaky(beta=1.0, threshold=options["threshold"], spike_grad=gradient, reset_mechanism="zero")
            for _ in self.network.spiking_layers()
        ]

    def training_step(self, images: Tensor, labels: Tensor, loss: Loss, observer: Observer | None = None) -> Step:
        logits = self._run(images, self.time_steps).mean(0)
        return Step(loss(logits, labels), logits)

    @torch.no_grad()
    def spiking_forward(self, images: Tensor, time_steps: int, observer: Observer | None = None) -> Tensor:
        return self._run(images, time_steps)

    def _run(self, images: Tensor, time_steps: int) -> Tensor:
        view = _SnnTorchView(self.neurons)
        return torch.stack([self.network(view, images) for _ in range(time_steps)])


class _SnnTorchView:
    def __init__(self, neurons: list[Any]) -> None:
        self.neurons = neurons
        self.membranes = [each.init_leaky() for each in neurons]

    def encode(self, images: Tensor) -> Tensor:
        self.position = -1
        return images

    def layer(self, layer: SpikingLayer, incoming: Tensor, skipped: Tensor | None = None) -> Tensor:
        self.position += 1
        current = layer.norm(layer.convolution(incoming))
        if isinstance(layer.shortcut, ConvolutionShortcut):
            current = current + layer.shortcut.norm(layer.shortcut.convolution(skipped))
        elif layer.shortcut is not None:
            assert skipped is not None
            current = current + skipped
        current = max_pool2d(current, 2) if layer.pool else current
        current = dropout(current, layer.dropout, layer.training) if layer.dropout else current
        spikes, self.membranes[self.position] = self.neurons[self.position](current, self.membranes[self.position])
        return spikes

    def readout(self, classifier: nn.Linear, signal: Tensor) -> Tensor:
        return classifier(signal.flatten(1))


PEERS: dict[str, tuple[type[Model], str]] = {
    "spikingjelly": (SpikingJelly, f"spikingjelly {version('spikingjelly')}"),
    "snntorch": (SnnTorch, f"snntorch {version('snntorch')}"),
}
