"""Runs a network only to look at it: what it changes by running is as before afterwards."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


@contextmanager
def unchanged(model: nn.Module) -> Iterator[None]:
    """Within, buffers, modes and the states of random generators may change; after it they are what they were."""
    modes = [(module, module.training) for module in model.modules()]
    buffers = [(module, name, value) for module in model.modules() for name, value in module._buffers.items()]
    values = [None if value is None else value.detach().clone() for _, _, value in buffers]
    drawn = random.getstate()
    with torch.random.fork_rng(_gpus(model)):
        try:
            yield
        finally:
            random.setstate(drawn)
            for module, mode in modes:
                module.training = mode
            for (module, name, value), before in zip(buffers, values, strict=True):
                module._buffers[name] = value
                _restore(value, before)


@torch.no_grad()
def _restore(value: Tensor | None, before: Tensor | None) -> None:
    if value is not None and before is not None:
        value.copy_(before)


def _gpus(model: nn.Module) -> list[int]:
    return sorted({value.device.index for value in model.parameters() if value.is_cuda})
