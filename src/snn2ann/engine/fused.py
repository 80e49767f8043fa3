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

from snn2ann.engine.compiled import one_operation
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
    kind: torch.dtype = torch.uint8,
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
        kind: type of the spikes: bytes, or that of the convolution that takes them.

    Returns:
        The spikes [T, B, C, H, W] and what was asked for.
    """
    spikes, count, summed, side_summed, kept, fired = _run_neurons(
        main.sums,
        main.scale,
        main.bias,
        side.sums if side else None,
        side.scale if side else None,
        side.bias if side else None,
        addend,
        neurons.threshold,
        neurons.bits,
        neurons.start,
        neurons.dropout,
        neurons.subtract,
        charge,
        steps,
        total,
        currents,
        kind,
    )
    sides_total = side_summed if side else None
    if total and main.sums.shape[-1] > spikes.shape[-1] and (main.sums.shape[-1] % 2 or main.sums.shape[-2] % 2):
        # An odd last row or column feeds no neuron, and is part of the sums.
        summed, sides_total = main.sums.sum(0), side.sums.sum(0) if side else None
    return FusedFired(
        spikes, count, summed if total else None, kept if currents else None, sides_total if total else None, fired
    )


Outputs = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]


def _outputs(
    sums: Tensor,
    side: Tensor | None,
    threshold: Tensor,
    steps: int,
    total: bool,
    currents: bool,
    kind: torch.dtype,
) -> Outputs:
    """Make what the kernel writes, channels last in memory: spikes, counts, sums, the shortcut's, currents, numbers."""

    def empty(kind: torch.dtype, *shape: int) -> Tensor:
        return sums.new_empty((*shape[:-3], *shape[-2:], shape[-3]), dtype=kind).movedim(-1, -3)

    (_, *size), samples = threshold.shape, sums.shape[1]
    blocks = triton.cdiv(threshold.numel(), BLOCK)
    # In the convolution's type, as what would have been convolved.
    summed, side_summed = (
        empty(sums.dtype, samples if wanted else 0, *sums.shape[2:]) for wanted in (total, total and side is not None)
    )
    return (
        empty(kind, steps, samples, *size),
        empty(count_type(steps), samples, *size),
        summed,
        side_summed,
        empty(threshold.dtype, steps if currents else 0, *sums.shape[1:]),
        sums.new_empty((samples, blocks), dtype=torch.int32),
    )


@one_operation("run_neurons", like=_outputs)
def _run_neurons(
    sums: Tensor,
    scale: Tensor,
    bias: Tensor,
    side: Tensor | None,
    side_scale: Tensor | None,
    side_bias: Tensor | None,
    addend: Tensor | None,
    threshold: Tensor,
    bits: Tensor | None,
    start: float,
    dropout: float,
    subtract: bool,
    charge: bool,
    steps: int,
    total: bool,
    currents: bool,
    kind: torch.dtype,
) -> Outputs:
    made = _outputs(sums, side, threshold, steps, total, currents, kind)
    spikes, count, summed, side_summed, kept, fired = made
    (_, channels, height, width), samples = threshold.shape, sums.shape[1]
    pooled = 2 if sums.shape[-1] > width else 1
    unused = sums.new_empty(0)
    _fire[(fired.shape[1], samples)](
        *_operands(sums, scale, bias, unused),
        summed,
        *_operands(side, side_scale, side_bias, unused),
        side_summed,
        *((_last(addend), _step_size(addend)) if addend is not None else (unused, 0)),
        threshold.contiguous(),
        start,
        unused if bits is None else bits,
        bits_dropped(dropout),
        1 / (1 - dropout),
        spikes,
        count,
        kept,
        fired,
        samples,
        channels,
        height,
        width,
        *sums.shape[-2:],
        STEPS=steps,
        SUBTRACT=subtract,
        POOL=pooled,
        CHARGE=charge and pooled > 1,
        DROP=bits is not None,
        SIDE=side is not None,
        ADD=addend is not None,
        SUM=total,
        KEEP=currents,
        BLOCK=BLOCK,
        **_options(sums),
    )
    return made


