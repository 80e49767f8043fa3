"""Operations and energy of a network: multiply-accumulates of analog inputs, accumulates of spikes."""

import torch
from torch import Tensor, nn

from snn2ann.method.layers import ConvolutionShortcut, SpikingLayer
from snn2ann.method.signals import Observation

# 45 nm CMOS, 32-bit floating point: Horowitz (2014), "Computing's energy problem", figure 1.1.9.
JOULE_PER_MAC = 4.6e-12
JOULE_PER_ACCUMULATE = 0.9e-12


def accumulates(convolution: nn.Conv2d, spikes: Tensor) -> Tensor:
    """Count the accumulates that spikes cause in a convolution: every spike is added once for each weight it meets.

    Exact at the borders: a spike meets no weight that would lie in the padding.

    Args:
        convolution: any stride and padding.
        spikes: [T, B, C, H, W], 0 or 1.

    Returns:
        [T], summed over the batch.
    """
    # The channels meet the same taps, and so do the images of a batch: sum first, then let ones stand for the taps.
    merged = spikes.double().sum((1, 2))[:, None]
    taps = torch.ones(1, 1, *convolution.kernel_size, dtype=merged.dtype, device=merged.device)
    met = nn.functional.conv2d(merged, taps, stride=convolution.stride, padding=convolution.padding)
    return met.sum((1, 2, 3)) * convolution.out_channels


def multiply_accumulates(convolution: nn.Conv2d, size: tuple[int, int]) -> int:
    """Count the multiply-accumulates of a convolution for one image, padding included, as is usual.

    Args:
        convolution: any.
        size: (height, width) of its output.
    """
    height, width = convolution.kernel_size
    taps = height * width * convolution.in_channels // convolution.groups
    return taps * convolution.out_channels * size[0] * size[1]


def layer_accumulates(observation: Observation) -> Tensor:
    """Accumulates of one spiking layer at each step, [T], summed over the batch.

    A layer with analog input has none in its convolution. An identity shortcut costs one for each spike; where it hands on
    the previous block's current, one for each neuron.
    """
    layer, incoming, skipped = observation.layer, observation.incoming, observation.skipped
    outgoing = observation.outgoing.value
    total = torch.zeros(len(outgoing), dtype=torch.float64, device=outgoing.device)
    if not incoming.constant:
        total = total + accumulates(layer.convolution, incoming.value)
    if layer.shortcut is None or skipped is None:
        return total
    if isinstance(layer.shortcut, ConvolutionShortcut):
        return total + accumulates(layer.shortcut.convolution, skipped.value)
    if skipped.current is not None:
        return total + outgoing[0].numel()
    return total + skipped.value.double().sum((1, 2, 3, 4))


def layer_multiply_accumulates(layer: SpikingLayer) -> int:
    """Multiply-accumulates of a layer as an ANN, for one image, with its convolution shortcut."""
    _, _, height, width = layer.threshold.shape
    size = (height * 2, width * 2) if layer.pool else (height, width)
    total = multiply_accumulates(layer.convolution, size)
    if isinstance(layer.shortcut, ConvolutionShortcut):
        total += multiply_accumulates(layer.shortcut.convolution, size)
    return total
