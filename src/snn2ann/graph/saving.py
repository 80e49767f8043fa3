"""What an operation keeps of counts for backward: one byte a neuron, where PyTorch keeps a float."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from snn2ann.engine.counts import Counts


@contextmanager
def counts_as_bytes() -> Iterator[Callable[[Any], Tensor]]:
    """Within, counts that an operation keeps for backward are kept as bytes; gives what makes them dense."""
    kept: list[tuple[Tensor, Counts]] = []

    def dense(value: Any) -> Tensor:
        if not isinstance(value, Counts):
            return value
        kept.append((value.dense(), value))
        return kept[-1][0]

    def pack(saved: Tensor) -> Tensor | tuple[Tensor, torch.dtype]:
        for made, counts in kept:
            if saved.data_ptr() == made.data_ptr() and saved.shape == made.shape and saved.dtype == made.dtype:
                return counts.value, saved.dtype
        return saved

    def unpack(packed: Tensor | tuple[Tensor, torch.dtype]) -> Tensor:
        return packed if isinstance(packed, Tensor) else packed[0].to(packed[1])

    with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
        yield dense
    kept.clear()