def _operands(sums: Tensor | None, scale: Tensor | None, bias: Tensor | None, unused: Tensor) -> tuple[Any, ...]:
    if sums is None or scale is None or bias is None:
        return unused, 0, unused, unused
    return _last(sums), _step_size(sums), scale.contiguous(), bias.contiguous()


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
    DROP: tl.constexpr, WINDOW: tl.constexpr, RECTIFY: tl.constexpr, MASK: tl.constexpr, NOISY: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """For a block of a batch: where the gradient goes and which counts pass, or how many neurons are noisy."""
    place = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = place < size
    value = tl.load(pre_activation + place, mask=inside, other=0.0)
    if DROP:
        value = value * tl.load(kept + place, mask=inside, other=0.0) * gain
    spikes = tl.load(count + place, mask=inside, other=0)
    positive = value > 0
    if MASK:
        open_ = positive
        if WINDOW:
            own = place % neurons
            v = tl.load(threshold + own % channels * positions + own // channels, mask=inside, other=0.0)
            open_ = positive & (value < limit * v)
        tl.store(active + place, open_, mask=inside)
        if RECTIFY:
            tl.store(mapped + place, tl.where(positive, spikes, 0), mask=inside)
    if NOISY:
        is_noisy = inside & (value <= 0) & (spikes > 0)
        tl.store(noisy + tl.program_id(0), tl.sum(is_noisy.to(tl.int32)))


@compiled  # type: ignore[untyped-decorator]
def _map_backward(  # type: ignore[no-untyped-def]
    gradient, active, price, cost, slope, gain,
    result, size, neurons, channels, positions,
    GIVEN: tl.constexpr, PRICED: tl.constexpr, GAIN: tl.constexpr, BLOCK: tl.constexpr,
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
    if GAIN:
        own = place % neurons
        value = value * tl.load(gain + own % channels * positions + own // channels, mask=inside, other=1.0)
    tl.store(result + place, value.to(result.dtype.element_ty), mask=inside)


def map_counts(
    pre_activation: Tensor,
    count: Tensor,
    *,
    rectify: bool,
    dropout: Dropout | None = None,
    window: tuple[Tensor, int] | None = None,
) -> tuple[Tensor, Tensor]:
    """Find in one pass where a mapping unit's gradient goes and which counts pass; see `mapping.map_spikes`.

    Args:
        pre_activation: p, [B, C, H, W], before dropout.
        count: S, same shape.
        rectify: whether only counts of positive activations pass (ReSU).
        dropout: the ANN branch's.
        window: (V, T) of the windowed gradient, or None.

    Returns:
        Where p has a gradient, bool, and the counts that pass, [B, C, H, W] each.
    """
    threshold, steps = window if window is not None else (None, 0)
    active, mapped, _ = _look(
        pre_activation, count, *_dropped(dropout, count), threshold, steps + 0.5, rectify, True, False
    )
    return active, mapped if rectify else count


def count_noisy(pre_activation: Tensor, count: Tensor, dropout: Dropout | None = None) -> Tensor:
    """Count in one pass the neurons that fired although the activation is zero, after dropout if it is given: a scalar."""
    *_, noisy = _look(pre_activation, count, *_dropped(dropout, count), None, 0.0, False, False, True)
    return noisy.sum()


def _dropped(dropout: Dropout | None, count: Tensor) -> tuple[Tensor | None, float]:
    return (dropout.kept.expand(count.shape), dropout.gain) if dropout else (None, 1.0)


def _looked_like(count: Tensor, rectify: bool, mask: bool, noisy: bool) -> tuple[Tensor, Tensor, Tensor]:
    samples, channels, height, width = count.shape

    def empty(kind: torch.dtype, wanted: bool) -> Tensor:
        return count.new_empty((samples if wanted else 0, height, width, channels), dtype=kind).movedim(-1, 1)

    programs = triton.cdiv(count.numel(), BLOCK) if noisy else 0
    return empty(torch.bool, mask), empty(count.dtype, rectify), count.new_empty(programs, dtype=torch.int32)


@one_operation("map_counts", like=_looked_like)
def _look(
    pre_activation: Tensor,
    count: Tensor,
    kept: Tensor | None,
    gain: float,
    threshold: Tensor | None,
    limit: float,
    rectify: bool,
    mask: bool,
    noisy: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    made = _looked_like(count, rectify, mask, noisy)
    unused = pre_activation.new_empty(0)
    _map[(triton.cdiv(count.numel(), BLOCK),)](
        _rows(pre_activation),
        _rows(count),
        unused if kept is None else _rows(kept),
        gain,
        unused if threshold is None else threshold.contiguous(),
        limit,
        *made,
        count.numel(),
        *_neurons_of(count),
        DROP=kept is not None,
        WINDOW=threshold is not None,
        RECTIFY=rectify,
        MASK=mask,
        NOISY=noisy,
        BLOCK=BLOCK,
        **_options(count),
    )
    return made


def map_backward(
    gradient: Tensor | None,
    active: Tensor,
    kind: torch.dtype,
    *,
    slope: float = 1.0,
    gain: Tensor | None = None,
    price: tuple[Tensor, float] | None = None,
) -> Tensor:
    """Give the pre-activation's gradient in one pass: (gradient + price) where it is active, times its slope.

    Args:
        gradient: that of the mapped counts, [B, C, H, W], or None.
        active: see `map_counts`.
        kind: type of the result.
        slope: a factor.
        gain: a further one, which broadcasts to [1, C, H, W], or None.
        price: (the gradient of the price, what a count costs), or None.
    """
    spread = None if gain is None else gain.expand(1, *active.shape[1:])
    return _gradient(gradient, active, kind, slope, spread, *(price or (None, 0.0)))


def _gradient_like(active: Tensor, kind: torch.dtype) -> Tensor:
    samples, channels, height, width = active.shape
    return active.new_empty((samples, height, width, channels), dtype=kind).movedim(-1, 1)


@one_operation("map_backward", like=_gradient_like)
def _gradient(
    gradient: Tensor | None,
    active: Tensor,
    kind: torch.dtype,
    slope: float,
    gain: Tensor | None,
    price: Tensor | None,
    cost: float,
) -> Tensor:
    result = _gradient_like(active, kind)
    unused = result.new_empty(0)
    _map_backward[(triton.cdiv(active.numel(), BLOCK),)](
        unused if gradient is None else _rows(gradient),
        _rows(active),
        unused if price is None else price,
        cost,
        slope,
        unused if gain is None else gain.contiguous(),
        result,
        active.numel(),
        *_neurons_of(active),
        GIVEN=gradient is not None,
        PRICED=price is not None,
        GAIN=gain is not None,
        BLOCK=BLOCK,
        **_options(active),
    )
    return result


def _rows(value: Tensor) -> Tensor:
    """[B, C, H, W] as it lies in memory channels last: [B, H, W, C]."""
    return value.movedim(1, -1).contiguous()


def _neurons_of(value: Tensor) -> tuple[int, int, int]:
    """Of an image of [B, C, H, W]: neurons, channels, and positions."""
    channels, positions = value.shape[1], value.shape[2] * value.shape[3]
    return channels * positions, channels, positions
