"""JSON on standard output, for scripts."""

import json
import math
from collections.abc import Mapping
from typing import Any


def print_json(content: Any) -> None:
    """Print what any JSON reader takes: numbers that are not finite, for which JSON has no word, are null."""
    print(json.dumps(_with_words(content), indent=1, ensure_ascii=False, default=str, allow_nan=False))


def _with_words(content: Any) -> Any:
    if isinstance(content, Mapping):
        return {str(key): _with_words(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_with_words(value) for value in content]
    if isinstance(content, float) and not math.isfinite(content):
        return None
    return content
