"""What a network is made of: a plan knows it as it was when it was traced, so that what has changed since is refused."""

from collections.abc import Iterator, Mapping
from typing import Any

from torch import nn
from torch.nn.utils import parametrize

from snn2ann.errors import UserError
from snn2ann.network.refusals import Offence, grouped
from snn2ann.network.supported import MODULES, is_kind

Structure = Mapping[str, tuple[Any, ...]]
"""By name of a module: its class, and what of it a plan relies on."""

_LOOKED_UP = (nn.Conv1d, nn.Conv2d, nn.Linear, nn.ReLU, nn.Dropout, nn.Dropout2d, nn.Identity)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.SyncBatchNorm)


def structure(model: nn.Module) -> Structure:
    """Give what a network is made of; what makes a parametrized weight is no part of it."""
    return {name: _part(module) for name, module in model.named_modules() if "parametrizations" not in name.split(".")}


def check_structure(model: nn.Module, known: Structure) -> None:
    """Hold a network against what it was made of.

    Raises:
        UserError: modules are others, or of another kind, or are gone; all of them are named.
    """
    if offences := list(_changes(structure(model), known)):
        raise UserError("\n  ".join(["the network is not what was coupled; couple it anew:", *grouped(offences)]))


def _changes(now: Structure, known: Structure) -> Iterator[Offence]:
    for name in {**known, **now}:
        place = name or "the network itself"
        if name not in now:
            yield place, "gone", "it is gone"
        elif name not in known:
            yield f"{place} ({now[name][0].__name__})", "new", "it was added, and would not be run"
        elif now[name] != known[name]:
            before, after = known[name][0].__name__, now[name][0].__name__
            reason = f"it was a {before} when it was coupled"
            yield (
                f"{place} ({after})",
                before,
                reason if before != after else f"it was another {before} when it was coupled",
            )


def _part(module: nn.Module) -> tuple[Any, ...]:
    kind = _kind(parametrize.type_before_parametrizations(module))
    if kind in _NORMS:
        # One may be made into another, as for training in several processes.
        return (nn.BatchNorm2d,)
    if isinstance(module, nn.Conv1d | nn.Conv2d):
        # By these the layers that are run as one were chosen.
        return kind, module.groups, module.dilation, module.padding_mode, isinstance(module.padding, str)
    # Functions are run as the very modules that they were; the others are looked up by name in every pass.
    runs_itself = kind in MODULES and kind not in _LOOKED_UP
    return (kind, module) if runs_itself else (kind,)


# PyTorch's compiler warns of `functools.lru_cache`.
_kinds: dict[type[nn.Module], type[nn.Module]] = {}


def _kind(kind: type[nn.Module]) -> type[nn.Module]:
    """The supported class that a class is, or itself."""
    if kind not in _kinds:
        _kinds[kind] = next((known for known in MODULES if is_kind(kind, known)), kind)
    return _kinds[kind]
