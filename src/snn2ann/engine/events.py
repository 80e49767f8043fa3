"""Event-driven layers: convolution and neurons whose work follows the spikes, on a CPU.

The same sums as a dense convolution's, in another order, so that currents agree to rounding. `kernels.py` has the loops,
`event_loops.py` calls them.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from snn2ann.engine import event_loops
from snn2ann.engine.counts import count_type

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

    @property
    def settings(self) -> tuple[Tensor, bool, float, Tensor | None, float]:
        """As the loops take them."""
        return self.threshold, self.subtract, self.start, self.bits, self.dropout


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
    return _steps_first(event_loops.convolve(spikes, convolution.weight, *_geometry(convolution), repeat))


def take_off(sums: Tensor, counts: Tensor, convolution: nn.Conv2d) -> None:
    """Take the convolution of counts [B, C, H, W], bytes, off sums [B, C', H', W'], in place."""
    event_loops.take_off(sums, counts, convolution.weight, *_geometry(convolution))


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
    kernel, stride, padding = _geometry(convolution)
    fired, count, sums, kept = event_loops.fire(
        spikes, convolution.weight, kernel, stride, padding, scale, bias, addend, *neurons.settings, total, currents
    )
    return Fired(
        _steps_first(fired),
        count.permute(0, 3, 1, 2),
        sums.permute(0, 3, 1, 2) if total else None,
        _steps_first(kept) if currents else None,
    )


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
    fired, count, currents = event_loops.integrate(sums, scale, bias, addend, *neurons.settings, steps)
    return Fired(_steps_first(fired), count.permute(0, 3, 1, 2), None, _steps_first(currents))


def output_size(convolution: nn.Conv2d, size: list[int]) -> tuple[int, int]:
    """(height, width) of a convolution's output."""
    height, width = (event_loops.output_side(side, *_geometry(convolution)) for side in size)
    return height, width


def _geometry(convolution: nn.Conv2d) -> tuple[int, int, int]:
    assert not isinstance(convolution.padding, str)
    return convolution.kernel_size[0], convolution.stride[0], convolution.padding[0]


def _steps_first(value: Tensor) -> Tensor:
    return value.permute(1, 0, 4, 2, 3)
