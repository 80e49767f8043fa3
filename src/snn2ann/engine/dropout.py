"""Inverted dropout: drawn before it is used, so that both ways of running a layer draw the same."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Dropout:
    """Dropout of a layer's ANN activations.

    Attributes:
        kept: 0 or 1, [B, C, H, W].
        gain: 1 / (1 - probability).
    """

    kept: Tensor
    gain: float

    @staticmethod
    def draw(shape: torch.Size, probability: float, like: Tensor) -> "Dropout":
        """Draw as `torch.nn.functional.dropout` does, so that a seed gives what it gives there."""
        return Dropout(like.new_empty(shape).bernoulli_(1 - probability), 1 / (1 - probability))

    def apply(self, value: Tensor) -> Tensor:
        """Drop, and multiply what is kept by the gain."""
        return value * self.kept * self.gain


def draw_bits(shape: torch.Size, draws: int, device: torch.device) -> Tensor:
    """Draw sixteen random bits for each value: int16, [draws, *shape].

    A 64-bit draw serves four values, where a draw each was a third of a training step on a CPU.
    """
    count = shape.numel()
    words = torch.empty(draws, -(-count // 4), dtype=torch.int64, device=device).random_(-(2**63), None)
    return words.view(torch.int16)[:, :count].view(draws, *shape)


def bits_dropped(probability: float) -> int:
    """Below this, a value's sixteen bits mean that it is dropped."""
    return round(probability * 2**16) - 2**15
