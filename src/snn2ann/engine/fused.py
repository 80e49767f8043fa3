"""Neurons, and the mapping of their counts, as one Triton kernel each: a GPU reads and writes every value once.

Plain PyTorch is the reference: the same numbers to the bit, from the same random bits (`tests/method/test_fused.py`, where
Triton's interpreter runs them on a CPU). Arrays are channels last, as convolutions on a GPU like them.
"""

from dataclasses import dataclass
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from snn2ann.engine.counts import count_type
from snn2ann.engine.dropout import Dropout, bits_dropped
from snn2ann.engine.events import Fired, Neurons

compiled: Any = triton.jit
BLOCK = 1024
# Multiplying and adding in one instruction would round once where PyTorch rounds twice.
AS_WRITTEN = {"enable_fp_fusion": False}


@compiled
def _current(sums, step, step_size, place, scale, bias, inside):  # type: ignore[no-untyped-def]
    """Scale · sum + bias at a step, and the sum."""
    value = tl.load(sums + step * step_size + place, mask=inside, other=0.0).to(tl.float32)
    return value * scale + bias, value


@compiled  # type: ignore[untyped-decorator]
def _fire(  # type: ignore[no-untyped-def]
    sums, sums_step, sums_scale, sums_bias, summed,
    side, side_step, side_scale, side_bias, side_summed,
    addend, addend_step,
    threshold, start, bits, limit, gain,
    spikes, count, currents, fired,
    samples, channels, height, width, rows, columns,
    STEPS: tl.constexpr, SUBTRACT: tl.constexpr, POOL: tl.constexpr, CHARGE: tl.constexpr, DROP: tl.constexpr,
    SIDE: tl.constexpr, ADD: tl.constexpr, SUM: tl.constexpr, KEEP: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Run a block of a sample's neurons over all steps; each is fed by POOL² places of rows × columns."""
    sample = tl.program_id(1).to(tl.int64)
    neuron = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    size = height * width * channels
    inside = neuron < size
    channel, column, row = neuron % channels, neuron // channels % width, neuron // channels // width
    own_place = channel * (height * width) + row * width + column
    part = tl.arange(0, POOL * POOL)[:, None]
    place = (row[None, :] * POOL + part // POOL) * columns + column[None, :] * POOL + part % POOL
    place = (sample * (rows * columns) + place) * channels + channel[None, :]
    within = inside[None, :] & (part >= 0)
    scale = tl.load(sums_scale + channel, mask=inside, other=0.0)[None, :]
    bias = tl.load(sums_bias + channel, mask=inside, other=0.0)[None, :]
    if SIDE:
        other_scale = tl.load(side_scale + channel, mask=inside, other=0.0)[None, :]
        other_bias = tl.load(side_bias + channel, mask=inside, other=0.0)[None, :]
    v = tl.load(threshold + own_place, mask=inside, other=0.0)
    membrane = start * v
    total = tl.zeros((BLOCK,), tl.int32)
    charge = tl.zeros((POOL * POOL, BLOCK), tl.float32)
    main_total = tl.zeros((POOL * POOL, BLOCK), tl.float32)
    side_total = tl.zeros((POOL * POOL, BLOCK), tl.float32)
    before = tl.zeros((BLOCK,), tl.float32)
    for step in tl.static_range(STEPS):
        current, value = _current(sums, step, sums_step, place, scale, bias, within)
        main_total += value
        if SIDE:
            other, value = _current(side, step, side_step, place, other_scale, other_bias, within)
            current += other
            side_total += value
        if ADD:
            current += tl.load(addend + step * addend_step + place, mask=within, other=0.0).to(tl.float32)
        if KEEP:
            tl.store(currents + step * (samples * size) + place, current, mask=within)
        if CHARGE:
            charge += current
            largest = tl.max(charge, axis=0)
            charged = membrane + (largest - before)
            before = largest
        else:
            charged = membrane + tl.max(current, axis=0)
        spike = charged > v
        membrane = tl.where(spike, charged - v if SUBTRACT else 0.0, charged)
        if DROP and step + 1 < STEPS:
            drawn = tl.load(bits + (step * samples + sample) * size + own_place, mask=inside, other=0)
            membrane = membrane * tl.where(drawn >= limit, gain, 0.0)
        tl.store(
            spikes + (step * samples + sample) * size + neuron,
            spike.to(tl.float32).to(spikes.dtype.element_ty),
            mask=inside,
        )
        total += spike.to(tl.int32)
    if SUM:
        tl.store(summed + place, main_total.to(summed.dtype.element_ty), mask=within)
        if SIDE:
            tl.store(side_summed + place, side_total.to(side_summed.dtype.element_ty), mask=within)
    tl.store(count + sample * size + neuron, total.to(count.dtype.element_ty), mask=inside)
    tl.store(fired + sample * tl.num_programs(0) + tl.program_id(0), tl.sum(tl.where(inside, total, 0)))


@dataclass(frozen=True)
class Scaled:
    """Sums of a convolution, and what makes a current of them: scale · sum + bias.

    Attributes:
        sums: [T, B, C, H', W'], or [1, B, C, H', W'] where they are the same at every step.
        scale: [C].
        bias: [C].
    """

    sums: Tensor
    scale: Tensor
    bias: Tensor


@dataclass(frozen=True)
class FusedFired(Fired):
    """What a layer of neurons gave.

    Attributes:
        side_total: the sum over time of the shortcut's convolution, if asked for.
        by_block: how many spikes each program of the kernel counted.
    """

    side_total: Tensor | None = None
    by_block: Tensor | None = None

    @property
    def number(self) -> Tensor:
        """How many spikes there are, a scalar; added up where it is asked for, and not at every step."""
        assert self.by_block is not None
        return self.by_block.sum()


def fire(
    main: Scaled,
    side: Scaled | None,
    addend: Tensor | None,
    neurons: Neurons,
    steps: int,
    *,
    charge: bool = False,
    total: bool = False,
    currents: bool = False,
) -> FusedFired:
    """Run neurons on the current of a convolution, its shortcut's and an addend, 2×2 max pooled where neurons are fewer.

    Args:
        main: the convolution's.
        side: its shortcut's.
        addend: what an identity shortcut adds: [T, B, C, H', W'], [1, B, C, H', W'] or None.
        neurons: the neurons.
        steps: T.
        charge: whether the maximum is that of the charge so far instead of each step's; see `pooling.pool_charge`.
        total: whether sums over time are wanted.
        currents: whether the currents are wanted; not with pooling.

    Returns:
        The spikes [T, B, C, H, W] and what was asked for.
    """
    (_, channels, height, width), samples = neurons.threshold.shape, main.sums.shape[1]
    pooled = 2 if main.sums.shape[-1] > width else 1
    made = _Made(main.sums, neurons.threshold)
    spikes = made.empty(steps, samples, channels, height, width, kind=torch.uint8)
    count = made.empty(samples, channels, height, width, kind=count_type(steps))
    kept = made.empty(steps if currents else 0, *main.sums.shape[1:])
    # In the convolution's type, as what would have been convolved.
    summed = made.empty(*main.sums.shape[1:], kind=main.sums.dtype) if total else None
    side_summed = made.empty(*side.sums.shape[1:], kind=side.sums.dtype) if total and side else None
    blocks = triton.cdiv(channels * height * width, BLOCK)
    fired = made.empty(samples, blocks, kind=torch.int32)
    unused = main.sums.new_empty(0)
    _fire[(blocks, samples)](
        *_operands(main, unused),
        unused if summed is None else summed,
        *_operands(side, unused),
        unused if side_summed is None else side_summed,
        *((_last(addend), _step_size(addend)) if addend is not None else (unused, 0)),
        neurons.threshold.contiguous(),
        neurons.start,
        unused if neurons.bits is None else neurons.bits,
        bits_dropped(neurons.dropout),
        1 / (1 - neurons.dropout),
        spikes,
        count,
        kept,
        fired,
        samples,
        channels,
        height,
        width,
        *main.sums.shape[-2:],
        STEPS=steps,
        SUBTRACT=neurons.subtract,
        POOL=pooled,
        CHARGE=charge and pooled > 1,
        DROP=neurons.bits is not None,
        SIDE=side is not None,
        ADD=addend is not None,
        SUM=total,
        KEEP=currents,
        BLOCK=BLOCK,
        **_options(main.sums),
    )
    if total and pooled > 1 and (main.sums.shape[-1] % 2 or main.sums.shape[-2] % 2):
        # An odd last row or column feeds no neuron, and is part of the sums.
        summed, side_summed = main.sums.sum(0), side.sums.sum(0) if side else None
    return FusedFired(spikes, count, summed, kept if currents else None, side_summed, fired)


class _Made:
    """Makes what the kernel writes: in the shape that is asked for, channels last in memory."""

    def __init__(self, like: Tensor, threshold: Tensor) -> None:
        self.like, self.kind = like, threshold.dtype

    def empty(self, *shape: int, kind: torch.dtype | None = None) -> Tensor:
        stored = (*shape[:-3], *shape[-2:], shape[-3]) if len(shape) > 3 else shape
        value = self.like.new_empty(stored, dtype=kind or self.kind)
        return value.movedim(-1, -3) if len(shape) > 3 else value


def _operands(scaled: Scaled | None, unused: Tensor) -> tuple[Any, ...]:
    if scaled is None:
        return unused, 0, unused, unused
    return _last(scaled.sums), _step_size(scaled.sums), scaled.scale.contiguous(), scaled.bias.contiguous()


def _last(value: Tensor) -> Tensor:
    """Channels last in memory: [T, B, H, W, C]."""
    return value.movedim(-3, -1).contiguous()


def _step_size(value: Tensor) -> int:
    return value[0].numel() if len(value) > 1 else 0


def _options(value: Tensor) -> dict[str, Any]:
    return AS_WRITTEN if value.is_cuda else {}


@compiled  # type: ignore[untyped-decorator]
def _map(  # type: ignore[no-untyped-def]
    pre_activation, count, kept, gain, threshold, limit,
    active, mapped, noisy, size, neurons, channels, positions,
    DROP: tl.constexpr, WINDOW: tl.constexpr, RECTIFY: tl.constexpr, AFTER: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Where the gradient goes, which counts pass, and how many neurons are noisy, for a block of a batch."""
    place = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = place < size
    value = tl.load(pre_activation + place, mask=inside, other=0.0)
    before = value
    if DROP:
        value = value * tl.load(kept + place, mask=inside, other=0.0) * gain
    spikes = tl.load(count + place, mask=inside, other=0)
    positive = value > 0
    shown = value if AFTER else before
    open_ = positive
    if WINDOW:
        own = place % neurons
        v = tl.load(threshold + own % channels * positions + own // channels, mask=inside, other=0.0)
        open_ = positive & (value < limit * v)
    tl.store(active + place, open_, mask=inside)
    if RECTIFY:
        tl.store(mapped + place, tl.where(positive, spikes, 0), mask=inside)
    is_noisy = inside & (shown <= 0) & (spikes > 0)
    tl.store(noisy + tl.program_id(0), tl.sum(is_noisy.to(tl.int32)))


@compiled  # type: ignore[untyped-decorator]
def _map_backward(  # type: ignore[no-untyped-def]
    gradient, active, price, cost, slope, threshold, least,
    result, size, neurons, channels, positions,
    GIVEN: tl.constexpr, PRICED: tl.constexpr, WINDOW: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """The gradient of what was mapped, for a block of a batch."""
    place = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = place < size
    open_ = tl.load(active + place, mask=inside, other=0).to(tl.float32)
    value = tl.zeros((BLOCK,), tl.float32)
    if GIVEN:
        value = tl.load(gradient + place, mask=inside, other=0.0).to(tl.float32) * open_
    if PRICED:
        value += open_ * (tl.load(price) * cost)
    value = value * slope
    if WINDOW:
        own = place % neurons
        v = tl.load(threshold + own % channels * positions + own // channels, mask=inside, other=1.0)
        value = value * (1.0 / tl.maximum(v, least))
    tl.store(result + place, value.to(result.dtype.element_ty), mask=inside)


@dataclass(frozen=True)
class Mapped:
    """What a mapping unit made of counts.

    Attributes:
        active: where the pre-activation has a gradient, bool, [B, C, H, W].
        value: the counts that pass.
        noisy: how many neurons fired although the ANN's activation is zero, a scalar.
    """

    active: Tensor
    value: Tensor
    noisy: Tensor


def map_counts(
    pre_activation: Tensor,
    count: Tensor,
    *,
    rectify: bool,
    dropout: Dropout | None = None,
    window: tuple[Tensor, int] | None = None,
    after_dropout: bool = True,
) -> Mapped:
    """Find in one pass what `mapping.map_spikes` and `mapping.noisy_spike_rate` find.

    Args:
        pre_activation: p, [B, C, H, W], before dropout.
        count: S, same shape.
        rectify: whether only counts of positive activations pass (ReSU).
        dropout: the ANN branch's; its mask is of one value a neuron.
        window: (V, T) of the windowed gradient, or None.
        after_dropout: whether a neuron is noisy by the activation after dropout.
    """
    pre_activation, count = _rows(pre_activation), _rows(count)
    active = torch.empty_like(count, dtype=torch.bool)
    value = torch.empty_like(count) if rectify else count
    programs = triton.cdiv(count.numel(), BLOCK)
    noisy = count.new_empty(programs, dtype=torch.int32)
    unused = pre_activation.new_empty(0)
    threshold, steps = window if window is not None else (unused, 0)
    _map[(programs,)](
        pre_activation,
        count,
        _rows(dropout.kept.expand(_first(count).shape)) if dropout else unused,
        dropout.gain if dropout else 1.0,
        threshold.contiguous(),
        steps + 0.5,
        active,
        value,
        noisy,
        count.numel(),
        *_neurons_of(count),
        DROP=dropout is not None,
        WINDOW=window is not None,
        RECTIFY=rectify,
        AFTER=after_dropout,
        BLOCK=BLOCK,
        **_options(count),
    )
    return Mapped(_first(active), _first(value), noisy.sum())


def map_backward(
    gradient: Tensor | None,
    active: Tensor,
    kind: torch.dtype,
    *,
    slope: float = 1.0,
    window: tuple[Tensor, float] | None = None,
    price: tuple[Tensor, float] | None = None,
) -> Tensor:
    """Give the pre-activation's gradient in one pass: (gradient + price) where it is active, times its slope.

    Args:
        gradient: that of the mapped counts, [B, C, H, W], or None.
        active: see `Mapped`.
        kind: type of the result.
        slope: a factor.
        window: (V, the least V that the slope 1 / V is made of), or None.
        price: (the gradient of the price, what a count of an image costs), or None.
    """
    active = _rows(active)
    result = torch.empty_like(active, dtype=kind)
    unused = result.new_empty(0)
    _map_backward[(triton.cdiv(active.numel(), BLOCK),)](
        unused if gradient is None else _rows(gradient),
        active,
        price[0] if price else unused,
        price[1] / len(active) if price else 0.0,
        slope,
        window[0].contiguous() if window else unused,
        window[1] if window else 0.0,
        result,
        active.numel(),
        *_neurons_of(active),
        GIVEN=gradient is not None,
        PRICED=price is not None,
        WINDOW=window is not None,
        BLOCK=BLOCK,
        **_options(active),
    )
    return _first(result)


def _rows(value: Tensor) -> Tensor:
    """[B, C, H, W] as it lies in memory channels last: [B, H, W, C]."""
    return value.movedim(1, -1).contiguous()


def _first(value: Tensor) -> Tensor:
    return value.movedim(-1, 1)


def _neurons_of(rows: Tensor) -> tuple[int, int, int]:
    """Of an image: neurons, channels, and positions."""
    channels, neurons = rows.shape[-1], rows[0].numel()
    return neurons, channels, neurons // channels
