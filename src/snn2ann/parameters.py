"""params.yaml: read it, check it against the schema, and say in one sentence what is wrong with it."""

import difflib
import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from snn2ann.errors import UserError


class _Loader(yaml.SafeLoader):
    """YAML as people write it: 1e-3 is a number, keys are words, and no key stands twice in a map."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        self.flatten_mapping(node)
        mapping: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value
            if key in mapping:
                raise yaml.constructor.ConstructorError(
                    problem=f"key {key!r} stands twice in one map", problem_mark=key_node.start_mark
                )
            mapping[key] = self.construct_object(value_node, deep=True)
        return mapping


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
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not valid YAML: {error}") from error
    if not isinstance(parameters, dict):
        raise UserError(f"{path}: holds no map of parameters; expected keys such as study, networks and studies")
    return merge(parameters, overrides or {})


def merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with `changes` in it; maps are merged key by key, everything else is replaced."""
    merged = dict(base)
    for key, value in changes.items():
        old = merged.get(str(key))
        merged[str(key)] = merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


def validate(parameters: Mapping[str, Any], file: str = "params.yaml") -> None:
    """Check parameters against the schema.

    Raises:
        UserError: the first problem, unknown keys before others: the key, the value, and what is allowed.
    """
    errors = sorted(_validator().iter_errors(parameters), key=_urgency)
    if errors:
        raise UserError(f"{file}: {_sentence(errors[0])}")


def choose(key: str, value: Any, allowed: Iterable[str]) -> str:
    """Return `value` if it is one of `allowed`.

    Raises:
        UserError: it is not; the message names `key`, the value, the nearest match and what is allowed.
    """
    names = list(allowed)
    if value in names:
        return str(value)
    near = difflib.get_close_matches(str(value), names, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise UserError(f"{key}: {value!r} is unknown; {hint}allowed: {', '.join(names) or 'none'}")


def digest(content: Any) -> str:
    """Return the first 8 hex digits of the SHA-256 of the content's canonical JSON; 1.0 and 1 are the same."""
    text = json.dumps(_canonical(content), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _canonical(content: Any) -> Any:
    if isinstance(content, Mapping):
        return {str(key): _canonical(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_canonical(value) for value in content]
    if isinstance(content, float) and content.is_integer():
        return int(content)
    return content


@cache
def _validator() -> Any:
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend

    def is_integer(_: Any, value: Any) -> bool:
        return isinstance(value, int) and not isinstance(value, bool)

    def is_number(_: Any, value: Any) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)

    checker = Draft202012Validator.TYPE_CHECKER.redefine("integer", is_integer).redefine("number", is_number)
    schema = yaml.safe_load(resources.files("snn2ann").joinpath("params.schema.yaml").read_text(encoding="utf-8"))
    return extend(Draft202012Validator, type_checker=checker)(schema)


def _urgency(error: Any) -> tuple[bool, int, str]:
    return error.validator != "additionalProperties", -len(error.absolute_path), error.json_path


def _sentence(error: Any) -> str:
    key = _key(error.absolute_path)
    if error.validator == "additionalProperties":
        known = list(error.schema.get("properties", {}))
        unknown = next(name for name in error.instance if name not in known)
        near = difflib.get_close_matches(unknown, known, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        value = _shown(error.instance[unknown])
        where = _key([*error.absolute_path, unknown])
        return f"{where}: unknown key (value {value}); {hint}allowed here: {', '.join(known)}"
    if error.validator == "required":
        missing = [name for name in error.validator_value if name not in error.instance]
        return f"{_key([*error.absolute_path, missing[0]])}: missing; needed here: {', '.join(error.validator_value)}"
    if error.validator == "enum":
        allowed = ", ".join(_shown(value) for value in error.validator_value)
        return f"{key}: {_shown(error.instance)} is not allowed; expected one of {allowed}"
    return f"{key}: {_shown(error.instance)} is not allowed; expected {_expectation(error)}"


def _expectation(error: Any) -> str:
    """Find the nearest description on the way from the schema's root to what failed; one beside a $ref goes first."""
    schema, description = _validator().schema, "another value"
    for step in error.absolute_schema_path:
        if isinstance(schema, Mapping) and step not in schema:
            schema = _follow(schema["$ref"])
        schema = schema[step]
        if isinstance(schema, Mapping):
            behind = _follow(schema["$ref"]) if "$ref" in schema else {}
            description = schema.get("description", behind.get("description", description))
    return description + (", none of them twice" if error.validator == "uniqueItems" else "")


def _follow(reference: str) -> Any:
    schema = _validator().schema
    for part in reference.removeprefix("#/").split("/"):
        schema = schema[part]
    return schema


def _key(path: Iterable[Any]) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text or "the file"


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 80 else text[:77] + "..."
