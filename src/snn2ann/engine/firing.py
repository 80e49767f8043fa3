"""How the neurons of a layer are fed and run: densely, in PyTorch on any device, spike by spike on a CPU, or by Triton.

All give the same spikes where their currents, whose sums are in another order, do not differ in rounding.
"""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from snn2ann.engine import events
from snn2ann.engine.autocast import autocast_type
from snn2ann.engine.dropout import draw_bits
from snn2ann.engine.neuron import Reset, integrate_and_fire
from snn2ann.engine.normalisation import weigh
from snn2ann.engine.pooling import pool, pool_charge
from snn2ann.engine.signals import Spikes
from snn2ann.engine.stages import Fire, Layer, Weigh
from snn2ann.engine.ways import Way

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

    def keeps_current(self, fire: Fire) -> bool:
        """Whether a shortcut will take what feeds these neurons."""
        return fire.feeds_identity and self.shortcut == "current"


@dataclass(frozen=True)
class Feed:
    """What feeds a layer's neurons.

    Attributes:
        incoming: the layer's input.
        skipped: its shortcut's input, if any.
        main: (a, b'): the current is a · (convolution without bias) + b'; see `normalisation.affine`.
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
def fire_densely(layer: Layer, feed: Feed, settings: NeuronSettings) -> Spikes:
    """Run a layer's neurons in plain PyTorch, T folded into the batch for convolutions."""
    current = _weighted(layer.main, feed.incoming, feed.main)
    addend = _addend(layer, feed, settings)
    return _fire_on(layer, current if addend is None else current + addend, settings)


@torch.no_grad()
def fire_on_current(fire: Fire, current: Tensor, settings: NeuronSettings) -> Spikes:
    """Run neurons on currents [T, B, ...], or [1, B, ...] where they are the same at every step."""
    current = current.to(fire.neurons.threshold.dtype)
    fire.neurons.check(current.shape)
    if len(current) == 1:
        current = current.expand(settings.time_steps, *current.shape[1:])
    spikes = integrate_and_fire(
        current,
        fire.neurons.threshold,
        reset=settings.reset,
        membrane_start=settings.membrane_start,
        membrane_dropout=settings.membrane_dropout,
    )
    return _spikes(fire, spikes, current if settings.keeps_current(fire) else None)


def pool_current(pooling: torch.nn.Module, current: Tensor, settings: NeuronSettings) -> Tensor:
    """Pool currents [T, B, C, H, W]; where they are the same at every step, both ways of max pooling are one."""
    if settings.pooling == "charge" and len(current) > 1 and isinstance(pooling, torch.nn.MaxPool2d):
        return pool_charge(current, partial(pool, pooling))
    return pool(pooling, current.flatten(0, 1)).unflatten(0, current.shape[:2])


def _fire_on(layer: Layer, current: Tensor, settings: NeuronSettings) -> Spikes:
    pooled = current if layer.pool is None else pool_current(layer.pool, current, settings)
    return fire_on_current(layer.fire, pooled, settings)


def _spikes(fire: Fire, value: Tensor, current: Tensor | None, count: Tensor | None = None) -> Spikes:
    return Spikes(value, binary=True, current=current, counted=count, worth=fire.neurons.worth)


@torch.no_grad()
def sum_layer(layer: Layer, incoming: Spikes, skipped: Spikes | None, way: Way) -> Sums:
    """Convolve a layer's input, and its shortcut's, without bias: sums at every step."""
    convolve = _convolve_events if way is Way.EVENTS else _convolve_densely
    side = None
    if layer.side is not None:
        assert skipped is not None
        side = convolve(layer.side, skipped)
    return Sums(convolve(layer.main, incoming), side)


@torch.no_grad()
def fire_on_sums(layer: Layer, sums: Sums, feed: Feed, settings: NeuronSettings, way: Way) -> Spikes:
    """Run a layer's neurons on sums that are there already; they may be overwritten."""
    if way is Way.TRITON:
        return _fire_fused(layer, sums, feed, settings, add_up=False)[0]
    addend = _scaled(sums.side, feed.side) if sums.side is not None else _addend(layer, feed, settings)
    # A shortcut may change over time where the image does not.
    later = addend is not None and len(addend) > len(sums.main)
    if later or not _in_one_go(layer, len(sums.main) == 1, settings):
        current = _scaled(sums.main, feed.main)
        return _fire_on(layer, current if addend is None else current + addend, settings)
    neurons = _neurons(layer, feed, settings)
    fired = events.integrate(sums.main, *feed.main, addend, neurons, settings.time_steps)
    kept = fired.currents if settings.keeps_current(layer.fire) else None
    return _spikes(layer.fire, fired.spikes, kept, fired.count)


@torch.no_grad()
def fire_on_image(layer: Layer, feed: Feed, settings: NeuronSettings, way: Way) -> Spikes:
    """Run the first layer's neurons: the image is convolved once, densely, and its current is every step's."""
    if way is Way.TRITON:
        return fire_on_sums(layer, sum_layer(layer, feed.incoming, feed.skipped, way), feed, settings, way)
    current = _weighted(layer.main, feed.incoming, feed.main)
    unchanged = (torch.ones(current.shape[2]), torch.zeros(current.shape[2]))
    feed = Feed(feed.incoming, feed.skipped, unchanged, feed.side)
    return fire_on_sums(layer, Sums(current), feed, settings, way)


