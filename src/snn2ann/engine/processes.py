"""What processes that train one network together share: statistics of the whole batch, and thresholds."""

from typing import Any

import torch
from torch import Tensor, distributed


def several() -> bool:
    """Whether this is one of several processes of torch.distributed."""
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1


def rank() -> int:
    """Which process this is, from 0."""
    return distributed.get_rank() if several() else 0


def number() -> int:
    """How many processes there are; 1 where this one is alone."""
    return distributed.get_world_size() if several() else 1


def part() -> tuple[int, int]:
    """This process's part of what all share: which, of how many."""
    return rank(), number()


@torch.no_grad()
def sum_of_all(value: Tensor) -> Tensor:
    """Add a tensor up over the processes, in place."""
    if several():
        distributed.all_reduce(value)
    return value


@torch.no_grad()
def share_of_all(share: Tensor, samples: int) -> Tensor:
    """Give a share of the whole batch from that of this process's part of it.

    Args:
        share: scalar.
        samples: B of this process.
    """
    if not several():
        return share
    sums = torch.stack([share * samples, share.new_tensor(float(samples))])
    distributed.all_reduce(sums)
    return sums[0] / sums[1]


@torch.no_grad()
def same_for_all(value: Tensor) -> None:
    """Give every process the first one's value, in place."""
    if several():
        distributed.broadcast(value, src=0)


class _Summed(torch.autograd.Function):
    """The sum over processes, with its gradient, which is the sum of theirs."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, group: distributed.ProcessGroup) -> Tensor:
        ctx.group = group
        total = value.clone()
        distributed.all_reduce(total, group=group)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        total = gradients[0].clone()
        distributed.all_reduce(total, group=ctx.group)
        return total, None


def moments(value: Tensor, group: distributed.ProcessGroup | None) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and (population) variance of each channel over the batches of all processes, with gradient.

    Args:
        value: [B, C, ...].
        group: of processes.

    Returns:
        μ, [C]; v, [C]; and how many values a channel there are, a scalar.
    """
    axes = [axis for axis in range(value.dim()) if axis != 1]
    shape = (1, -1) + (1,) * (value.dim() - 2)
    group = group or distributed.group.WORLD
    counted = value.new_tensor(float(value.numel() // value.shape[1]))
    distributed.all_reduce(counted, group=group)
    mean = _Summed.apply(value.sum(axes), group) / counted
    variance = _Summed.apply((value - mean.view(shape)).square().sum(axes), group) / counted
    return mean, variance, counted
