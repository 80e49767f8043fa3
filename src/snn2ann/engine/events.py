"""Event-driven layers: convolution and neurons whose work follows the spikes, on a CPU.

The same sums as a dense convolution's, in another order, so that currents agree to rounding. `kernels.py` has the loops.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary

from snn2ann.engine.counts import count_type
from snn2ann.engine.dropout import bits_dropped

# Below these numbers of channels and of positions a dense convolution is as fast.
FEWEST_CHANNELS = 64
FEWEST_POSITIONS = 16


@dataclass(frozen=True)
class Neurons:
    """What IF neurons are run with: see `neuron.integrate_and_fire`.

    Attributes:
        threshold: V, [1, C, H, W].
        subtract: reset by subtraction instead of to zero.
        start: membrane before the first step, as a fraction of V.
        bits: random bits of membrane dropout after each step, int16 [T - 1, B, C, H, W], or None.
        dropout: its probability.
    """

    threshold: Tensor
    subtract: bool
    start: float = 0.0
    bits: Tensor | None = None
    dropout: float = 0.0


@dataclass(frozen=True)
class Fired:
    """What a layer of neurons gave.

    Attributes:
        spikes: bytes, [T, B, C, H, W].
        count: S, bytes, [B, C, H, W].
        total: sum over time of the convolution without bias, before pooling, [B, C, H', W'], if asked for.
        currents: [T, B, C, H, W], if asked for.
    """

    spikes: Tensor
    count: Tensor
    total: Tensor | None = None
    currents: Tensor | None = None


def unsuited(convolution: nn.Conv2d, threshold: Tensor, time_steps: int) -> str:
    """Why a layer cannot, or should not, be run here; "" where it should.

    Args:
        convolution: the layer's.
        threshold: one a neuron, [1, C', H, W].
        time_steps: T.
    """
    if threshold.device.type != "cpu":
        return f"the device is {threshold.device.type}"
    for value in (convolution.weight, threshold):
        if value.dtype != torch.float32:
            return f"its type is {str(value.dtype).removeprefix('torch.')}"
    if not _square(convolution):
        return "the convolution is not square"
    if count_type(time_steps) != torch.uint8:
        return "counts do not fit a byte"
    if convolution.out_channels < FEWEST_CHANNELS:
        return f"fewer than {FEWEST_CHANNELS} channels"
    if threshold[0, 0].numel() < FEWEST_POSITIONS:
        return f"fewer than {FEWEST_POSITIONS} positions"
    return ""


def _square(convolution: nn.Conv2d) -> bool:
    return all(
        isinstance(value, tuple) and len(set(value)) == 1
        for value in (convolution.kernel_size, convolution.stride, convolution.padding)
    )


def convolve(spikes: Tensor, convolution: nn.Conv2d, *, repeat: bool = False) -> Tensor:
    """Convolve spikes without bias.

    Args:
        spikes: bytes, [T, B, C, H, W].
        convolution: square kernel; its weight is used.
        repeat: whether there are values above 1.

    Returns:
        Sums [T, B, C', H', W'].
    """
    steps, samples, _, *size = spikes.shape
    height, width = output_size(convolution, size)
    sums = torch.empty(samples, steps, height, width, convolution.out_channels)
    _kernels().convolve(_array(spikes), _table(convolution.weight), _geometry(convolution), repeat, sums.numpy())
    return _steps_first(sums)


def fire(
    spikes: Tensor,
    convolution: nn.Conv2d,
    scale: Tensor,
    bias: Tensor,
    addend: Tensor | None,
    neurons: Neurons,
    *,
    total: bool = False,
    currents: bool = False,
) -> Fired:
    """Convolve spikes and run the neurons on scale · sum + bias + addend, max pooled where there are fewer neurons.

    Args:
        spikes: bytes, [T, B, C, H, W].
        convolution: square kernel; its weight is used, its bias is not.
        scale: [C'].
        bias: [C'].
        addend: [T, B, C', H', W'], [1, B, C', H', W'] or None.
        neurons: the neurons.
        total: whether the sum over time is wanted.
        currents: whether the currents are wanted; not with pooling.

    Returns:
        The spikes [T, B, C', H'', W''] and what was asked for.
    """
    steps, samples, _, *size = spikes.shape
    height, width = output_size(convolution, size)
    result = _Result(neurons, steps, samples)
    empty = torch.empty(0, 0, 0, 0, 0)
    sums = torch.empty(samples, height, width, convolution.out_channels) if total else torch.empty(0, 0, 0, 0)
    kept = torch.empty(samples, steps, height, width, convolution.out_channels) if currents else empty
    _kernels().fire(
        _array(spikes),
        _table(convolution.weight),
        _geometry(convolution),
        (height, width),
        scale.numpy(),
        bias.numpy(),
        _array(addend) if addend is not None else empty.numpy(),
        result.settings,
        result.threshold,
        *result.dropout,
        result.spikes.numpy(),
        result.count.numpy(),
        sums.numpy(),
        kept.numpy(),
    )
    return result.fired(sums.permute(0, 3, 1, 2) if total else None, _steps_first(kept) if currents else None)


def integrate(sums: Tensor, scale: Tensor, bias: Tensor, addend: Tensor | None, neurons: Neurons, steps: int) -> Fired:
    """Run neurons on scale · sums + bias + addend, max pooled where there are fewer neurons.

    Args:
        sums: [T, B, C, H, W], or [1, B, C, H, W] for a current that is constant.
        scale: [C].
        bias: [C].
        addend: like `sums`, or None.
        neurons: the neurons.
        steps: T.
    """
    result = _Result(neurons, steps, sums.shape[1])
    currents = sums.permute(1, 0, 3, 4, 2).contiguous()
    currents = currents.clone() if currents.data_ptr() == sums.data_ptr() else currents
    _kernels().integrate(
        currents.numpy(),
        scale.numpy(),
        bias.numpy(),
        _array(addend) if addend is not None else torch.empty(0, 0, 0, 0, 0).numpy(),
        result.settings,
        result.threshold,
        *result.dropout,
        result.spikes.numpy(),
        result.count.numpy(),
    )
    return result.fired(None, _steps_first(currents))


class _Result:
    """The neurons as the kernels take them, and the arrays that they write to."""

    def __init__(self, neurons: Neurons, steps: int, samples: int) -> None:
        _, channels, height, width = neurons.threshold.shape
        self.settings = (_single(neurons.start), neurons.subtract)
        self.threshold = neurons.threshold[0].permute(1, 2, 0).contiguous().numpy()
        bits = neurons.bits if neurons.bits is not None else torch.empty(0, 0, 0, 0, 0, dtype=torch.int16)
        self.dropout = (bits.numpy(), bits_dropped(neurons.dropout), _single(1 / (1 - neurons.dropout)))
        self.spikes = torch.empty(samples, steps, height, width, channels, dtype=torch.uint8)
        self.count = torch.empty(samples, height, width, channels, dtype=torch.uint8)

    def fired(self, total: Tensor | None, currents: Tensor | None) -> Fired:
        return Fired(_steps_first(self.spikes), self.count.permute(0, 3, 1, 2), total, currents)


def output_size(convolution: nn.Conv2d, size: list[int]) -> tuple[int, int]:
    """(height, width) of a convolution's output."""
    kernel, stride, padding = _geometry(convolution)
    height, width = ((side + 2 * padding - kernel) // stride + 1 for side in size)
    return height, width


def _geometry(convolution: nn.Conv2d) -> tuple[int, int, int]:
    assert not isinstance(convolution.padding, str)
    return convolution.kernel_size[0], convolution.stride[0], convolution.padding[0]


def _steps_first(value: Tensor) -> Tensor:
    return value.permute(1, 0, 4, 2, 3)


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
