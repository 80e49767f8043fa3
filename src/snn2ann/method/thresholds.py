"""How thresholds move in training: adaptive threshold adjustment (ATA), and descent down their own gradient."""

import torch
from torch import Tensor

from snn2ann.engine.counts import Number
from snn2ann.engine.processes import number, several, sum_of_all

LOWEST = 0.1
"""No threshold is learned to be lower: a layer that fires at nothing has no gradient that would raise it."""


@torch.no_grad()
def adjust_threshold(
    threshold: Tensor, rate: Tensor, limit: float = 0.1, step: Number = 0.1, momentum: float = 0.1
) -> None:
    """Adjust a layer's thresholds in place after a training batch.

    V' = V + step·1[r > limit]; V ← (1 − momentum)·V + momentum·V'. With the defaults +0.01 on the whole layer when r > 0.1;
    thresholds never fall. Source: demo behaviour.

    Args:
        threshold: V, [1, C, H, W].
        rate: r, the layer's noisy-spike rate of this batch, a scalar tensor.
        limit: rate above which thresholds rise.
        step: how far V' lies above V, in the current's unit: a number, or one a channel.
        momentum: share of V' in the new V.
    """
    target = threshold + step * (rate > limit).to(threshold.dtype)
    threshold.copy_((1 - momentum) * threshold + momentum * target)


@torch.compiler.disable(reason="thresholds that are learned (threshold_descent) move in backward, which is no graph's")  # type: ignore[untyped-decorator]
def learned_by(threshold: Tensor, step: Number) -> Tensor:
    """Give zeros, one a neuron, whose gradient moves the thresholds in backward.

    V ← V - step · G / rms(G), G being what the zeros are given. Its size is made one in the root mean square of the layer,
    so that no learning rate depends on the loss's scale, on the batch or on how many neurons there are.

    Args:
        threshold: V, [1, C, H, W], changed in place.
        step: how far they move in the root mean square, in the current's unit.
    """
    zeros = torch.zeros_like(threshold).requires_grad_()

    @torch.no_grad()
    def descend(zeros: Tensor) -> None:
        assert zeros.grad is not None
        gradient = sum_of_all(zeros.grad)
        size = gradient.square().mean().sqrt()
        same = step.to(size.dtype) if isinstance(step, Tensor) else step
        if several():
            # Of parts of a batch, the processes' need not be of one size.
            same = sum_of_all(torch.as_tensor(step, dtype=size.dtype, device=size.device).clone()) / number()
        # A scaled loss may overflow, and its batch is then left out. A tensor rounds as the number does.
        moved = torch.nan_to_num(gradient * (size.reciprocal() * same), 0.0, 0.0, 0.0)
        # Thresholds that start lower stay where they are.
        threshold.copy_(torch.maximum(threshold - moved, threshold.clamp(max=LOWEST)))
        zeros.grad = None

    zeros.register_post_accumulate_grad_hook(descend)
    return zeros