@torch.no_grad()
def sum_and_fire(
    layer: Layer, feed: Feed, settings: NeuronSettings, way: Way, *, add_up: bool
) -> tuple[Spikes, Sums | None]:
    """Convolve a layer's input and run its neurons, in one go where that can be; `add_up` asks for the sums over time."""
    if way is Way.TRITON:
        every_step = sum_layer(layer, feed.incoming, feed.skipped, way)
        return _fire_fused(layer, every_step, feed, settings, add_up=add_up)
    if not _in_one_go(layer, False, settings):
        every_step = sum_layer(layer, feed.incoming, feed.skipped, way)
        sums = every_step.over_time() if add_up else None
        return fire_on_sums(layer, every_step, feed, settings, way), sums
    side = side_sum = None
    if layer.side is not None:
        assert feed.skipped is not None
        side = events.convolve(_bytes(feed.skipped), layer.side.convolution)
        side_sum = side.sum(0) if add_up else None
    fired = events.fire(
        _bytes(feed.incoming),
        layer.main.convolution,
        *feed.main,
        _scaled(side, feed.side) if side is not None else _addend(layer, feed, settings),
        _neurons(layer, feed, settings),
        total=add_up,
        currents=settings.keeps_current(layer.fire),
    )
    sums = Sums(fired.total, side_sum) if fired.total is not None else None
    return _spikes(layer.fire, fired.spikes, fired.currents, fired.count), sums


def _in_one_go(layer: Layer, constant: bool, settings: NeuronSettings) -> bool:
    """Whether the kernels can pool what they integrate: by the 2×2 maximum of each step, and not beside its currents."""
    if layer.pool is None:
        return True
    by_step = settings.pooling == "step" or constant
    return layer.halves and by_step and not settings.keeps_current(layer.fire)


def _fire_fused(
    layer: Layer, sums: Sums, feed: Feed, settings: NeuronSettings, *, add_up: bool
) -> tuple[Spikes, Sums | None]:
    # Triton takes a while to load, and is not needed on a CPU.
    from snn2ann.engine import fused

    side = None
    if sums.side is not None:
        assert feed.side is not None
        side = fused.Scaled(sums.side, *feed.side)
    main, neurons = fused.Scaled(sums.main, *feed.main), layer.fire.neurons
    neurons.check(layer.fed_by(sums.main.shape[-3:]))
    fired = fused.fire(
        main,
        side,
        None if side else _addend(layer, feed, settings),
        _neurons(layer, feed, settings),
        settings.time_steps,
        charge=settings.pooling == "charge",
        total=add_up,
        currents=settings.keeps_current(layer.fire),
        kind=autocast_type(sums.main) or neurons.threshold.dtype,
    )
    total = Sums(fired.total, fired.side_total) if fired.total is not None else None
    return _spikes(layer.fire, fired.spikes, fired.currents, fired.count), total


def _convolve_events(weights: Weigh, incoming: Spikes) -> Tensor:
    return events.convolve(_bytes(incoming), weights.convolution)


def _convolve_densely(weights: Weigh, incoming: Spikes) -> Tensor:
    value, convolution = incoming.timed, weights.convolution
    weight = convolution.weight.detach()
    taken = value.flatten(0, 1).to(autocast_type(value) or weight.dtype)
    sums = convolution._conv_forward(taken, weight, None)
    return sums.unflatten(0, value.shape[:2])


def _weighted(weights: Weigh, incoming: Spikes, affine: Affine) -> Tensor:
    value, worth = incoming.taken_by(weights.convolution)
    weight = weights.convolution.weight
    # What is one number is in the scale already.
    worth = None if worth is None else incoming.worth_by_channel
    current = weigh(weights.convolution, value.flatten(0, 1), *affine, worth)
    # Membranes are charged in single precision, whatever the convolution's.
    return current.to(weight.dtype).unflatten(0, value.shape[:2])


def _addend(layer: Layer, feed: Feed, settings: NeuronSettings) -> Tensor | None:
    """What the shortcut adds to the current: [T, B, ...], or [1, B, ...] where it is the same at every step."""
    if not layer.skips:
        return None
    assert feed.skipped is not None
    if layer.side is not None:
        assert feed.side is not None
        return _weighted(layer.side, feed.skipped, feed.side)
    return shortcut(feed.skipped, settings).to(layer.fire.neurons.threshold.dtype)


def shortcut(skipped: Spikes, settings: NeuronSettings) -> Tensor:
    """What an identity shortcut adds: [T, B, ...], or [1, B, ...] where it is the same at every step."""
    if settings.shortcut == "current" and skipped.current is not None:
        return skipped.current
    return skipped.amount()


def _scaled(sums: Tensor, affine: Affine | None) -> Tensor:
    """Overwrites the sums: at every step of every neuron, they are the largest tensors of a layer."""
    assert affine is not None
    scale, bias = (value.view(-1, 1, 1) for value in affine)
    return sums.mul_(scale).add_(bias)


def _neurons(layer: Layer, feed: Feed, settings: NeuronSettings) -> events.Neurons:
    probability, threshold = settings.membrane_dropout, layer.fire.neurons.threshold
    bits = None
    if probability:
        shape = torch.Size((feed.incoming.samples, *threshold.shape[1:]))
        bits = draw_bits(shape, settings.time_steps - 1, threshold.device)
    return events.Neurons(threshold, settings.reset == "subtract", settings.membrane_start, bits, probability)


def _bytes(spikes: Spikes) -> Tensor:
    return spikes.value.to(torch.uint8)
