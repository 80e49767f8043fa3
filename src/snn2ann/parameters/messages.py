"""One sentence for what is wrong with a value: its key, itself, and what is expected."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from snn2ann.parameters.dataset import BUILT_IN
from snn2ann.parameters.schema import child, followed, is_one_or_several, schema, without_references
from snn2ann.parameters.words import expectation, key_of, near, shown

Schema = Mapping[str, Any]


@dataclass(frozen=True)
class Problem:
    """What is wrong, and where: `path` through maps and lists; unknown keys are said before all else."""

    path: tuple[Any, ...]
    sentence: str
    unknown: bool = False


def problems(error: ValidationError, data: Any, root: Schema | None = None, key: str = "") -> list[Problem]:
    """Put pydantic's errors into words, the most urgent first.

    Args:
        error: of the validation of `data`.
        data: what was validated.
        root: the schema of `data`; else that of the whole file.
        key: of `data` within the file.
    """
    start = schema() if root is None else root
    found = [
        _problem(dict(each), _Place(start, data, (key,) if key else ())) for each in error.errors(include_url=False)
    ]
    return sorted(found, key=lambda each: (not each.unknown, -len(each.path)))


def _problem(error: dict[str, Any], place: "_Place") -> Problem:
    parts = [*error["loc"], *error.get("ctx", {}).get("path", ())]
    if error["type"] == "extra_forbidden":
        place.walk(parts[:-1])
        return place.unknown(parts[-1])
    if error["type"] == "missing":
        place.walk(parts[:-1])
        return place.missing(parts[-1])
    if error["type"].startswith("union_tag"):
        place.walk(parts)
        if not isinstance(place.data, Mapping):
            return place.refused()
        return place.tag(error)
    if parts and parts[-1] == "[key]":
        place.walk(parts[:-2])
        name = followed(place.part, place.data).get("propertyNames", {})
        expected = followed(name, "").get("description", "another name")
        return Problem(place.path, f"{key_of(place.path)}: {shown(parts[-2])} is not allowed; expected {expected}")
    place.walk(parts)
    return place.refused(error.get("ctx", {}).get("expected") if error["type"] == "refused" else None)


class _Place:
    """A value that is walked to through data and schema; parts of a path that are no keys of the data are passed over."""

    def __init__(self, part: Schema, data: Any, path: tuple[Any, ...]) -> None:
        self.part, self.data, self.path = part, data, path
        self.description = str(part.get("description", "another value"))

    def walk(self, parts: list[Any]) -> None:
        for key in parts:
            inside = isinstance(self.data, Mapping) and key in self.data
            inside |= isinstance(self.data, list) and isinstance(key, int) and key < len(self.data)
            if not inside:
                continue
            if is_one_or_several(self.part):
                return
            self.part, self.data = child(followed(self.part, self.data), key), self.data[key]
            self.path = (*self.path, key)
            nearest = self.part.get("description") or followed(self.part, self.data).get("description")
            self.description = _as_phrase(str(nearest or self.description))

    def unknown(self, name: Any) -> Problem:
        known = list(followed(self.part, self.data).get("properties", {}))
        value = self.data.get(name) if isinstance(self.data, Mapping) else None
        hint, where = near(str(name), known), key_of((*self.path, name))
        allowed = f"{hint and hint + ' '}allowed here: {', '.join(known) or 'none'}"
        return Problem((*self.path, name), f"{where}: unknown key (value {shown(value)}); {allowed}", unknown=True)

    def missing(self, name: Any) -> Problem:
        part = followed(self.part, self.data)
        needed: list[str] = part.get("required", [])
        given = [each for each in needed if each == "kind" and isinstance(self.data, Mapping) and each in self.data]
        names = ", ".join(each for each in needed if each not in given)
        path = (*self.path, name)
        return Problem(path, f"{key_of(path)}: missing; needed here: {names}")

    def tag(self, error: dict[str, Any]) -> Problem:
        path, given = (*self.path, "kind"), self.data.get("kind")
        kinds = [kind.strip("'") for kind in str(error.get("ctx", {}).get("expected_tags", "")).split(", ") if kind]
        # What has no kind has no name for it either.
        kinds = [kind for kind in kinds if kind != BUILT_IN]
        if "kind" not in self.data:
            return Problem(path, f"{key_of(path)}: missing; needed here: kind")
        hint = near(str(given), kinds)
        expected = f"one of {', '.join(map(shown, kinds))}{hint and '; ' + hint}"
        return Problem(path, f"{key_of(path)}: {shown(given)} is not allowed; expected {expected}")

    def refused(self, expected: str | None = None) -> Problem:
        if expected is None:
            expected = self.expected()
        return Problem(self.path, f"{key_of(self.path)}: {shown(self.data)} is not allowed; expected {expected}")

    def expected(self) -> str:
        part = without_references(self.part)
        allowed = followed(part, self.data)
        words = expectation(part)
        if "enum" in allowed or "const" in allowed:
            hint = near(str(self.data), [str(value) for value in allowed.get("enum", [allowed.get("const")])])
            return words + (hint and f"; {hint}")
        if self.description.startswith("a list"):
            if not words.startswith("a list"):
                # The description is that of the list, and an item is wrong.
                return words
            words = words.partition(", ")[2]
        if words == "a map" and "map" not in self.description:
            return f"a map: {self.description}"
        return self.description if words in ("text", "a map", "") else f"{self.description}, {words}"


def _as_phrase(description: str) -> str:
    """The first sentence of a class's docstring as a part of one; other descriptions are phrases already."""
    first = description.split("\n")[0]
    return first[0].lower() + first[1:].removesuffix(".") if first.endswith(".") else first
