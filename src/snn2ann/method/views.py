"""The views of a network: one definition of it, run as an ANN, as a spiking network, or as both, coupled.

A network's `forward(view, images)` names its layers once, in order; a view says what a layer does with a signal. Branches
advance layer by layer, so a layer's spikes are freed as soon as the next layer has them.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from snn2ann.method.layers import (
    ConvolutionShortcut,
    IdentityShortcut,
    SpikingLayer,
    convolve,
    fold,
    normalise,
)
from snn2ann.method.mapping import map_spikes, noisy_spike_rate
from snn2ann.method.neuron import integrate_and_fire
from snn2ann.method.options import CouplingOptions
from snn2ann.method.thresholds import adjust_threshold

Folded = tuple[Tensor, Tensor]


@dataclass
class Spikes:
    """What travels between the layers of a spiking network.

    Attributes:
        value: spikes [T, B, C, H, W], or the input image [B, C, H, W] if `constant`.
        constant: whether `value` is the current of every step.
        current: [T, B, C, H, W], what fed the neurons; kept where an identity shortcut takes it.
    """

    value: Tensor
    constant: bool = False
    current: Tensor | None = None

    @property
    def count(self) -> Tensor:
        """S, the spikes summed over T: [B, C, H, W]."""
        return self.value.sum(0)


@dataclass
class Coupled:
    """The signal of both branches: the mapped activation [B, C, H, W], with gradient, and the spikes."""

    activation: Tensor
    spikes: Spikes


@dataclass
class Observation:
    """What an observer is shown of a spiking layer, just after its neurons ran.

    Attributes:
        layer: the layer.
        incoming: the signal that it was given.
        skipped: the signal that its shortcut was given, if any.
        outgoing: the spikes that it made.
        pre_activation: p of the ANN branch, [B, C, H, W], where there is one.
        noisy_spike_rate: scalar tensor, where there is an ANN branch.
    """

    layer: SpikingLayer
    incoming: Spikes
    skipped: Spikes | None
    outgoing: Spikes
    pre_activation: Tensor | None = None
    noisy_spike_rate: Tensor | None = None


Observer = Callable[[Observation], None]


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
    """The ANN's value before the ReLU, without and with dropout, and the batch's statistics in training."""

    clean: Tensor
    value: Tensor
    statistics: Folded | None
    shortcut_statistics: Folded | None


def pre_activation(layer: SpikingLayer, incoming: Tensor, skipped: Tensor | None) -> PreActivation:
    """Run a layer's ANN arithmetic up to its ReLU.

    Args:
        layer: the layer; in training mode its BatchNorm takes the batch's statistics.
        incoming: [B, C_in, H, W].
        skipped: input of the shortcut, where there is one.

    Returns:
        The pre-activation [B, C_out, H', W'].
    """
    value, statistics = normalise(layer.norm, layer.convolution(incoming))
    shortcut_statistics = None
    if isinstance(layer.shortcut, ConvolutionShortcut):
        assert skipped is not None
        side, shortcut_statistics = normalise(layer.shortcut.norm, layer.shortcut.convolution(skipped))
        value = value + side
    elif isinstance(layer.shortcut, IdentityShortcut):
        assert skipped is not None
        value = value + skipped * layer.shortcut.scale
    clean = layer.reduce(value)
    dropped = functional.dropout(clean, layer.dropout, layer.training) if layer.dropout else clean
    return PreActivation(clean, dropped, statistics, shortcut_statistics)


class AnnView:
    """The network as an ordinary ANN: signals are activations [B, C, H, W]."""

    def __init__(self, observer: Callable[[SpikingLayer, Tensor], None] | None = None) -> None:
        self.observer = observer

    def encode(self, images: Tensor) -> Tensor:
        """Give the images as they are."""
        return images

    def layer(self, layer: SpikingLayer, incoming: Tensor, skipped: Tensor | None = None) -> Tensor:
        """Run one layer up to and with its ReLU."""
        activation = functional.relu(pre_activation(layer, incoming, skipped).value)
        if self.observer:
            self.observer(layer, activation)
        return activation

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
    """

    def __init__(
        self,
        time_steps: int,
        bias_steps: int,
        options: CouplingOptions,
        *,
        training: bool = False,
        observer: Observer | None = None,
    ) -> None:
        self.time_steps = time_steps
        self.bias_steps = bias_steps
        self.options = options
        self.training = training
        self.observer = observer

    def encode(self, images: Tensor) -> Spikes:
        """Direct coding: the image, or its share, is the input of every step."""
        divide = self.options.input_coding == "divide"
        return Spikes(images / self.bias_steps if divide else images, constant=True)

    @torch.no_grad()
    def layer(self, layer: SpikingLayer, incoming: Spikes, skipped: Spikes | None = None) -> Spikes:
        """Run one layer over all steps."""
        spikes = self.fire(layer, incoming, skipped, *self.fold(layer))
        if self.observer:
            self.observer(Observation(layer, incoming, skipped, spikes))
        return spikes

    def fold(self, layer: SpikingLayer, ann: PreActivation | None = None) -> tuple[Folded, Folded | None]:
        """Fuse the layer's convolutions with their BatchNorm, by the running statistics or those of the batch in `ann`."""
        main = fold(layer.convolution, layer.norm, self.bias_steps, ann.statistics if ann else None)
        if not isinstance(layer.shortcut, ConvolutionShortcut):
            return main, None
        side = layer.shortcut
        return main, fold(side.convolution, side.norm, self.bias_steps, ann.shortcut_statistics if ann else None)

    @torch.no_grad()
    def fire(
        self,
        layer: SpikingLayer,
        incoming: Spikes,
        skipped: Spikes | None,
        main: Folded,
        side: Folded | None,
    ) -> Spikes:
        """Run the layer's neurons with the given fused weights."""
        current = self._over_time(layer.convolution, incoming, main)
        if layer.shortcut is not None:
            assert skipped is not None
            current = current + self._skip(layer.shortcut, skipped, side)
        current = layer.reduce(current.flatten(0, 1)).unflatten(0, current.shape[:2])
        if incoming.constant:
            current = current.expand(self.time_steps, *current.shape[1:])
        spikes = integrate_and_fire(
            current,
            layer.threshold,
            reset=self.options.reset,
            membrane_start=self.options.membrane_start,
            membrane_dropout=self.options.membrane_dropout if self.training else 0.0,
        )
        keeps_current = layer.feeds_identity and self.options.shortcut == "current"
        return Spikes(spikes, current=current if keeps_current else None)

    def _over_time(self, convolution: nn.Conv2d, incoming: Spikes, weights: Folded) -> Tensor:
        # T goes into the batch; the constant input is convolved once, as a time axis of length 1.
        value = incoming.value[None] if incoming.constant else incoming.value
        return convolve(convolution, value.flatten(0, 1), *weights).unflatten(0, value.shape[:2])

    def _skip(self, shortcut: IdentityShortcut | ConvolutionShortcut, skipped: Spikes, side: Folded | None) -> Tensor:
        if isinstance(shortcut, ConvolutionShortcut):
            assert side is not None
            return self._over_time(shortcut.convolution, skipped, side)
        if self.options.shortcut == "current":
            assert skipped.current is not None
            return skipped.current
        return skipped.value * shortcut.scale

    @torch.no_grad()
    def readout(self, classifier: nn.Linear, signal: Spikes) -> Tensor:
        """Give the logits after every step, of the counts so far over the steps so far: [T, B, classes]."""
        counts = signal.value.flatten(2).cumsum(0)
        steps = torch.arange(1, len(counts) + 1, device=counts.device, dtype=counts.dtype)
        return classifier(counts / steps.view(-1, 1, 1))


