"""Files that are whole or not there: everything is written aside, then renamed."""

import csv
import errno
import hashlib
import io
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from snn2ann.errors import UserError

_MAKE_ROOM = "make room on its disk, and the same command goes on"
_MAKE_WRITABLE = "make it writable for you, or work in a copy elsewhere"
# What a user can mend about a file, by the system's number of the fault.
CURES = {
    errno.ENOSPC: _MAKE_ROOM,
    errno.EDQUOT: _MAKE_ROOM,
    errno.EROFS: _MAKE_WRITABLE,
    errno.EACCES: _MAKE_WRITABLE,
    errno.EPERM: _MAKE_WRITABLE,
}


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a path beside `path` to write to; rename it to `path` on success, remove it on failure.

    Args:
        path: the file to be made; missing parent folders are created.

    Yields:
        A path in the same folder and with the same suffix, so that the rename stays on one file system.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    aside = Path(name)
    try:
        yield aside
        aside.chmod(0o666 & ~_umask())
        with aside.open("rb") as written:
            os.fsync(written.fileno())
        aside.replace(path)
    except OSError as error:
        # The system does not name a file that it can't go on writing.
        error.filename = error.filename or str(path)
        raise
    finally:
        aside.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path`, whole or not at all."""
    with atomic_path(path) as aside:
        aside.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write `content` to `path` as UTF-8, whole or not at all."""
    write_bytes(path, content.encode())


def write_json(path: Path, content: Any) -> None:
    """Write `content` as indented JSON with sorted keys, so that equal content has equal bytes.

    Raises:
        ValueError: a number is not finite (JSON has no word for it).
    """
    write_text(path, json.dumps(content, indent=1, sort_keys=True, allow_nan=False) + "\n")


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write `rows` as CSV with the columns of `header`; None becomes an empty cell."""
    text = io.StringIO()
    writer = csv.DictWriter(text, header, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        UserError: the file is missing, unreadable or not JSON; the message names it.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); make it again") from error
    except ValueError as error:
        raise UserError(f"{path}: not valid JSON ({error}); remove it and make it again") from error


def sha256_of(path: Path) -> str:
    """Give the SHA-256 of a file's bytes, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_lines(digests: Mapping[str, str]) -> str:
    """Write digests by path as `sha256sum` does, a line each."""
    return "".join(f"{digest}  {path}\n" for path, digest in digests.items())


def read_sha256_lines(text: str) -> dict[str, str]:
    """Read what `sha256_lines` writes."""
    return {path: digest for digest, path in (line.split("  ", 1) for line in text.splitlines())}


def _umask() -> int:
    # The mask can only be read by setting it; tempfile ignores it and would leave files private.
    mask = os.umask(0)
    os.umask(mask)
    return mask
