"""Adaptive threshold adjustment (ATA): raise a layer's thresholds where too many of its spikes are noisy."""

import torch
from torch import Tensor

from snn2ann.engine.counts import Number


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
