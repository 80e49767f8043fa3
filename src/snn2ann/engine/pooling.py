"""2×2 max pooling that saves one byte an output for backward, where PyTorch's saves the whole input and eight."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


def halves(pooling: nn.Module) -> bool:
    """Whether a pooling is by maximum over 2×2, side by side, as `max_pool` is."""
    if not isinstance(pooling, nn.MaxPool2d):
        return False
    shape = (pooling.kernel_size, pooling.stride, pooling.padding, pooling.dilation)
    pairs = [value if isinstance(value, tuple) else (value, value) for value in shape]
    return pairs == [(2, 2), (2, 2), (0, 0), (1, 1)] and not pooling.ceil_mode


def pool(pooling: nn.Module, value: Tensor) -> Tensor:
    """Pool [N, C, H, W] as a module does; a plain 2×2 maximum keeps fewer bytes for backward."""
    return max_pool(value) if halves(pooling) else pooling(value)


def max_pool(value: Tensor) -> Tensor:
    """Pool 2×2 with stride 2: the numbers and the gradient of `torch.nn.functional.max_pool2d(value, 2)`.

    Args:
        value: [N, C, H, W]; an odd last row or column is left out.

    Returns:
        [N, C, H // 2, W // 2].
    """
    return _MaxPool.apply(value) if value.requires_grad and torch.is_grad_enabled() else _largest(value)


def pool_charge(current: Tensor, pool: Callable[[Tensor], Tensor]) -> Tensor:
    """Pool currents over time so that what comes out sums to the maximum of the sums.

    out_t = max(Σ_{k≤t} I_k) - max(Σ_{k<t} I_k), the maximum over a window. It needs no later step, and after T steps its
    sum is the ANN's max pooling of the total charge, where the maxima of every step add up to more. Akin to the lateral
    inhibition pooling of Li and Zeng (2022).

    Args:
        current: I_t, [T, B, ...].
        pool: a max pooling of [N, ...].

    Returns:
        [T, B, ...], as many steps.
    """
    charge = pool(current.cumsum(0).flatten(0, 1)).unflatten(0, current.shape[:2])
    return torch.cat((charge[:1], charge.diff(dim=0)))


def _quarters(value: Tensor) -> tuple[Tensor, ...]:
    height, width = value.shape[-2] // 2 * 2, value.shape[-1] // 2 * 2
    return tuple(value[..., row:height:2, column:width:2] for row in (0, 1) for column in (0, 1))


def _largest(value: Tensor) -> Tensor:
    height, width = value.shape[-2] // 2 * 2, value.shape[-1] // 2 * 2
    # Rows first: whole rows are read one after the other.
    rows = torch.maximum(value[..., 0:height:2, :width], value[..., 1:height:2, :width])
    return torch.maximum(rows[..., 0::2], rows[..., 1::2])


class _MaxPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        largest = _largest(value)
        places = torch.full_like(largest, 3, dtype=torch.uint8)
        # From the last to the first, so that of equal values the first one has the gradient, as PyTorch's has it.
        for place, quarter in reversed(list(enumerate(_quarters(value)[:3]))):
            places.masked_fill_(quarter == largest, place)
        ctx.save_for_backward(places)
        ctx.shape = value.shape
        return largest

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Tensor:
        (gradient,) = gradients
        (places,) = ctx.saved_tensors
        spread = torch.zeros(ctx.shape, dtype=gradient.dtype, device=gradient.device)
        if places.is_contiguous(memory_format=torch.channels_last):
            spread = spread.contiguous(memory_format=torch.channels_last)
        for place, quarter in enumerate(_quarters(spread)):
            quarter.copy_(gradient * (places == place))
        return spread
