"""Blocks of a page that a command fills, between marks which say by what command."""

import re
from collections.abc import Mapping
from pathlib import Path

from snn2ann.files import write_text

_BLOCK = re.compile(
    r"(?P<begin><!-- (?P<name>[^:\n]+): made by `[^`\n]+` -->\n)(?P<content>.*?)(?P<end><!-- end of (?P=name) -->)",
    re.DOTALL,
)


def marks(name: str, command: str) -> tuple[str, str]:
    """The lines between which a page shows a block."""
    return f"<!-- {name}: made by `{command}` -->", f"<!-- end of {name} -->"


def shown(text: str) -> dict[str, str]:
    """What a page's text shows, by the name of the block, without the line's end after it."""
    return {found["name"]: found["content"].rstrip("\n") for found in _BLOCK.finditer(text)}


def filled(text: str, made: Mapping[str, str]) -> str:
    """A page's text with new content in the blocks that `made` has; other blocks, and what it has no marks for, stay out."""

    def one(found: re.Match[str]) -> str:
        name = found["name"]
        return f"{found['begin']}{made[name]}\n{found['end']}" if name in made else found[0]

    return _BLOCK.sub(one, text)


def fill(page: Path, made: Mapping[str, str]) -> None:
    """Put new content into a page's blocks.

    Args:
        page: the file.
        made: content by the block's name; a page without that block is left as it is.
    """
    write_text(page, filled(page.read_text(encoding="utf-8"), made))
