"""Memory of a training step: what autograd keeps for backward, and how far the process grows."""

import ctypes
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class _Held:
    """A tensor kept for backward; its storage is given back when the graph lets go of it."""

    def __init__(self, tensor: Tensor, ledger: "_Ledger") -> None:
        self.tensor, self.ledger = tensor, ledger
        ledger.take(tensor)

    def __del__(self) -> None:
        self.ledger.give_back(self.tensor)


class _Ledger:
    """Bytes held, each storage once, and the most there were."""

    def __init__(self, model: nn.Module) -> None:
        tensors = itertools.chain(model.parameters(), model.buffers())
        self.own = {tensor.untyped_storage()._cdata for tensor in tensors}
        self.holders: dict[int, int] = {}
        self.bytes = self.most = 0

    def take(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        place = storage._cdata
        if place in self.own:
            return
        if place not in self.holders:
            self.bytes += storage.nbytes()
            self.most = max(self.most, self.bytes)
        self.holders[place] = self.holders.get(place, 0) + 1

    def give_back(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        place = storage._cdata
        if place in self.own:
            return
        self.holders[place] -= 1
        if not self.holders[place]:
            del self.holders[place]
            self.bytes -= storage.nbytes()


def saved_for_backward(model: nn.Module, step: Callable[[], Any]) -> int:
    """The most bytes that autograd holds for backward at a time, each storage once, parameters not counted.

    Checkpoints keep what they start from outside of autograd, which is not seen here.

    Args:
        model: its parameters and buffers are there anyway.
        step: runs a forward pass, and a backward pass if what is made again in it should count.
    """
    ledger = _Ledger(model)
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: _Held(tensor, ledger), lambda held: held.tensor):
        result = step()
    del result
    return ledger.most


def peak_growth(step: Callable[[], Any], device: torch.device) -> int | None:
    """How many bytes more than before a step needs while it runs.

    Args:
        step: what to run.
        device: on a GPU the allocator's peak is taken; on a CPU the resident set's.

    Returns:
        Bytes; None where the system does not tell (a CPU without Linux's /proc).
    """
    if device.type == "cuda":
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        step()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    try:
        # Memory that is free but kept by the allocator would hide what the step takes.
        ctypes.CDLL(None).malloc_trim(0)
        CLEAR.write_text("5")
        resident = _status("VmRSS")
    except (OSError, AttributeError):
        return None
    step()
    return _status("VmHWM") - resident


def _status(key: str) -> int:
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(f"{key}:"))
    return int(line.split()[1]) * 1024