class CoupledView:
    """Both branches at once: the ANN's activations are replaced by the SNN's spike counts.

    The ANN branch sees counts as if from `bias_steps` steps, so with T steps they are taken times bias_steps / T.

    Args:
        spiking: the SNN branch; if it is in training mode, so must be the network.
        adjust: whether thresholds are adjusted (ATA), each layer's after its neurons ran.
        observer: is shown every layer.
    """

    def __init__(self, spiking: SpikingView, *, adjust: bool = False, observer: Observer | None = None) -> None:
        self.spiking = spiking
        self.options = spiking.options
        self.adjust = adjust
        self.observer = observer
        self.share = spiking.bias_steps / spiking.time_steps

    def encode(self, images: Tensor) -> Coupled:
        """Give the image to the ANN branch once, and to the SNN branch at every step."""
        return Coupled(images, self.spiking.encode(images))

    def layer(self, layer: SpikingLayer, incoming: Coupled, skipped: Coupled | None = None) -> Coupled:
        """Run one layer of both branches, and map the spike counts."""
        by_batch = self.options.statistics == "batch" and self.spiking.training
        # Running statistics are folded as they were before this batch changes them (demo behaviour).
        folded = None if by_batch else self.spiking.fold(layer)
        ann = pre_activation(layer, incoming.activation, skipped.activation if skipped else None)
        folded = folded or self.spiking.fold(layer, ann)
        spikes = self.spiking.fire(layer, incoming.spikes, skipped.spikes if skipped else None, *folded)
        count = spikes.count
        seen = Observation(layer, incoming.spikes, skipped.spikes if skipped else None, spikes, ann.value)
        self._watch(seen, count, ann)
        mapped = count if self.share == 1 else count * self.share
        window = (layer.threshold, self.spiking.bias_steps) if self.options.gradient == "window" else None
        return Coupled(map_spikes(ann.value, mapped, self.options.mapping_unit, window), spikes)

    @torch.no_grad()
    def _watch(self, seen: Observation, count: Tensor, ann: PreActivation) -> None:
        if not (self.adjust or self.observer):
            return
        dropped = self.options.noisy_spikes == "after_dropout"
        rate = noisy_spike_rate(ann.value if dropped else ann.clean, count)
        if self.observer:
            self.observer(replace(seen, noisy_spike_rate=rate))
        if self.adjust:
            options = self.options
            adjust_threshold(seen.layer.threshold, rate, options.ata_rate, options.ata_step, options.ata_momentum)

    def readout(self, classifier: nn.Linear, signal: Coupled) -> tuple[Tensor, Tensor]:
        """Give the logits of the ANN branch, with gradient, and of the SNN branch after T steps: [B, classes] each."""
        ann = classifier(signal.activation.flatten(1) / self.spiking.bias_steps)
        with torch.no_grad():
            snn = classifier(signal.spikes.count.flatten(1) / self.spiking.time_steps)
        return ann, snn
