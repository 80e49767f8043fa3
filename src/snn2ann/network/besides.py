"""What a module does besides its class's own forward: weights that are made at every call are made, all else is refused."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn
from torch.nn.modules import module as every_module
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.utils import parametrize
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from snn2ann.network.refusals import Offence, grouped, refuse

WEIGHT_MAKERS = (BasePruningMethod, SpectralNorm, WeightNorm)
"""Hooks that make a weight of other parameters before every call, whatever is called."""

RUN = ("forward", "_conv_forward", "__call__", "_call_impl", "_wrapped_call_impl")
"""What runs when a module is called."""

_HOOKS = {
    "_forward_pre_hooks": "forward pre-hook",
    "_forward_hooks": "forward hook",
    "_backward_pre_hooks": "backward pre-hook",
    "_backward_hooks": "backward hook",
}


def inherits_all(own: type[nn.Module], kind: type[nn.Module]) -> bool:
    """Whether a class runs what another runs when a module is called, and nothing of its own."""
    return all(getattr(own, name, None) is getattr(kind, name, None) for name in RUN)


def besides(model: nn.Module) -> Iterator[Offence]:
    """Find what no plan would run of a network: hooks, and what is replaced on an instance."""
    for name, module in model.named_modules():
        if isinstance(module, LazyModuleMixin):
            # Its hook makes its weights; that there are none yet is said where it is read.
            continue
        kind = type(module).__name__
        place = f"{name or 'the network itself'} ({kind})"
        for attribute, words in _HOOKS.items():
            for hook in getattr(module, attribute).values():
                if not _makes_weights(hook):
                    yield _hook(place, kind, words, hook)
        if type(module).__call__ is not nn.Module.__call__ or any(each in vars(module) for each in RUN):
            yield (
                place,
                kind,
                "its call or its forward is replaced, which would not be run; write a class with that forward",
            )


def _of_every_module() -> Iterator[Offence]:
    for attribute, words in _HOOKS.items():
        for hook in getattr(every_module, f"_global{attribute}").values():
            # PyTorch's own look on: those that count operations, and the like.
            if not str(getattr(hook, "__module__", "")).startswith("torch."):
                yield _hook("every module", "module", words, hook)


def check_besides(model: nn.Module) -> None:
    """Look for what no plan would run, of a network and of all modules.

    Raises:
        UserError: there is some; the message names all of it.
    """
    if offences := [*_of_every_module(), *besides(model)]:
        raise refuse(grouped(offences))


def _hook(place: str, kind: str, words: str, hook: Callable[..., Any]) -> Offence:
    name = getattr(hook, "__qualname__", type(hook).__name__)
    return place, kind, f"its {words} {name} would not be run; remove it, or do what it does in a module of your own"


def _makes_weights(hook: object) -> bool:
    return isinstance(hook, WEIGHT_MAKERS)


@contextmanager
def weights_made(model: nn.Module) -> Iterator[None]:
    """Within, weights that are made at every call stand, made once: pruned, normed or parametrized ones.

    Both branches then have the same, with its gradient, and a power iteration goes one step, as in a call of the network.
    """
    hooked = [module for module in model.modules() if any(map(_makes_weights, module._forward_pre_hooks.values()))]
    hooks = [module._forward_pre_hooks for module in hooked]
    with parametrize.cached():
        for module, registered in zip(hooked, hooks, strict=True):
            for make in filter(_makes_weights, registered.values()):
                make(module, ())
            others = [(key, hook) for key, hook in registered.items() if not _makes_weights(hook)]
            module._forward_pre_hooks = OrderedDict(others)
        # Here, where gradients are as the caller has them: the spiking branch, which may come first, is without.
        for module in model.modules():
            if parametrize.is_parametrized(module):
                for name in module.parametrizations:  # type: ignore[union-attr]
                    getattr(module, name)
        try:
            yield
        finally:
            for module, registered in zip(hooked, hooks, strict=True):
                module._forward_pre_hooks = registered
