"""BatchNorm and the weights before it: folded into one step of the spiking branch, and run with its statistics shown."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from snn2ann.engine import processes
from snn2ann.errors import UserError
from snn2ann.network.operations import Shift

Weighing = nn.Conv1d | nn.Conv2d | nn.Linear
BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d | nn.SyncBatchNorm
Statistics = tuple[Tensor, Tensor]


@torch.no_grad()
def affine(
    weights: Weighing | None, norm: BatchNorm | Shift | None, time_steps: int, statistics: Statistics | None = None
) -> tuple[Tensor | None, Tensor | None]:
    """Give a and b' of one time step: its current is a · (weights · input) + b'.

    a = γ/√(v+ε); b' = (a·(b−μ)+β)/T, so that the total over T steps is the ANN's pre-activation of the counts. Source: demo
    behaviour.

    Args:
        weights: a convolution or linear layer, if there is one.
        norm: the BatchNorm after it, if there is one.
        time_steps: T over which the bias is spread, or 1.
        statistics: (μ, 1/√(v+ε)) per channel, to take the place of the running ones.

    Returns:
        a, [C] or None for 1, and b', [C] or None for 0; without gradient.
    """
    bias = None if weights is None else weights.bias
    if norm is None:
        return None, None if bias is None else bias.detach() / time_steps
    if statistics is None:
        assert norm.running_mean is not None and norm.running_var is not None
        mean, root = norm.running_mean, torch.sqrt(norm.running_var + norm.eps)
        scale = 1 / root if norm.weight is None else norm.weight / root
    else:
        mean, inverse = statistics
        scale = inverse if norm.weight is None else norm.weight * inverse
    shift = -scale * mean if bias is None else scale * (bias - mean)
    return scale, (shift if norm.bias is None else shift + norm.bias) / time_steps


def scaled_weight(weights: Weighing, scale: Tensor | None, worth: Tensor | None = None) -> Tensor:
    """Give the weight times `scale` [C_out] per output channel, and `worth` per input channel, without gradient.

    Args:
        weights: gives the weight.
        scale: [C_out] or None.
        worth: what an input of 1 stands for; see `folds`.
    """
    weight = weights.weight.detach()
    if worth is not None and not worth.dim():
        scale = worth if scale is None else scale * worth
    if scale is not None:
        weight = weight * scale.view(-1, *[1] * (weight.dim() - 1))
    if worth is None or not worth.dim():
        return weight
    by_input = worth if worth.dim() == 2 else worth.flatten(2)[..., 0]
    groups = 1 if isinstance(weights, nn.Linear) else weights.groups
    grouped = weight.unflatten(0, (groups, -1))
    return (grouped * by_input.reshape(groups, 1, -1, *[1] * (weight.dim() - 2))).flatten(0, 1)


def folds(weights: Weighing, worth: Tensor | None) -> bool:
    """Whether weights can be multiplied by what an input of 1 stands for, instead of the input.

    Args:
        weights: take the input.
        worth: a scalar; or one a channel, [1, C_in, ...], the same at every place of it; or None for 1.
    """
    return worth is None or not worth.dim() or (worth.dim() == 2) == isinstance(weights, nn.Linear)


def weigh(
    weights: Weighing | None, value: Tensor, scale: Tensor | None, bias: Tensor | None, worth: Tensor | None = None
) -> Tensor:
    """Run a layer with its weight times `scale` per output channel and another bias; without a layer, a·x + b'.

    Args:
        weights: gives the weight and the geometry.
        value: [N, ...].
        scale: a, [C] or None.
        bias: b', [C] or None.
        worth: what an input of 1 stands for; see `scaled_weight`.
    """
    if weights is None:
        assert scale is not None and bias is not None
        shape = (-1,) + (1,) * (value.dim() - 2)
        return value * scale.to(value).view(shape) + bias.to(value).view(shape)
    weight = scaled_weight(weights, scale, worth)
    value = value.to(weight.dtype)
    if isinstance(weights, nn.Linear):
        return functional.linear(value, weight, bias)
    # The module's own, as it knows of padding by reflection or by name.
    return weights._conv_forward(value, weight, bias)


def normalise(norm: BatchNorm | Shift, value: Tensor, label: str) -> tuple[Tensor, Statistics | None]:
    """Apply BatchNorm and say which statistics it used; SyncBatchNorm's are those of all processes' batches.

    Args:
        norm: its running statistics are updated in training mode.
        value: [B, C, ...].
        label: the BatchNorm, as a message names it.

    Returns:
        The normalised value, and (μ, 1/√(v+ε)) of the batch in training mode, else None.

    Raises:
        UserError: in training mode, there is one value a channel, which has no variance.
    """
    if isinstance(norm, Shift) or not norm.training:
        return norm(value), None
    if isinstance(norm, nn.SyncBatchNorm) and processes.several():
        return _normalise_over_all(norm, value)
    if value.numel() < 2 * value.shape[1]:
        raise UserError(
            f"{label}: there is no variance to normalise by, as this batch {list(value.shape)} has less than two values a "
            "channel; train on batches of two images or more (a DataLoader's drop_last=True), or keep this BatchNorm in "
            "evaluation mode"
        )
    momentum = _count(norm)
    output, mean, inverse = torch.native_batch_norm(
        value,
        norm.weight,
        norm.bias,
        norm.running_mean,
        norm.running_var,
        True,
        momentum,
        norm.eps,
    )
    return output, (mean, inverse)


def _count(norm: BatchNorm) -> float:
    """Count a batch, and give its weight in the running statistics; without momentum they are the mean of all batches."""
    assert norm.num_batches_tracked is not None
    norm.num_batches_tracked.add_(1)
    return 1 / float(norm.num_batches_tracked) if norm.momentum is None else norm.momentum


def _normalise_over_all(norm: nn.SyncBatchNorm, value: Tensor) -> tuple[Tensor, Statistics]:
    """Apply BatchNorm by the statistics of all processes; PyTorch's own is for GPUs alone and keeps them to itself."""
    mean, variance, count = processes.moments(value, norm.process_group)
    inverse = (variance + norm.eps).rsqrt()
    shape = (-1,) + (1,) * (value.dim() - 2)
    output = (value - mean.view(shape)) * inverse.view(shape)
    if norm.affine:
        output = output * norm.weight.view(shape) + norm.bias.view(shape)
    assert norm.running_mean is not None and norm.running_var is not None
    with torch.no_grad():
        momentum = _count(norm)
        norm.running_mean.lerp_(mean, momentum)
        norm.running_var.lerp_(variance * (count / (count - 1)), momentum)
    return output, (mean.detach(), inverse.detach())
