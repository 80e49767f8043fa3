"""The JSON schema of params.yaml, made of the sections' classes, and the way to a value's part of it."""

from collections.abc import Iterable, Mapping
from copy import deepcopy
from functools import cache
from typing import Any

from snn2ann.parameters.section import Section
from snn2ann.parameters.whole import Parameters

Schema = Mapping[str, Any]


@cache
def schema() -> dict[str, Any]:
    """The JSON schema of params.yaml in which everything that is inherited is in its place."""
    return Parameters.model_json_schema()


def published() -> dict[str, Any]:
    """The JSON schema of params.yaml as it is written: what inherits may leave out whatever it inherits."""
    made = deepcopy(schema())
    for name, part in list(made["$defs"].items()):
        if "inherit" in part.get("properties", {}):
            keys = {key: {"description": inner["description"]} for key, inner in part["properties"].items()}
            partly = {"type": "object", "properties": keys, "additionalProperties": False}
            made["$defs"][f"Whole{name}"] = part
            made["$defs"][name] = {
                "description": part["description"],
                "if": {"required": ["inherit"]},
                "then": partly,
                "else": {"$ref": f"#/$defs/Whole{name}"},
            }
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made, "title": "Parameters of the studies"}


def of_section(section: type[Section]) -> Schema:
    """The part of one section."""
    name = section.__name__
    return {"$ref": f"#/$defs/{name}"} if name in schema()["$defs"] else section.model_json_schema()


def followed(part: Schema, data: Any) -> Schema:
    """A part without references and choices; of a choice, the part that is for such data. The nearer description holds."""
    while True:
        beside = {key: part[key] for key in ("description",) if key in part}
        if "$ref" in part:
            target: Any = schema()
            for step in part["$ref"].removeprefix("#/").split("/"):
                target = target[step]
            part = {**target, **beside}
        elif choices := part.get("anyOf", part.get("oneOf")):
            part = {**_chosen(choices, data), **beside}
        else:
            return part


def _chosen(choices: Iterable[Schema], data: Any) -> Schema:
    plain = [each if "type" in each else {**followed(each, data)} for each in choices]
    if isinstance(data, Mapping):
        maps = [each for each in plain if each.get("type") == "object"]
        kinds = [each.get("properties", {}).get("kind", {}) for each in maps]
        named = [each for each, kind in zip(maps, kinds, strict=True) if kind and kind.get("const") == data.get("kind")]
        if "kind" not in data:
            named = [each for each, kind in zip(maps, kinds, strict=True) if not kind]
        others = [each for each, kind in zip(maps, kinds, strict=True) if "const" not in kind]
        return (named or others or maps or plain)[0]
    wanted = {list: "array", type(None): "null"}.get(type(data))
    fitting = [each for each in plain if (each.get("type") == wanted if wanted else each.get("type") != "array")]
    return (fitting or plain)[0]


def without_references(part: Schema) -> Schema:
    """A part whose choices and items have no references, for putting it into words."""
    if "$ref" in part:
        return without_references(followed(part, None))
    done = dict(part)
    for word in ("anyOf", "oneOf"):
        if word in part:
            done[word] = [without_references(each) for each in part[word]]
    if "items" in part:
        done["items"] = without_references(part["items"])
    return done


def child(part: Schema, key: Any) -> Schema:
    """The part of a map's value or of a list's item."""
    if isinstance(key, int):
        return dict(part.get("items", {}))
    known = part.get("properties", {})
    if key in known:
        return dict(known[key])
    more = part.get("additionalProperties")
    patterns = list(part.get("patternProperties", {}).values())
    return dict(more) if isinstance(more, Mapping) else dict(patterns[0]) if patterns else {}


def is_one_or_several(part: Schema) -> bool:
    """Whether a value or a list of such values is allowed, so that the key of the whole is what is named."""
    kinds = [each.get("type") for each in part.get("anyOf", part.get("oneOf", []))]
    if kinds.count("array") == 0:
        kinds = [kind for each in part.get("anyOf", []) for kind in [x.get("type") for x in each.get("oneOf", [])]]
    return "array" in kinds and len(set(kinds) - {"null", "object"}) > 1
