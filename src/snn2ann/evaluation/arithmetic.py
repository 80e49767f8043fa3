"""Operations and energy of a network: multiply-accumulates of analog inputs, accumulates of spikes."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from snn2ann.engine.network import Network, Shapes, floats_of
from snn2ann.engine.normalisation import Weighing
from snn2ann.engine.signals import Observation, Spikes
from snn2ann.engine.stages import Apply, Layer, Weigh

# 45 nm CMOS, 32-bit floating point: Horowitz (2014), "Computing's energy problem", figure 1.1.9.
JOULE_PER_MAC = 4.6e-12
JOULE_PER_ACCUMULATE = 0.9e-12
# What is read out is a mean over steps; the share of one step is zero up to rounding.
ROUNDING = 1e-5


def summed(values: Tensor) -> Tensor:
    """Add up whole numbers over the batch: [T, B, ...] as [T], in double precision.

    An image's are added in the precision that they have, exactly below 2²⁴ in single; so nothing large is copied.
    """
    return values.flatten(2).sum(2, dtype=_exact(values)).double().sum(1)


def _exact(values: Tensor) -> torch.dtype:
    return torch.promote_types(values.dtype, torch.float32)


def accumulates(weights: Weighing, there: Tensor) -> Tensor:
    """Count what values that are not zero meet in weights: each is added, or multiplied and added, once for each weight.

    Exact at the borders: a spike meets no weight that would lie in the padding.

    Args:
        weights: a convolution of any geometry, or a linear layer.
        there: [T, B, ...], spikes, or 1 where another value is not zero, and 0.

    Returns:
        [T], summed over the batch.
    """
    if isinstance(weights, nn.Linear):
        return summed(there) * weights.out_features
    # The channels meet the same taps, and so do the images of a batch: sum first, then let ones stand for the taps.
    merged = there.sum((1, 2), dtype=_exact(there)).double()[:, None]
    taps = torch.ones(1, 1, *weights.kernel_size, dtype=merged.dtype, device=merged.device)
    convolve = functional.conv1d if isinstance(weights, nn.Conv1d) else functional.conv2d
    padded = weights.padding_mode != "zeros"
    if padded:
        merged = functional.pad(merged, weights._reversed_padding_repeated_twice, weights.padding_mode)
    padding = 0 if padded else weights.padding
    met = convolve(merged, taps, None, weights.stride, padding, weights.dilation)
    return met.flatten(1).sum(1) * (weights.out_channels // weights.groups)


def multiply_accumulates(weights: Weighing, shape: tuple[int, ...]) -> int:
    """Count the multiply-accumulates of a convolution or linear layer for one image, padding included, as is usual.

    Args:
        weights: any.
        shape: of its output, without the batch.
    """
    outputs = torch.Size(shape).numel()
    if isinstance(weights, nn.Linear):
        return weights.in_features * outputs
    return torch.Size(weights.kernel_size).numel() * weights.in_channels // weights.groups * outputs


@dataclass(frozen=True)
class StepOperations:
    """What a stage does at each step, [T] each, summed over the batch.

    Attributes:
        accumulates: caused by spikes: in weights, and one for each that an identity shortcut adds; where that hands on the
            current, one for each neuron.
        products: multiply-accumulates, caused by values that are not 0 or 1, as averages of spikes are.
    """

    accumulates: Tensor
    products: Tensor


def stage_operations(seen: Observation, time_steps: int) -> StepOperations:
    """Count a stage's operations; what the image alone decides is done once and not counted here."""
    device = seen.outgoing.value.device
    added, products = (torch.zeros(time_steps, dtype=torch.float64, device=device) for _ in range(2))
    for weights, signal in _weighed(seen):
        if weights.module is not None and not signal.constant:
            met = accumulates(weights.module, _there(signal))
            # Behind the last neurons an average, which is linear, may stand between spikes and weights.
            if signal.binary or weights.readout:
                added = added + met
            else:
                products = products + met
    for signal in _added(seen):
        added = added + (summed(signal.value) if signal.current is None else float(signal.value[0].numel()))
    return StepOperations(added, products)


def _weighed(seen: Observation) -> list[tuple[Weigh, Spikes]]:
    stage = seen.stage
    if isinstance(stage, Weigh):
        return [(stage, seen.incoming[0])]
    if not isinstance(stage, Layer):
        return []
    main = [(stage.main, seen.incoming[0])]
    return main if stage.side is None else [*main, (stage.side, seen.incoming[1])]


def _added(seen: Observation) -> list[Spikes]:
    """Spikes that an identity shortcut adds to a current."""
    stage = seen.stage
    if isinstance(stage, Layer):
        return seen.incoming[1:] if stage.side is None else []
    adds = isinstance(stage, Apply) and stage.adds and not all(signal.binary for signal in seen.incoming)
    return [signal for signal in seen.incoming if signal.binary] if adds else []


def _there(signal: Spikes) -> Tensor:
    return signal.value if signal.binary else (_of_each_step(signal).abs() > ROUNDING).float()


def _of_each_step(signal: Spikes) -> Tensor:
    if not signal.rates:
        return signal.value
    steps = torch.arange(1, len(signal.value) + 1, device=signal.value.device, dtype=signal.value.dtype)
    totals = signal.value * steps.view(-1, *[1] * (signal.value.dim() - 1))
    return torch.cat((totals[:1], totals.diff(dim=0)))


@dataclass(frozen=True)
class ImageOperations:
    """Multiply-accumulates for one image.

    Attributes:
        all: of the network as an ANN.
        analog: of the weights that the image alone feeds, which a spiking network runs once.
    """

    all: int
    analog: int


def image_operations(network: Network) -> ImageOperations:
    """Count the multiply-accumulates of a network, for images of the size that its neurons were made for."""
    assert network.image_shape is not None
    shapes = Shapes()
    with torch.no_grad():
        network.run_by(shapes, floats_of(network).new_zeros((1, *network.image_shape)))
    counts = [(each, multiply_accumulates(each.module, shape[1:])) for each, shape in shapes.weighed if each.module]
    return ImageOperations(sum(count for _, count in counts), sum(count for each, count in counts if each.constant))
