"""The digest by which runs, phases and studies are named."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any


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
