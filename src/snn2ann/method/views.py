"""The views of a network: one definition of it, run as an ANN or as a spiking network; `coupling.py` has the one of both.

A network's `forward(view, images)` names its layers once, in order; a view says what a layer does with a signal. Branches
advance layer by layer, so a layer's spikes are freed as soon as the next layer has them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from snn2ann.engine import events
from snn2ann.engine.counts import Counts
from snn2ann.method.firing import (
    Affine,
    Feed,
    NeuronSettings,
    Sums,
    fire_by_events,
    fire_densely,
    fire_on_image,
)
from snn2ann.method.layers import ConvolutionShortcut, IdentityShortcut, SpikingLayer, normalise, scale_and_bias
from snn2ann.method.signals import Observation, Observer, Spikes
from snn2ann.options import CouplingOptions


class View(Protocol):
    """What a network needs of a view."""

    def encode(self, images: Tensor) -> Any:
        """Turn images [B, C, H, W] into the first layer's signal."""

    def layer(self, layer: SpikingLayer, incoming: Any, skipped: Any = None) -> Any:
        """Run one layer; `skipped` goes through its shortcut."""

    def readout(self, classifier: nn.Linear, signal: Any) -> Any:
        """Give the logits."""


@dataclass
class PreActivation:
    """The ANN's value before dropout and ReLU, and the batch's statistics in training."""

    value: Tensor
    statistics: Affine | None
    shortcut_statistics: Affine | None


def pre_activation(
    layer: SpikingLayer, incoming: Tensor | Counts, skipped: Tensor | Counts | None, known: Sums | None = None
) -> PreActivation:
    """Run a layer's ANN arithmetic up to its dropout and ReLU.

    Args:
        layer: the layer; in training mode its BatchNorm takes the batch's statistics.
        incoming: [B, C_in, H, W].
        skipped: input of the shortcut, where there is one.
        known: the layer's convolutions of these counts without bias, where they are known; they are overwritten.

    Returns:
        The pre-activation [B, C_out, H', W'].
    """
    value, statistics = normalise(layer.norm, _convolve(layer.convolution, incoming, known.main if known else None))
    shortcut_statistics = None
    if isinstance(layer.shortcut, ConvolutionShortcut):
        assert skipped is not None
        convolved = _convolve(layer.shortcut.convolution, skipped, known.side if known else None)
        side, shortcut_statistics = normalise(layer.shortcut.norm, convolved)
        value = value + side
    elif isinstance(layer.shortcut, IdentityShortcut):
        assert skipped is not None
        value = value + (skipped.dense() if isinstance(skipped, Counts) else skipped) * layer.shortcut.scale
    return PreActivation(layer.reduce(value), statistics, shortcut_statistics)


def _convolve(convolution: nn.Conv2d, incoming: Tensor | Counts, known: Tensor | None) -> Tensor:
    return incoming.convolve(convolution, known) if isinstance(incoming, Counts) else convolution(incoming)


class AnnView:
    """The network as an ordinary ANN: signals are activations [B, C, H, W]."""

    def __init__(self, observer: Callable[[SpikingLayer, Tensor], None] | None = None) -> None:
        self.observer = observer

    def encode(self, images: Tensor) -> Tensor:
        """Give the images as they are."""
        return images

    def layer(self, layer: SpikingLayer, incoming: Tensor, skipped: Tensor | None = None) -> Tensor:
        """Run one layer up to and with its activation."""
        value = pre_activation(layer, incoming, skipped).value
        dropped = functional.dropout(value, layer.dropout, layer.training) if layer.dropout else value
        activation = self.activate(layer, dropped)
        if self.observer:
            self.observer(layer, activation)
        return activation

    def activate(self, layer: SpikingLayer, value: Tensor) -> Tensor:
        """Give a layer's activation."""
        return functional.relu(value)

    def readout(self, classifier: nn.Linear, signal: Tensor) -> Tensor:
        """Give logits [B, classes]."""
        return classifier(signal.flatten(1))


class SpikingView:
    """The network as a spiking network, deployable: no gradient and no ANN arithmetic.

    Args:
        time_steps: T, how many steps to run.
        bias_steps: T of training, over which biases are spread (and the image, with "divide" coding). A deployed network
            keeps it whatever T it runs for, so that its first t steps are those of a run of T = t.
        options: reset, input coding, shortcut, membrane start and dropout.
        training: whether membranes are dropped.
        observer: is shown every layer.
        event_driven: whether layers that suit it are run spike by spike; see `events.suit`.
    """

    def __init__(
        self,
        time_steps: int,
        bias_steps: int,
        options: CouplingOptions,
        *,
        training: bool = False,
        observer: Observer | None = None,
        event_driven: bool = True,
    ) -> None:
        self.time_steps = time_steps
        self.bias_steps = bias_steps
        self.options = options
        self.training = training
        self.observer = observer
        self.event_driven = event_driven
        self.settings = NeuronSettings(
            time_steps,
            options.reset,
            options.membrane_start,
            options.membrane_dropout if training else 0.0,
            options.shortcut,
            options.pooling,
        )

    def encode(self, images: Tensor) -> Spikes:
        """Direct coding: the image, or its share, is the input of every step."""
        divide = self.options.input_coding == "divide"
        return Spikes(images / self.bias_steps if divide else images, constant=True)

    @torch.no_grad()
    def layer(self, layer: SpikingLayer, incoming: Spikes, skipped: Spikes | None = None) -> Spikes:
        """Run one layer over all steps."""
        feed = Feed(incoming, skipped, *self.affine(layer, incoming))
        if not self.runs_by_events(layer):
            spikes = fire_densely(layer, feed, self.settings)
        elif incoming.constant:
            spikes = fire_on_image(layer, feed, self.settings)
        else:
            spikes, _ = fire_by_events(layer, feed, self.settings, add_up=False)
        if self.observer:
            self.observer(Observation(layer, incoming, skipped, spikes))
        return spikes

    def runs_by_events(self, layer: SpikingLayer) -> bool:
        """Whether the layer is run spike by spike."""
        return self.event_driven and events.suit(layer.convolution.weight, layer.threshold, self.time_steps)

    def affine(
        self, layer: SpikingLayer, incoming: Spikes, ann: PreActivation | None = None
    ) -> tuple[Affine, Affine | None]:
        """Give (a, b') of the layer and of its shortcut, by the running statistics or those of the batch in `ann`."""
        spread = self.options.bias_spread(self.bias_steps, incoming.constant)
        main = scale_and_bias(layer.convolution.bias, layer.norm, spread, ann.statistics if ann else None)
        side = layer.shortcut
        if not isinstance(side, ConvolutionShortcut):
            return main, None
        return main, scale_and_bias(side.convolution.bias, side.norm, spread, ann.shortcut_statistics if ann else None)

    @torch.no_grad()
    def readout(self, classifier: nn.Linear, signal: Spikes) -> Tensor:
        """Give the logits after every step, of the counts so far over the steps so far: [T, B, classes]."""
        counts = signal.value.flatten(2).to(classifier.weight.dtype).cumsum(0)
        steps = torch.arange(1, len(counts) + 1, device=counts.device, dtype=counts.dtype)
        return classifier(counts / steps.view(-1, 1, 1))
