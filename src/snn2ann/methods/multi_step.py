"""The view of a network whose neurons are SpikingJelly's, all steps of a layer before the next layer's."""

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout

from snn2ann.method.layers import ConvolutionShortcut, SpikingLayer
from snn2ann.method.signals import Observation, Observer, Spikes


class MultiStepView:
    """The network with SpikingJelly's neurons: spikes [T, B, C, H, W], with gradient, handed on in `Spikes`.

    Args:
        neurons: one layer's after the other.
        time_steps: T.
        observer: is shown every layer.
    """

    def __init__(self, neurons: nn.ModuleList, time_steps: int, observer: Observer | None = None) -> None:
        self.neurons = iter(neurons)
        self.time_steps = time_steps
        self.observer = observer

    def encode(self, images: Tensor) -> Spikes:
        """Direct coding: the image is the input of every step."""
        return Spikes(images, constant=True)

    def layer(self, layer: SpikingLayer, incoming: Spikes, skipped: Spikes | None = None) -> Spikes:
        """Run one layer over all steps."""
        block = MultiStepLayer(layer, next(self.neurons), self.time_steps)
        outgoing = Spikes(self.run(block, incoming.value, skipped.value if skipped else None))
        if self.observer:
            self.observer(Observation(layer, incoming, skipped, outgoing))
        return outgoing

    def run(self, block: nn.Module, value: Tensor, skipped: Tensor | None) -> Tensor:
        """Run a block."""
        return block(value, skipped)

    def readout(self, classifier: nn.Linear, signal: Spikes) -> Tensor:
        """Give the logits of every step: [T, B, classes]."""
        return classifier(signal.value.flatten(2))


class MultiStepLayer(nn.Module):
    """A layer's arithmetic and SpikingJelly's neurons as one module, for a forward pass.

    Args:
        layer: the network's.
        neurons: SpikingJelly's, in multi-step mode.
        time_steps: T.
    """

    def __init__(self, layer: SpikingLayer, neurons: nn.Module, time_steps: int) -> None:
        super().__init__()
        self.layer, self.neurons, self.time_steps = layer, neurons, time_steps

    def forward(self, value: Tensor, skipped: Tensor | None) -> Tensor:
        """Give spikes [T, B, C, H, W] for spikes [T, B, ...] or an image [B, ...]."""
        layer, constant = self.layer, value.dim() == 4
        current = layer.norm(layer.convolution(_merged(value)))
        if isinstance(layer.shortcut, ConvolutionShortcut):
            assert skipped is not None
            current = current + layer.shortcut.norm(layer.shortcut.convolution(_merged(skipped)))
        elif layer.shortcut is not None:
            assert skipped is not None
            current = current + _merged(skipped)
        current = layer.reduce(current)
        if constant:
            # The image is the input of every step: its convolution is done once, which changes no number.
            current = current.expand(self.time_steps, *current.shape)
        else:
            current = current.unflatten(0, (self.time_steps, -1))
        return self.neurons(drop(layer, current))


def _merged(value: Tensor) -> Tensor:
    return value.flatten(0, 1) if value.dim() == 5 else value


def drop(layer: SpikingLayer, current: Tensor) -> Tensor:
    """Drop currents [T, B, ...]: one mask for all steps, as SpikingJelly's multi-step dropout draws it."""
    if not (layer.dropout and layer.training):
        return current
    return current * dropout(torch.ones_like(current[0]), layer.dropout)
