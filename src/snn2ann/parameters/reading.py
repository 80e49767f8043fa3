"""Read params.yaml: YAML as people write it, and no value that only looks like the one that was meant."""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from snn2ann.errors import UserError
from snn2ann.parameters.words import key_of, shown

MERGE = "tag:yaml.org,2002:merge"


class _Loader(yaml.SafeLoader):
    """1e-3 is a number, keys are words, and no key stands twice in a map; what `<<` brings may be overridden."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        return {key: self.construct_object(value, deep=True) for key, value in self._values(node).items()}

    def _values(self, node: yaml.MappingNode) -> dict[str, yaml.Node]:
        """The nodes of a map's values; its own replace those that are merged, of which an earlier map's hold."""
        own: dict[str, yaml.Node] = {}
        merged: dict[str, yaml.Node] = {}
        for key_node, value in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise _at(key_node, "a key must be a word, not a list or a map")
            key = str(key_node.value)
            if key in own:
                raise _at(key_node, f"key {key!r} stands twice in one map")
            own[key] = value
            if key_node.tag == MERGE:
                for source in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                    if not isinstance(source, yaml.MappingNode):
                        raise _at(value, "expected a map, or a list of maps, to merge")
                    merged = self._values(source) | merged
        return merged | {key: value for key, value in own.items() if key != "<<"}

    def construct_integer(self, node: yaml.ScalarNode) -> int:
        text = str(node.value)
        if re.match(r"[-+]?0\d|.*:", text):
            raise _at(node, f"{text} would be read as {self.construct_yaml_int(node)}; write the number without 0 or :")
        return int(self.construct_yaml_int(node))


def _at(node: yaml.Node, problem: str) -> yaml.MarkedYAMLError:
    return yaml.constructor.ConstructorError(problem=problem, problem_mark=node.start_mark)


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_integer)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)


def load_parameters(path: Path | str, overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Read a parameters file; it is not validated.

    Args:
        path: a YAML file.
        overrides: values that take the place of the file's, merged map by map.

    Raises:
        UserError: the file is missing or is no YAML map; the message names the line.
    """
    path = Path(path)
    try:
        parameters = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise UserError(f"{path}: cannot be read ({reason}); expected a YAML file of parameters") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "somewhere"
        raise UserError(f"{path}: {place}: not valid YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: not valid YAML: {error}") from error
    if not isinstance(parameters, dict):
        raise UserError(f"{path}: holds no map of parameters; expected keys such as study, networks and studies")
    return merge(parameters, overrides or {})


def merge(base: Mapping[str, Any], changes: Mapping[str, Any], *, other_kinds_replace: bool = False) -> dict[str, Any]:
    """Return `base` with `changes` in it; maps are merged key by key, everything else is replaced.

    Args:
        base: a map.
        changes: a map.
        other_kinds_replace: whether a map that names another `kind` is replaced whole.
    """
    if other_kinds_replace and "kind" in changes and changes["kind"] != base.get("kind"):
        return dict(changes)
    merged = dict(base)
    for key, value in changes.items():
        old = merged.get(str(key))
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            value = merge(old, value, other_kinds_replace=other_kinds_replace)
        merged[str(key)] = value
    return merged


def refuse_strange(value: Any, path: tuple[Any, ...] = ()) -> None:
    """Refuse what is no word, number, list or map: dates, bytes, a map within itself; inf and nan in free maps.

    Raises:
        UserError: the key, the value and what is expected.
    """
    if len(path) > 20:
        raise UserError(f"{key_of(path[:3])}: is nested too deeply, or holds itself; expected a plain map or list")
    if isinstance(value, Mapping):
        for key, each in value.items():
            refuse_strange(each, (*path, key))
    elif isinstance(value, list | tuple):
        for place, each in enumerate(value):
            refuse_strange(each, (*path, place))
    elif isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"{key_of(path)}: {shown(value)} is not allowed; expected a finite number")
    elif not isinstance(value, str | int | float | None):
        raise UserError(
            f"{key_of(path)}: {value} is read as a {type(value).__name__}; put it into quotes to make it text"
        )
