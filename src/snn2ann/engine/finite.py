"""Whether numbers are finite. `m > V` is false of NaN, so that spikes, and the loss, do not tell when weights are not."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from snn2ann.errors import UserError


@torch.no_grad()
def norms(values: Sequence[Tensor]) -> Tensor:
    """Give the norm of each, [n]: not finite where any number in it is not, or is above 10¹⁹. One pass over memory."""
    each = torch._foreach_norm(list(values))
    return torch.stack([norm.to(each[0].device) for norm in each])


def check_finite(values: Mapping[str, Tensor], when: str) -> None:
    """Look at all floating-point tensors; reads the device once.

    Args:
        values: by the name that a message has for them.
        when: the message's first words.

    Raises:
        UserError: some are not finite; the message names the first of them.
    """
    floats = {name: value for name, value in values.items() if isinstance(value, Tensor) and value.is_floating_point()}
    if not floats or any(value.is_meta for value in floats.values()):
        return
    finite = norms(list(floats.values())).isfinite()
    if not bool(finite.all()):
        raise not_finite([name for name, good in zip(floats, finite.tolist(), strict=True) if not good], when)


def not_finite(names: Sequence[str], when: str) -> UserError:
    """Make the error that says what is not finite, the first ones by name."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return UserError(
        f"{when}: not finite (NaN, or infinite): {', '.join(names[:3])}{more}; "
        "go back to a state that is, and train at a lower learning rate, or mend the images"
    )
