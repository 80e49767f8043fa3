"""What a word for a run stands for: one meaning in every command."""

from collections.abc import Sequence
from difflib import get_close_matches

from snn2ann.errors import UserError

# As many runs as a message lists.
LISTED = 8


def chosen_name(word: str, names: Sequence[str], place: str) -> str:
    """Return the one run that a word stands for: its name, or the beginning of its name or of its digest.

    Args:
        word: what was given.
        names: of the runs that there are; a digest follows the last hyphen.
        place: where they are, for messages.

    Raises:
        UserError: it stands for several, which are listed, or for none; then the nearest names are.
    """
    if word in names:
        return word
    found = [name for name in names if word and (name.startswith(word) or name.rpartition("-")[2].startswith(word))]
    if len(found) == 1:
        return found[0]
    if found:
        raise UserError(f"{word}: {len(found)} runs begin so; write more of the name, or its digest:{listed(found)}")
    close = nearest(word, names)
    hint = f"did you mean {' or '.join(close)}?" if close else f"{place} holds {len(names)} runs"
    raise UserError(f"{word}: neither the folder nor the name of a run in {place}; {hint}")


def nearest(word: str, names: Sequence[str]) -> list[str]:
    """At most three names that are like a word, those that hold it first."""
    holding = [name for name in names if word and word in name]
    return list(dict.fromkeys([*holding, *get_close_matches(word, names, n=3, cutoff=0.5)]))[:3]


def listed(names: Sequence[str]) -> str:
    """Names for a message, a line each, the first of many."""
    more = [f"and {len(names) - LISTED} more"] if len(names) > LISTED else []
    return "".join(f"\n  {line}" for line in [*names[:LISTED], *more])
