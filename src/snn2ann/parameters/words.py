"""How keys, values and what is expected of them are put into words."""

import difflib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from snn2ann.errors import UserError

Schema = Mapping[str, Any]


def choose(key: str, value: Any, allowed: Iterable[str]) -> str:
    """Return `value` if it is one of `allowed`.

    Raises:
        UserError: it is not; the message names `key`, the value, the nearest match and what is allowed.
    """
    names = list(allowed)
    if value in names:
        return str(value)
    hint = near(str(value), names)
    raise UserError(f"{key}: {value!r} is unknown; {hint and hint + ' '}allowed: {', '.join(names) or 'none'}")


def near(value: str, names: Iterable[str]) -> str:
    """Ask whether the name nearest to `value` was meant; "" where none is near."""
    known = list(names)
    found = difflib.get_close_matches(value, known, n=1)
    if not found and len(value) > 2:
        found = [name for name in known if name.startswith(value)]
    return f"did you mean {found[0]!r}?" if found else ""


def key_of(path: Iterable[Any]) -> str:
    """A path through maps and lists as people write it: `studies.digits.runs[1].time_steps`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text or "the file"


def shown(value: Any) -> str:
    """A value as JSON, cut where it is long."""
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 80 else text[:77] + "..."


def expectation(schema: Schema) -> str:
    """What a JSON schema without references allows, in words: "an integer from 1 to 10", "true or false"."""
    if choices := schema.get("anyOf", schema.get("oneOf")):
        # Of a value or several only the one, and no null: descriptions say so where it means something.
        some = [each for each in choices if each.get("type") != "null"]
        single = [each for each in some if each.get("type") != "array"] or some
        return " or ".join(dict.fromkeys(map(expectation, single)))
    if "const" in schema:
        return shown(schema["const"])
    if "enum" in schema:
        return "one of " + ", ".join(shown(value) for value in schema["enum"])
    kind = schema.get("type")
    if kind in ("integer", "number"):
        return f"{'an integer' if kind == 'integer' else 'a number'}{_range(schema)}"
    if kind == "array":
        return _list(schema)
    return {"boolean": "true or false", "null": "null", "string": "text", "object": "a map"}.get(str(kind), "any value")


def _range(schema: Schema) -> str:
    low, above = schema.get("minimum"), schema.get("exclusiveMinimum")
    high, below = schema.get("maximum"), schema.get("exclusiveMaximum")
    end = f"up to {high:,}" if high is not None else f"up to, not including, {below:,}" if below is not None else ""
    if above is not None and below is not None:
        return f" between {above:,} and {below:,}, neither included"
    if low is not None:
        short = f" from {low:,} to {high:,}" if high is not None else ""
        return short or (f" from {low:,} {end}" if end else f" of at least {low:,}")
    if above is not None:
        return f" above {above:,}" + (f", {end}" if end else "")
    return f" {end}" if end else ""


def _list(schema: Schema) -> str:
    least, most = schema.get("minItems", 0), schema.get("maxItems")
    count = f"{least}" if least == most else f"at least {least}" if least > 0 else ""
    twice = ", none of them twice" if schema.get("uniqueItems") else ""
    each = expectation(schema.get("items", {}))
    return f"a list{count and f' of {count}'}, each {each}{twice}" if each != "text" else f"a list{twice}"
