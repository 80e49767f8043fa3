"""Runs a network only to look at it: what it changes by running is found, and is as before afterwards."""

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

_SYSTEM = ("training", "_forward_pre_hooks")
# What torch.fx keeps constants of a forward under.
_CONSTANTS = ("_tensor_constant", "_param_constant")


class Snapshot:
    """What a network holds, and the states of the random generators.

    Args:
        model: the network.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.modules = dict(model.named_modules())
        self.modes = [(module, module.training) for module in self.modules.values()]
        # Attributes, parameters and buffers as they are, and what is in them: containers one level deep.
        self.attributes = {name: _attributes(module) for name, module in self.modules.items()}
        self.contents = {
            name: {key: _content(value) for key, value in held.items()} for name, held in self.attributes.items()
        }
        self.buffers = [(value, value.detach().clone()) for value in model.buffers() if not is_lazy(value)]
        self.generators = _generators()

    def changed(self) -> Iterator[tuple[str, nn.Module, str]]:
        """Find what is no more as it was: name of the module, the module, and its attribute."""
        for name, module in self.modules.items():
            now, before = _attributes(module), self.contents[name]
            for key in {**before, **now}:
                same = key in now and key in before and _same(before[key], _content(now[key]))
                if not same and not key.startswith(_CONSTANTS):
                    yield name, module, key

    def has_drawn(self) -> bool:
        """Whether random numbers were drawn, of Python's, NumPy's or PyTorch's generator of the CPU."""
        return repr(_generators()) != repr(self.generators)

    @torch.no_grad()
    def restore(self) -> None:
        """Put all back."""
        for module, mode in self.modes:
            module.training = mode
        for name, module in self.modules.items():
            before = self.attributes[name]
            for key in [key for key in _attributes(module) if key not in before]:
                delattr(module, key)
            for key, value in before.items():
                _put_back(module, key, value, self.contents[name][key])
        for value, copy in self.buffers:
            value.copy_(copy)
        python, torchs, numpys = self.generators
        random.setstate(python)
        torch.set_rng_state(torch.tensor(torchs, dtype=torch.uint8, device="cpu"))
        if numpys:
            sys.modules["numpy"].random.set_state(numpys)


@contextmanager
def unchanged(model: nn.Module) -> Iterator[Snapshot]:
    """Within, a network and the states of random generators may change; after it they are what they were."""
    snapshot = Snapshot(model)
    with torch.random.fork_rng(_gpus(model)):
        try:
            yield snapshot
        finally:
            snapshot.restore()


def _attributes(module: nn.Module) -> dict[str, Any]:
    own = {key: value for key, value in vars(module).items() if key not in (*_SYSTEM, "_parameters", "_buffers")}
    return own | module._parameters | module._buffers


def _content(value: Any) -> list[Any]:
    if isinstance(value, Tensor) and not is_lazy(value):
        # Counts the writes into it.
        return [value, None if value.is_inference() else value._version]
    if isinstance(value, dict):
        return [value, *value.keys(), *value.values()]
    return [value, *value] if isinstance(value, list | set) else [value]


def _same(before: list[Any], now: list[Any]) -> bool:
    return len(before) == len(now) and all(
        one is other or _equal(one, other) for one, other in zip(before, now, strict=True)
    )


def _equal(one: Any, other: Any) -> bool:
    return isinstance(one, int | float | str) and type(one) is type(other) and one == other


def _put_back(module: nn.Module, key: str, value: Any, content: list[Any]) -> None:
    for held in (module._parameters, module._buffers, vars(module)):
        if key in held:
            held[key] = value
    if isinstance(value, list):
        value[:] = content[1:]
    elif isinstance(value, set):
        value.clear()
        value.update(content[1:])
    elif isinstance(value, dict):
        half = (len(content) - 1) // 2
        value.clear()
        value.update(zip(content[1 : 1 + half], content[1 + half :], strict=True))


def _generators() -> tuple[Any, list[int], Any]:
    """States of Python's generator, PyTorch's and, if somebody has loaded it, NumPy's."""
    numpy = sys.modules.get("numpy")
    return random.getstate(), torch.get_rng_state().tolist(), numpy and numpy.random.get_state()


def _gpus(model: nn.Module) -> list[int]:
    return sorted({value.device.index for value in model.parameters() if value.is_cuda})
