"""The integrate-and-fire (IF) neuron: no leak, a strict threshold, reset to zero or by subtraction."""

from typing import Literal

import torch
from torch import Tensor

from snn2ann.engine.dropout import bits_dropped, draw_bits

Reset = Literal["zero", "subtract"]


def integrate_and_fire_step(
    current: Tensor, membrane: Tensor, threshold: Tensor, reset: Reset = "zero"
) -> tuple[Tensor, Tensor]:
    """Advance IF neurons by one time step.

    m = u + I; s = 1 where m > V (strict); u' = 0 ("zero") or m - V ("subtract") where s = 1, else m. No lower clamp.
    Source: demo behaviour (reset to zero); reset by subtraction as in Rueckauer et al. (2017), equation 3.

    Args:
        current: I, [B, ...].
        membrane: u after the last step, [B, ...]; zeros before the first.
        threshold: V, [1, ...] (one a neuron) or a scalar tensor, in the current's unit.
        reset: what happens to a membrane that fired.

    Returns:
        The spikes (bool, [B, ...]) and the new membrane ([B, ...]).
    """
    charged = membrane.clone()
    spikes = torch.empty_like(charged)
    _advance(charged, current, threshold, reset, spikes)
    return spikes.bool(), charged


def _advance(membrane: Tensor, current: Tensor, threshold: Tensor, reset: Reset, spikes: Tensor) -> None:
    """Advance `membrane` in place and write the spikes, 0 or 1, to `spikes`.

    Two passes over memory: comparing into floats and multiplying them is ten times as fast on a CPU as a mask of bools.
    """
    membrane.add_(current)
    torch.gt(membrane, threshold, out=spikes)
    # m - m·s is exactly 0 where s = 1, and exactly m where s = 0.
    membrane.addcmul_(membrane if reset == "zero" else threshold, spikes, value=-1)


def integrate_and_fire(
    current: Tensor,
    threshold: Tensor,
    *,
    reset: Reset = "zero",
    membrane_start: float = 0.0,
    membrane_dropout: float = 0.0,
) -> Tensor:
    """Run IF neurons over all time steps; no gradient flows.

    Args:
        current: I_t, [T, B, ...].
        threshold: V, [1, ...] or a scalar tensor.
        reset: "zero" or "subtract".
        membrane_start: u before the first step, as a fraction of V.
        membrane_dropout: probability of inverted dropout on the membrane after each step (demo: 0.5 in training).

    Returns:
        The spikes, 0 or 1 in the current's type, [T, B, ...].
    """
    if torch.compiler.is_compiling() and not membrane_dropout:
        return _unrolled(current, threshold, reset, membrane_start)
    with torch.no_grad():
        membrane = (membrane_start * threshold).expand_as(current[0]).clone(memory_format=torch.contiguous_format)
        spikes = torch.empty_like(current, memory_format=torch.contiguous_format)
        for step in range(len(current)):
            _advance(membrane, current[step], threshold, reset, spikes[step])
            if membrane_dropout and step + 1 < len(current):
                bits = draw_bits(membrane.shape, 1, membrane.device)[0]
                kept = torch.ge(bits, bits_dropped(membrane_dropout), out=torch.empty_like(membrane))
                membrane.mul_(kept.mul_(1 / (1 - membrane_dropout)))
    return spikes


def _unrolled(current: Tensor, threshold: Tensor, reset: Reset, membrane_start: float) -> Tensor:
    """The same arithmetic without writing in place, which an exporter would make into a copy of all steps at every step."""
    membrane, spikes = (membrane_start * threshold).expand_as(current[0]), []
    for step in range(len(current)):
        membrane = membrane + current[step]
        spikes.append((membrane > threshold).to(current.dtype))
        membrane = torch.addcmul(membrane, membrane if reset == "zero" else threshold, spikes[-1], value=-1)
    return torch.stack(spikes)
