"""Digests of published files, as `sha256sum` writes and checks them."""

from collections.abc import Iterable
from pathlib import Path

from snn2ann.files import sha256_of, write_text

SUMS = "SHA256SUMS"
"""Of every other file of a published study."""
RUNS = "runs.sha256"
"""Of the files that training a study's runs again writes with the same bytes, on a machine that rounds alike."""


def write_checksums(folder: Path) -> None:
    """Write `SUMS` of all files of a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != SUMS)
    write_text(folder / SUMS, lines(files, folder))


def lines(files: Iterable[Path], folder: Path) -> str:
    """A line for each file: its SHA-256, and its path from `folder`."""
    return "".join(f"{sha256_of(path)}  {path.relative_to(folder).as_posix()}\n" for path in files)
