"""The loops of `kernels.py` as functions of tensors. Arrays that they give are the kernels' own: [B, T, H, W, C]."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary

from snn2ann.engine.compiled import one_operation
from snn2ann.engine.dropout import bits_dropped


def output_side(side: int, kernel: int, stride: int, padding: int) -> int:
    """Height or width of a square convolution's output."""
    return (side + 2 * padding - kernel) // stride + 1


def _empty_sums(spikes: Tensor, weight: Tensor, kernel: int, stride: int, padding: int) -> Tensor:
    steps, samples, _, *size = spikes.shape
    height, width = (output_side(side, kernel, stride, padding) for side in size)
    return weight.new_empty((samples, steps, height, width, len(weight)))


@one_operation("convolve", like=_empty_sums)
def convolve(spikes: Tensor, weight: Tensor, kernel: int, stride: int, padding: int, repeat: bool) -> Tensor:
    """Convolve spikes: see `events.convolve`.

    Returns:
        Sums [B, T, H', W', C'].
    """
    sums = _empty_sums(spikes, weight.detach(), kernel, stride, padding)
    _kernels().convolve(_array(spikes), _table(weight), (kernel, stride, padding), repeat, sums.numpy())
    return sums


@one_operation("take_off", writes=("sums",))
def take_off(sums: Tensor, counts: Tensor, weight: Tensor, kernel: int, stride: int, padding: int) -> None:
    """Take the convolution of counts off its sums [B, C', H', W'], in place; nothing is done where there are no counts."""
    if bool(counts.any()):
        sums.sub_(convolve(counts[None], weight, kernel, stride, padding, True)[:, 0].permute(0, 3, 1, 2))


def _empty_fired(
    spikes: Tensor,
    weight: Tensor,
    kernel: int,
    stride: int,
    padding: int,
    threshold: Tensor,
    total: bool,
    currents: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    every_step = _empty_sums(spikes, weight, kernel, stride, padding)
    samples, steps, height, width, channels = every_step.shape
    kept = every_step if currents else every_step.new_empty((0, 0, 0, 0, 0))
    sums = every_step.new_empty((samples, height, width, channels) if total else (0, 0, 0, 0))
    return *_empty_result(threshold, steps, samples), sums, kept


@one_operation("fire", like=_empty_fired)
def fire(
    spikes: Tensor,
    weight: Tensor,
    kernel: int,
    stride: int,
    padding: int,
    scale: Tensor,
    bias: Tensor,
    addend: Tensor | None,
    threshold: Tensor,
    subtract: bool,
    start: float,
    bits: Tensor | None,
    dropout: float,
    total: bool,
    currents: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Convolve spikes and run neurons: see `events.fire`.

    Returns:
        The spikes [B, T, H'', W'', C'], their count, the sums over time and the currents; the last two are empty where they
        are not asked for.
    """
    fired, count, sums, kept = _empty_fired(
        spikes, weight.detach(), kernel, stride, padding, threshold, total, currents
    )
    size = [output_side(side, kernel, stride, padding) for side in spikes.shape[-2:]]
    _kernels().fire(
        _array(spikes),
        _table(weight),
        (kernel, stride, padding),
        tuple(size),
        scale.numpy(),
        bias.numpy(),
        _addend(addend),
        (_single(start), subtract),
        _by_place(threshold),
        *_dropout(bits, dropout),
        fired.numpy(),
        count.numpy(),
        sums.numpy(),
        kept.numpy(),
    )
    return fired, count, sums, kept


def _empty_integrated(sums: Tensor, threshold: Tensor, steps: int) -> tuple[Tensor, Tensor, Tensor]:
    given, samples, channels, height, width = sums.shape
    return *_empty_result(threshold, steps, samples), sums.new_empty((samples, given, height, width, channels))


@one_operation("integrate", like=_empty_integrated)
def integrate(
    sums: Tensor,
    scale: Tensor,
    bias: Tensor,
    addend: Tensor | None,
    threshold: Tensor,
    subtract: bool,
    start: float,
    bits: Tensor | None,
    dropout: float,
    steps: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Run neurons on sums: see `events.integrate`.

    Returns:
        The spikes [B, T, H, W, C], their count, and the currents as many as there are sums.
    """
    fired, count = _empty_result(threshold, steps, sums.shape[1])
    currents = sums.permute(1, 0, 3, 4, 2).contiguous()
    currents = currents.clone() if currents.data_ptr() == sums.data_ptr() else currents
    _kernels().integrate(
        currents.numpy(),
        scale.numpy(),
        bias.numpy(),
        _addend(addend),
        (_single(start), subtract),
        _by_place(threshold),
        *_dropout(bits, dropout),
        fired.numpy(),
        count.numpy(),
    )
    return fired, count, currents


def _empty_result(threshold: Tensor, steps: int, samples: int) -> tuple[Tensor, Tensor]:
    """Spikes [B, T, H, W, C] and counts [B, H, W, C], bytes."""
    _, channels, height, width = threshold.shape
    place = (height, width, channels)
    spikes = threshold.new_empty((samples, steps, *place), dtype=torch.uint8)
    return spikes, threshold.new_empty((samples, *place), dtype=torch.uint8)


def _by_place(threshold: Tensor) -> Any:
    return threshold[0].permute(1, 2, 0).contiguous().numpy()


def _dropout(bits: Tensor | None, probability: float) -> tuple[Any, int, Any]:
    bits = bits if bits is not None else torch.empty(0, 0, 0, 0, 0, dtype=torch.int16)
    return bits.numpy(), bits_dropped(probability), _single(1 / (1 - probability))


def _addend(addend: Tensor | None) -> Any:
    return _array(addend) if addend is not None else torch.empty(0, 0, 0, 0, 0).numpy()


def _array(value: Tensor) -> Any:
    """[T, B, C, H, W] as the kernels take it: a contiguous array [B, T, H, W, C]."""
    return value.permute(1, 0, 3, 4, 2).contiguous().numpy()


def _single(value: float) -> Any:
    return torch.tensor(value, dtype=torch.float32).numpy()[()]


_tables: Any = WeakTensorKeyDictionary()


def _table(weight: Tensor) -> Any:
    """A convolution's weight [C', C, k, k] as rows by place and channel, in blocks of columns: [blocks, k² · C, block].

    Kept until the weight changes. Columns are padded with zeros to a whole number of blocks.
    """
    state = (weight._version, weight.data_ptr())
    known, table = _tables.get(weight, (None, None))
    if known != state:
        outputs = weight.shape[0]
        blocks = _kernels().BLOCKS
        block = next((block for block in blocks if outputs % block == 0), blocks[-1])
        rows = weight.detach().permute(2, 3, 1, 0).reshape(-1, outputs)
        rows = nn.functional.pad(rows, (0, -outputs % block))
        table = rows.unflatten(1, (-1, block)).transpose(0, 1).contiguous().numpy()
        _tables[weight] = (state, table)
    return table


def _kernels() -> Any:
    # Numba takes a while to load, and is not needed on a GPU or for small layers.
    from snn2ann.engine import kernels

    kernels.use_threads(torch.get_num_threads())
    return kernels
