"""How a network that cannot be coupled is refused: a line a kind and reason, with the first place."""

from collections.abc import Iterable

from snn2ann.errors import UserError

Offence = tuple[str, str, str]
"""Where it stands, its kind, and why it cannot be coupled."""


def refuse(reasons: Iterable[str]) -> UserError:
    """Make the error that says why a network cannot be coupled."""
    return UserError("\n  ".join(["the network cannot be coupled:", *reasons]))


def grouped(offences: Iterable[Offence]) -> list[str]:
    """Write a line a kind and reason: the first place, and how many more there are."""
    places: dict[tuple[str, str], list[str]] = {}
    for place, kind, reason in offences:
        places.setdefault((kind, reason), []).append(place)
    return [
        f"{found[0]}{f' and {len(found) - 1} more' if len(found) > 1 else ''}: {reason}"
        for (_, reason), found in places.items()
    ]
