"""How the neurons of a layer are fed and run: densely, in PyTorch on any device, or spike by spike on a CPU.

Both give the same spikes where their currents, whose sums are in another order, do not differ in rounding.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from snn2ann.engine import events
from snn2ann.engine.dropout import draw_bits
from snn2ann.engine.neuron import Reset, integrate_and_fire
from snn2ann.engine.pooling import pool_charge
from snn2ann.method.layers import ConvolutionShortcut, SpikingLayer, convolve
from snn2ann.method.signals import Spikes

Affine = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class NeuronSettings:
    """How neurons are run.

    Attributes:
        time_steps: T.
        reset: "zero" or "subtract".
        membrane_start: u before the first step, as a fraction of V.
        membrane_dropout: probability of dropout on the membrane after each step.
        shortcut: what an identity shortcut adds: "current" or "spikes".
        pooling: what max pooling acts on: the current of each "step" or the "charge" so far.
    """

    time_steps: int
    reset: Reset
    membrane_start: float
    membrane_dropout: float
    shortcut: str
    pooling: str = "step"

    def pools_charge(self, layer: SpikingLayer, incoming: Spikes) -> bool:
        """Whether a layer pools charge; where the current is the same at every step, both ways are one."""
        return layer.pool and self.pooling == "charge" and not incoming.constant


@dataclass(frozen=True)
class Feed:
    """What feeds a layer's neurons.

    Attributes:
        incoming: the layer's input.
        skipped: its shortcut's input, if any.
        main: (a, b'): the current is a · (convolution without bias) + b'; see `layers.fold`.
        side: the same for a convolution shortcut.
    """

    incoming: Spikes
    skipped: Spikes | None
    main: Affine
    side: Affine | None


@dataclass(frozen=True)
class Sums:
    """A layer's convolutions without bias, at every step or added up over time.

    Attributes:
        main: the layer's, [T, B, C', H', W'] or [B, C', H', W'].
        side: its convolution shortcut's, if it has one.
    """

    main: Tensor
    side: Tensor | None = None

    def over_time(self) -> "Sums":
        """Add up the steps."""
        return Sums(self.main.sum(0), self.side.sum(0) if self.side is not None else None)


@torch.no_grad()
def fire_densely(layer: SpikingLayer, feed: Feed, settings: NeuronSettings) -> Spikes:
    """Run a layer's neurons in plain PyTorch, T folded into the batch for convolutions."""
    current = _weighted(layer.convolution, feed.incoming, feed.main)
    addend = _skipped_current(layer, feed, settings)
    if addend is not None:
        current = current + addend
    return _fire(layer, current, feed.incoming, settings)


def _fire(layer: SpikingLayer, current: Tensor, incoming: Spikes, settings: NeuronSettings) -> Spikes:
    """Pool currents [T, B, ...] and run the neurons on them."""
    if settings.pools_charge(layer, incoming):
        current = pool_charge(current, layer.reduce)
    else:
        current = layer.reduce(current.flatten(0, 1)).unflatten(0, current.shape[:2])
    if incoming.constant:
        current = current.expand(settings.time_steps, *current.shape[1:])
    spikes = integrate_and_fire(
        current,
        layer.threshold,
        reset=settings.reset,
        membrane_start=settings.membrane_start,
        membrane_dropout=settings.membrane_dropout,
    )
    return Spikes(spikes, current=current if _keeps_current(layer, settings) else None)


@torch.no_grad()
def sum_events(layer: SpikingLayer, incoming: Spikes, skipped: Spikes | None) -> Sums:
    """Convolve a layer's input, and its shortcut's, spike by spike: sums at every step."""
    side = None
    if isinstance(layer.shortcut, ConvolutionShortcut):
        assert skipped is not None
        side = events.convolve(_bytes(skipped), layer.shortcut.convolution)
    return Sums(events.convolve(_bytes(incoming), layer.convolution), side)


@torch.no_grad()
def fire_on_sums(layer: SpikingLayer, sums: Sums, feed: Feed, settings: NeuronSettings) -> Spikes:
    """Run a layer's neurons on sums that are there already; they may be overwritten."""
    addend = _scaled(sums.side, feed.side) if sums.side is not None else _skipped_current(layer, feed, settings)
    if settings.pools_charge(layer, feed.incoming):
        current = _scaled(sums.main, feed.main)
        return _fire(layer, current if addend is None else current + addend, feed.incoming, settings)
    neurons = _neurons(layer, feed, settings)
    fired = events.integrate(sums.main, *feed.main, addend, neurons, settings.time_steps)
    return Spikes(
        fired.spikes, current=fired.currents if _keeps_current(layer, settings) else None, counted=fired.count
    )


@torch.no_grad()
def fire_on_image(layer: SpikingLayer, feed: Feed, settings: NeuronSettings) -> Spikes:
    """Run the first layer's neurons: the image is convolved once, densely, and its current is every step's."""
    current = _weighted(layer.convolution, feed.incoming, feed.main)
    unchanged = (torch.ones(current.shape[2]), torch.zeros(current.shape[2]))
    feed = Feed(feed.incoming, feed.skipped, unchanged, feed.side)
    return fire_on_sums(layer, Sums(current), feed, settings)


@torch.no_grad()
def fire_by_events(
    layer: SpikingLayer, feed: Feed, settings: NeuronSettings, *, add_up: bool
) -> tuple[Spikes, Sums | None]:
    """Convolve a layer's input spike by spike and run its neurons in one go; `add_up` asks for the sums over time."""
    if settings.pools_charge(layer, feed.incoming):
        # The kernel that does both in one go pools the current of each step.
        every_step = sum_events(layer, feed.incoming, feed.skipped)
        sums = every_step.over_time() if add_up else None
        return fire_on_sums(layer, every_step, feed, settings), sums
    side = side_sum = None
    if isinstance(layer.shortcut, ConvolutionShortcut):
        assert feed.skipped is not None
        side = events.convolve(_bytes(feed.skipped), layer.shortcut.convolution)
        side_sum = side.sum(0) if add_up else None
    fired = events.fire(
        _bytes(feed.incoming),
        layer.convolution,
        *feed.main,
        _scaled(side, feed.side) if side is not None else _skipped_current(layer, feed, settings),
        _neurons(layer, feed, settings),
        total=add_up,
        currents=_keeps_current(layer, settings),
    )
    sums = Sums(fired.total, side_sum) if fired.total is not None else None
    return Spikes(fired.spikes, current=fired.currents, counted=fired.count), sums


def _weighted(convolution: nn.Conv2d, incoming: Spikes, affine: Affine) -> Tensor:
    # The constant input is convolved once, as a time axis of length 1.
    value = incoming.value[None] if incoming.constant else incoming.value
    scale, bias = affine
    weight = convolution.weight * scale.view(-1, 1, 1, 1)
    merged = value.flatten(0, 1).to(weight.dtype)
    # Membranes are charged in single precision, whatever the convolution's.
    return convolve(convolution, merged, weight, bias).to(weight.dtype).unflatten(0, value.shape[:2])


def _skipped_current(layer: SpikingLayer, feed: Feed, settings: NeuronSettings) -> Tensor | None:
    if layer.shortcut is None:
        return None
    skipped = feed.skipped
    assert skipped is not None
    if isinstance(layer.shortcut, ConvolutionShortcut):
        assert feed.side is not None
        return _weighted(layer.shortcut.convolution, skipped, feed.side)
    if settings.shortcut == "current":
        assert skipped.current is not None
        return skipped.current
    return skipped.value * layer.shortcut.scale


def _scaled(sums: Tensor, affine: Affine | None) -> Tensor:
    """Overwrites the sums: at every step of every neuron, they are the largest tensors of a layer."""
    assert affine is not None
    scale, bias = (value.view(-1, 1, 1) for value in affine)
    return sums.mul_(scale).add_(bias)


def _neurons(layer: SpikingLayer, feed: Feed, settings: NeuronSettings) -> events.Neurons:
    probability = settings.membrane_dropout
    bits = None
    if probability:
        shape = torch.Size((feed.incoming.samples, *layer.threshold.shape[1:]))
        bits = draw_bits(shape, settings.time_steps - 1, layer.threshold.device)
    return events.Neurons(layer.threshold, settings.reset == "subtract", settings.membrane_start, bits, probability)


def _bytes(spikes: Spikes) -> Tensor:
    return spikes.value.to(torch.uint8)


def _keeps_current(layer: SpikingLayer, settings: NeuronSettings) -> bool:
    return layer.feeds_identity and settings.shortcut == "current"
