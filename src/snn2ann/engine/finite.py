"""Whether numbers are finite. `m > V` is false of NaN, so that spikes, and the loss, do not tell when weights are not."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from snn2ann.engine.compiled import one_operation
from snn2ann.errors import UserError


def tensors_of(model: nn.Module) -> dict[str, Tensor]:
    """Give a model's parameters and buffers themselves, under the names and in the order of its `state_dict()`.

    A compiler looks into this, and not into `state_dict`.
    """
    found: dict[str, Tensor] = {}
    for name, module in model.named_modules(remove_duplicate=False):
        prefix = f"{name}." if name else ""
        saved = [key for key in module._buffers if key not in module._non_persistent_buffers_set]
        held = {**module._parameters, **{key: module._buffers[key] for key in saved}}
        found |= {prefix + key: value.detach() for key, value in held.items() if value is not None}
    return found


@torch.no_grad()
def norms(values: Sequence[Tensor]) -> Tensor:
    """Give the norm of each, [n]: not finite where any number in it is not, or is above 10¹⁹. One pass over memory."""
    each = torch._foreach_norm(list(values))
    return torch.stack([norm.to(each[0].device) for norm in each])


def check_finite(values: Mapping[str, Tensor], when: str, batches: Tensor | None = None) -> None:
    """Look at all floating-point tensors; reads the device once.

    Args:
        values: by the name that a message has for them.
        when: the message's first words; `{}` in it stands for the number of batches.
        batches: how many there were, a scalar on the CPU.

    Raises:
        UserError: some are not finite; the message names the first of them.
    """
    floats = {name: value for name, value in values.items() if isinstance(value, Tensor) and value.is_floating_point()}
    if not floats or any(value.is_meta for value in floats.values()):
        return
    _look(_NONE if batches is None else batches, list(floats.values()), "\n".join(floats), when)


# A compiler leaves out what gives nothing, and writes to nothing that is there after it.
_NONE = torch.zeros((), dtype=torch.long, device="cpu")


@one_operation("look", writes=("batches",))
def _look(batches: Tensor, values: Sequence[Tensor], names: str, when: str) -> None:
    finite = norms(values).isfinite()
    if not bool(finite.all()):
        bad = [name for name, good in zip(names.split("\n"), finite.tolist(), strict=True) if not good]
        raise not_finite(bad, when.format(int(batches)))


def not_finite(names: Sequence[str], when: str) -> UserError:
    """Make the error that says what is not finite, the first ones by name."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return UserError(
        f"{when}: not finite (NaN, or infinite): {', '.join(names[:3])}{more}; "
        "go back to a state that is, and train at a lower learning rate, or mend the images"
    )
