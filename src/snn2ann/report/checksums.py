"""Digests of published files, as `sha256sum` writes and checks them."""

from collections.abc import Iterable
from hashlib import file_digest
from pathlib import Path

from snn2ann.files import write_text

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
    return "".join(f"{_digest(path)}  {path.relative_to(folder).as_posix()}\n" for path in files)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
