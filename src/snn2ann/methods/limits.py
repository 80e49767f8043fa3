"""What a method's number must be, beyond its kind, which the parameters file is checked for."""

from collections.abc import Callable, Mapping
from typing import Any

from snn2ann.errors import UserError


def number_above(options: Mapping[str, Any], name: str, limit: float) -> float:
    """Give a method's option.

    Args:
        options: the method's.
        name: of the option.
        limit: what it must exceed.

    Raises:
        UserError: it is no number, or not above the limit.
    """
    return _number(name, options[name], f"a number above {limit:g}", allowed=lambda number: number > limit)


def number_from(options: Mapping[str, Any], name: str, limit: float) -> float:
    """Give a method's option.

    Args:
        options: the method's.
        name: of the option.
        limit: the least that it may be.

    Raises:
        UserError: it is no number, or below the limit.
    """
    return _number(name, options[name], f"a number from {limit:g}", allowed=lambda number: number >= limit)


def _number(name: str, value: Any, expected: str, allowed: Callable[[float], bool]) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not allowed(value):
        raise UserError(f"option {name}: {value!r} is not allowed; expected {expected}")
    return value
