"""`inherit:` of recipes and studies: another one's values, with those that are written here in their place."""

from collections.abc import Mapping
from typing import Any

from snn2ann.errors import UserError
from snn2ann.parameters.reading import merge
from snn2ann.parameters.words import choose, shown

ROOMS = ("recipes", "studies")
Path = tuple[Any, ...]


def expand(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters in which every recipe and study is whole.

    Maps are merged key by key, but for one that names another `kind`; lists and single values are replaced. The entries of
    a study's `more_runs` come after the runs that it inherits.

    Raises:
        UserError: an unknown name, a circle, or `more_runs` with nothing to add to.
    """
    expanded = dict(parameters)
    for room in ROOMS:
        section = parameters.get(room)
        if isinstance(section, Mapping):
            expanded[room] = {name: _whole(room, section, name, ()) for name in section}
    return expanded


def written_at(parameters: Mapping[str, Any], path: Path) -> Path:
    """Where in unexpanded parameters a value of expanded ones is written; the path itself where it is nowhere."""
    room, name, *rest = path if len(path) > 2 else (None, None)
    entry = parameters[room][name] if room in ROOMS else {}
    if not isinstance(entry, Mapping) or "inherit" not in entry or room not in ROOMS:
        return path
    parent = entry["inherit"]
    if rest[0] == "runs" and "more_runs" in entry and len(rest) > 1:
        inherited = len(_whole(room, parameters[room], parent, ())["runs"])
        if rest[1] >= inherited:
            return (room, name, "more_runs", rest[1] - inherited, *rest[2:])
    elif _has(entry, rest):
        return path
    return written_at(parameters, (room, parent, *rest))


def _has(entry: Any, keys: list[Any]) -> bool:
    for key in keys:
        if isinstance(entry, Mapping):
            if key not in entry:
                return False
            entry = entry[key]
    return True


def _whole(room: str, section: Mapping[str, Any], name: str, heirs: tuple[str, ...]) -> Any:
    entry, key = section[name], f"{room}.{name}"
    if not isinstance(entry, Mapping):
        return entry
    more = entry.get("more_runs") if room == "studies" else None
    if "inherit" not in entry:
        if more is not None:
            raise UserError(f"{key}.more_runs: is for a study that inherits; expected its entries under runs")
        return dict(entry)
    parent = choose(f"{key}.inherit", entry["inherit"], section)
    line = (*heirs, name)
    if parent in line:
        raise UserError(f"{key}.inherit: {parent!r} inherits from itself: {' from '.join((*line, parent))}")
    base = _whole(room, section, parent, line)
    if not isinstance(base, Mapping):
        return base
    own = {each: value for each, value in entry.items() if each not in ("inherit", "more_runs")}
    whole = merge(base, own, other_kinds_replace=True)
    if more is not None:
        if "runs" in entry:
            raise UserError(f"{key}.more_runs: stands beside runs; expected one of the two")
        if not isinstance(more, list) or not more:
            raise UserError(f"{key}.more_runs: {shown(more)} is not allowed; expected a list of at least one entry")
        whole["runs"] = [*whole.get("runs", []), *more]
    return whole
