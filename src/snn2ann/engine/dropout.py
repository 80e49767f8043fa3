"""Inverted dropout: drawn before it is used, so that both ways of running a layer draw the same."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from snn2ann.engine.compiled import one_operation
from snn2ann.errors import UserError

Dropping = nn.Dropout | nn.Dropout2d


@dataclass(frozen=True)
class Dropout:
    """Dropout of a batch's activations, or of what they are made of.

    Attributes:
        kept: 0 or 1, [B, ...] or what broadcasts to it.
        gain: 1 / (1 - probability).
    """

    kept: Tensor
    gain: float

    @staticmethod
    def draw(module: Dropping | None, shape: Sequence[int], like: Tensor) -> "Dropout | None":
        """Draw as a module does, so that a seed gives what it gives there; None where it drops nothing now.

        Args:
            module: `nn.Dropout2d` drops whole channels.
            shape: [B, ...], of what is dropped.
            like: a tensor of the type and on the device.
        """
        if module is None or not module.training or not module.p:
            return None
        if module.p >= 1:
            raise UserError(f"{module} drops everything; give it a probability below 1")
        if isinstance(module, nn.Dropout2d):
            shape = [*shape[:2], *[1] * len(shape[2:])]
        return Dropout(like.new_empty(tuple(shape)).bernoulli_(1 - module.p), 1 / (1 - module.p))

    def apply(self, value: Tensor) -> Tensor:
        """Drop, and multiply what is kept by the gain."""
        return value * self.kept * self.gain


def draw_bits(shape: torch.Size, draws: int, device: torch.device) -> Tensor:
    """Draw sixteen random bits for each value: int16, [draws, *shape].

    A 64-bit draw serves four values, where a draw each was a third of a training step on a CPU.
    """
    count = shape.numel()
    return _words(draws, -(-count // 4), device).view(torch.int16)[:, :count].view(draws, *shape)


def _empty_words(draws: int, words: int, device: torch.device) -> Tensor:
    return torch.empty(draws, words, dtype=torch.int64, device=device)


@one_operation("draw_words", like=_empty_words, draws=True)
def _words(draws: int, words: int, device: torch.device) -> Tensor:
    return _empty_words(draws, words, device).random_(-(2**63), None)


def bits_dropped(probability: float) -> int:
    """Below this, a value's sixteen bits mean that it is dropped."""
    return round(probability * 2**16) - 2**15
