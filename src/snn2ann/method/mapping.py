"""Spiking mapping units (SMU): put the spike counts in the place of the ANN's activations, and keep the ANN's gradient."""

from typing import Any

import torch
from torch import Tensor

from snn2ann.engine.counts import Counts, Number, substitute
from snn2ann.engine.dropout import Dropout


class _Substitute(torch.autograd.Function):
    """Forward gives `value`; backward gives the gradient to `replaced`, and nothing to `value`."""

    @staticmethod
    def forward(ctx: Any, replaced: Tensor, value: Tensor) -> Tensor:
        return value.detach().clone() if value is replaced else value.detach()

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        return gradients[0], None


def resu(activation: Tensor, spike_count: Tensor) -> Tensor:
    """Rectified spiking mapping unit (ReSU): the spike count where the ANN activation is positive, else 0.

    Source: demo behaviour. Backward: slope 1 to the activation (its own ReLU masks it), none to the count.

    Args:
        activation: x, ReLU output of the ANN branch, [B, ...].
        spike_count: S = sum of the spikes over T, same shape.

    Returns:
        S where x > 0, else 0.
    """
    return _Substitute.apply(activation, spike_count * (activation > 0))


def stsu(activation: Tensor, spike_count: Tensor) -> Tensor:
    """Straight-through spiking mapping unit (STSU): the spike count everywhere.

    Source: demo behaviour. Backward: slope 1 to the activation (its own ReLU masks it), none to the count.

    Args:
        activation: x, ReLU output of the ANN branch, [B, ...].
        spike_count: S = sum of the spikes over T, same shape.

    Returns:
        S.
    """
    return _Substitute.apply(activation, spike_count)


def map_spikes(
    pre_activation: Tensor,
    spike_count: Tensor,
    mapping_unit: str = "resu",
    *,
    dropout: Dropout | None = None,
    window: tuple[Tensor, int] | None = None,
    factor: Number = 1.0,
    penalty: Number = 0.0,
    kernels: bool = False,
    by_threshold: tuple[Tensor, int] | None = None,
) -> Counts:
    """Dropout, ReLU and mapping unit in one: `resu(relu(p), S)` or `stsu(relu(p), S)`, keeping a bool a neuron for backward.

    Args:
        pre_activation: p, [B, ...], with gradient, before dropout.
        spike_count: S, whole numbers, same shape.
        mapping_unit: "resu" or "stsu".
        dropout: the ANN branch's, before the ReLU.
        window: (V, T) for the windowed gradient, V what a spike takes off p: slope 1/V inside 0 < p < (T + 1/2) V, else 0.
            None: slope 1 for p > 0, of the activation.
        factor: what the ANN branch multiplies counts by, which gives the activation: a number, or one a channel.
        penalty: the price of each spike of an image; see `Counts.price`.
        kernels: whether Triton's kernels do it, in one pass forward and one backward; [B, C, H, W].
        by_threshold: see `counts.substitute`.

    Returns:
        The mapped counts, same shape.
    """
    rectify = mapping_unit == "resu"
    if kernels:
        from snn2ann.engine import fused

        active, mapped = fused.map_counts(
            pre_activation.detach(), spike_count, rectify=rectify, dropout=dropout, window=window
        )
    else:
        active, mapped = _map(pre_activation.detach(), spike_count, rectify, dropout, window)
    slope = dropout.gain if dropout else 1.0
    if window is None:
        gain = factor.reciprocal() if isinstance(factor, Tensor) else None
        slope = slope if isinstance(factor, Tensor) else slope / factor
        return substitute(pre_activation, mapped, active, slope, gain, factor, penalty, kernels, by_threshold)
    # A threshold near zero would give an unbounded slope; no count is that sensitive.
    gain = window[0].clamp(min=0.1 * factor).reciprocal()
    return substitute(pre_activation, mapped, active, slope, gain, factor, penalty, kernels, by_threshold)


def _map(
    pre_activation: Tensor,
    spike_count: Tensor,
    rectify: bool,
    dropout: Dropout | None,
    window: tuple[Tensor, int] | None,
) -> tuple[Tensor, Tensor]:
    """Where p has a gradient, and the counts that pass; what `fused.map_counts` does in one pass."""
    value = pre_activation if dropout is None else dropout.apply(pre_activation)
    active = value > 0
    mapped = spike_count * active if rectify else spike_count
    if window is not None:
        threshold, time_steps = window
        active = active & (value < (time_steps + 0.5) * threshold)
    return active, mapped


def noisy_spike_rate(
    pre_activation: Tensor, spike_count: Tensor, dropout: Dropout | None = None, *, kernels: bool = False
) -> Tensor:
    """Share of neurons that fired although the ANN activation is zero.

    Source: demo behaviour: mean over batch and neurons of 1[x <= 0 and S > 0].

    Args:
        pre_activation: p (or the ReLU output x: the sign test is the same), [B, ...].
        spike_count: S, same shape.
        dropout: what p is still to be dropped by.
        kernels: whether Triton's kernel counts, in one pass; [B, C, H, W].

    Returns:
        A scalar tensor from 0 to 1.
    """
    if kernels:
        from snn2ann.engine import fused

        noisy = fused.count_noisy(pre_activation, spike_count, dropout)
    else:
        value = pre_activation if dropout is None else dropout.apply(pre_activation)
        noisy = torch.count_nonzero((value <= 0) & (spike_count > 0))
    return noisy.float() / spike_count.numel()
