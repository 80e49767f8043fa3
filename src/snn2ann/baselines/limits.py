"""What a method's number must be, beyond its kind, which the parameters file is checked for."""

from typing import Any

from snn2ann.errors import UserError


def number_above(options: dict[str, Any], name: str, limit: float) -> float:
    """Give a method's option.

    Args:
        options: the method's.
        name: of the option.
        limit: what it must exceed.

    Raises:
        UserError: it is no number, or not above the limit.
    """
    value = options[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > limit:
        raise UserError(f"option {name}: {value!r} is not allowed; expected a number above {limit:g}")
    return value
