"""The layers that both branches share: convolution, BatchNorm, pooling, dropout, a shortcut, and thresholds."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from snn2ann.engine.pooling import max_pool
from snn2ann.method.thresholds import start_thresholds


class IdentityShortcut(nn.Module):
    """Adds the skipped signal as it is, times `scale` (1 unless a conversion has rescaled the weights)."""

    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.ones(()))


class ConvolutionShortcut(nn.Module):
    """1×1 convolution with bias and BatchNorm, where the number of channels or the size changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, 1, stride=stride)
        self.norm = nn.BatchNorm2d(outputs)


Shortcut = IdentityShortcut | ConvolutionShortcut


class SpikingLayer(nn.Module):
    """One layer of IF neurons and the arithmetic that feeds it.

    ANN view: convolution 3×3, BatchNorm, shortcut, max pooling, dropout, ReLU. SNN view: the convolution fused with the
    BatchNorm, shortcut, max pooling, IF neurons. Source: demo behaviour.

    Args:
        inputs: input channels.
        outputs: output channels.
        size: (height, width) of the neurons, after stride and pooling.
        stride: of the convolution.
        pool: whether a 2×2 max pooling follows.
        dropout: probability in the ANN branch, before the ReLU.
        shortcut: "identity", "convolution" (needs `shortcut_inputs` and `shortcut_stride`) or None.
        shortcut_inputs: channels of the skipped signal.
        shortcut_stride: stride of a convolution shortcut.
        feeds_identity: whether an identity shortcut takes this layer's output.
    """

    threshold: Tensor

    def __init__(
        self,
        inputs: int,
        outputs: int,
        size: tuple[int, int],
        *,
        stride: int = 1,
        pool: bool = False,
        dropout: float = 0.0,
        shortcut: Literal["identity", "convolution"] | None = None,
        shortcut_inputs: int = 0,
        shortcut_stride: int = 1,
        feeds_identity: bool = False,
    ) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1)
        self.norm = nn.BatchNorm2d(outputs)
        self.pool = pool
        self.dropout = dropout
        self.feeds_identity = feeds_identity
        self.shortcut: Shortcut | None = None
        if shortcut == "identity":
            self.shortcut = IdentityShortcut()
        elif shortcut == "convolution":
            self.shortcut = ConvolutionShortcut(shortcut_inputs, outputs, shortcut_stride)
        self.register_buffer("threshold", torch.ones(1, outputs, *size))

    def start_thresholds(self, start: float | Literal["uniform"]) -> None:
        """Set every threshold to `start`, or draw each from the uniform distribution over [0, 1)."""
        start_thresholds(self.threshold, start)

    def reduce(self, value: Tensor) -> Tensor:
        """Apply this layer's pooling, if it has one: [N, C, H, W] to [N, C, H/2, W/2]."""
        return max_pool(value) if self.pool else value


def fold(
    convolution: nn.Conv2d,
    norm: nn.BatchNorm2d,
    time_steps: int,
    statistics: tuple[Tensor, Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """Fuse a convolution with its BatchNorm into the weight and the bias of one step of the SNN branch.

    a = γ/√(v+ε); W' = a·W; b' = (a·(b−μ)+β)/T, so that the total over T steps is the ANN's pre-activation of the counts.
    Source: demo behaviour.

    Args:
        convolution: the ANN's convolution, with bias.
        norm: its BatchNorm.
        time_steps: T over which the bias is spread.
        statistics: (μ, 1/√(v+ε)) per channel, to take the place of the running ones.

    Returns:
        W' [C_out, C_in, k, k] and b' [C_out], without gradient.
    """
    scale, bias = scale_and_bias(convolution.bias, norm, time_steps, statistics)
    return convolution.weight.detach() * scale.view(-1, 1, 1, 1), bias


@torch.no_grad()
def scale_and_bias(
    bias: Tensor | None,
    norm: nn.BatchNorm1d | nn.BatchNorm2d,
    time_steps: int,
    statistics: tuple[Tensor, Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """Give a and b' of `fold`, [C_out] each: a step's current is a · (convolution without bias) + b'.

    Args:
        bias: the convolution's, if it has one.
        norm: its BatchNorm, with or without weight and bias.
        time_steps: T over which the bias is spread, or 1.
        statistics: (μ, 1/√(v+ε)) per channel, to take the place of the running ones.
    """
    if statistics is None:
        assert norm.running_mean is not None and norm.running_var is not None
        mean, root = norm.running_mean, torch.sqrt(norm.running_var + norm.eps)
        scale = 1 / root if norm.weight is None else norm.weight / root
    else:
        mean, inverse = statistics
        scale = inverse if norm.weight is None else norm.weight * inverse
    shift = -scale * mean if bias is None else scale * (bias - mean)
    return scale, (shift if norm.bias is None else shift + norm.bias) / time_steps


def convolve(convolution: nn.Conv2d, value: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Run `convolution`'s geometry with another weight and bias: [N, C_in, H, W] to [N, C_out, H', W']."""
    return functional.conv2d(value, weight, bias, convolution.stride, convolution.padding)


def normalise(norm: nn.BatchNorm2d, value: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor] | None]:
    """Apply BatchNorm and say which statistics it used.

    Args:
        norm: its running statistics are updated in training mode.
        value: [B, C, H, W].

    Returns:
        The normalised value, and (μ, 1/√(v+ε)) of the batch in training mode, else None.
    """
    if not norm.training:
        return norm(value), None
    assert norm.num_batches_tracked is not None and norm.momentum is not None
    norm.num_batches_tracked.add_(1)
    output, mean, inverse = torch.native_batch_norm(
        value,
        norm.weight,
        norm.bias,
        norm.running_mean,
        norm.running_var,
        True,
        norm.momentum,
        norm.eps,
    )
    return output, (mean, inverse)
