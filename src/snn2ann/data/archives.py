"""Archives read in memory and within bounds: nothing is written under a name of theirs.

An archive that names anything outside its folder, holds links or devices, or is far larger than
the known one is refused as a whole, whether or not the member would have been read.
"""

import gzip
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, cast

from snn2ann.errors import UserError

_DAMAGED = (
    gzip.BadGzipFile,
    zlib.error,
    EOFError,
    tarfile.TarError,
    zipfile.BadZipFile,
    # zipfile's words for an encrypted member and for an unknown compression.
    RuntimeError,
    NotImplementedError,
)


def read_gzip(path: Path, limit: int) -> bytes:
    """Decompress a gzip file of at most `limit` bytes of content.

    Raises:
        UserError: not gzip, damaged, truncated, or more content than `limit`.
    """
    with _named_errors(path), gzip.open(path) as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise _too_large(path, limit)
    return content


def read_tar(path: Path, wanted: Iterable[str], limit: int) -> dict[str, bytes]:
    """Read members of a gzipped tar archive that unpacks to at most `limit` bytes.

    Args:
        path: the archive.
        wanted: names of the members.
        limit: bytes of everything that comes out of the archive, headers included.

    Raises:
        UserError: unsafe, damaged or too large archive, or a member that is not there.
    """
    wanted = set(wanted)
    contents: dict[str, bytes] = {}
    with _named_errors(path), gzip.open(path) as stream:
        bounded = cast(IO[bytes], _Bounded(cast(IO[bytes], stream), path, limit))
        with tarfile.open(fileobj=bounded, mode="r|") as archive:
            for member in archive:
                _check_tar_member(path, member, limit)
                if member.name in wanted and member.isreg():
                    file = archive.extractfile(member)
                    assert file is not None
                    contents[member.name] = file.read()
        # The checksum stands at the end of the stream, which the end of the archive is not.
        while bounded.read(2**16):
            pass
    missing = wanted - contents.keys()
    if missing:
        raise UserError(f"{path}: {', '.join(sorted(missing))} not in the archive")
    return contents


@contextmanager
def open_zip(path: Path, limit: int) -> Iterator[zipfile.ZipFile]:
    """Open a zip archive that unpacks to at most `limit` bytes.

    The sizes that the archive declares bound what `read_member` reads, so they are real.

    Raises:
        UserError: unsafe, damaged or too large archive.
    """
    with _named_errors(path), zipfile.ZipFile(path) as archive:
        total = 0
        for member in archive.infolist():
            _check_name(path, member.filename)
            mode = member.external_attr >> 16
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _refused(path, member.filename, "a link or a device")
            total += member.file_size
            if total > limit:
                raise _too_large(path, limit)
        yield archive


def read_member(archive: zipfile.ZipFile, path: Path, name: str) -> bytes:
    """Read one member of an archive from `open_zip`.

    Raises:
        UserError: it is not there or damaged.
    """
    try:
        with _named_errors(path):
            return archive.read(name)
    except KeyError as error:
        raise UserError(f"{path}: {name} not in the archive") from error


class _Bounded:
    """A stream that gives at most `limit` bytes, whatever an archive's headers ask for."""

    def __init__(self, stream: IO[bytes], path: Path, limit: int) -> None:
        self.stream, self.path, self.limit = stream, path, limit
        self.left = limit

    def read(self, size: int) -> bytes:
        block = self.stream.read(min(size, self.left + 1))
        self.left -= len(block)
        if self.left < 0:
            raise _too_large(self.path, self.limit)
        return block


def _check_tar_member(path: Path, member: tarfile.TarInfo, limit: int) -> None:
    _check_name(path, member.name)
    if member.issym() or member.islnk():
        raise _refused(path, member.name, "a link")
    if not (member.isreg() or member.isdir()):
        raise _refused(path, member.name, "a device")
    if member.issparse():
        raise _refused(path, member.name, "a sparse file")
    if member.size > limit:
        raise _too_large(path, limit)


def _check_name(path: Path, name: str) -> None:
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts or "\\" in name or ":" in name:
        raise _refused(path, name, "a path that leads out of the folder")


@contextmanager
def _named_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except _DAMAGED as error:
        raise UserError(
            f"{path}: damaged or truncated, or not the expected type of archive "
            f"({type(error).__name__}: {error}); remove it and fetch it again"
        ) from error


def _refused(path: Path, name: str, what: str) -> UserError:
    return UserError(f"{path}: refused, its member {name!r} is {what}; get it from elsewhere")


def _too_large(path: Path, limit: int) -> UserError:
    return UserError(
        f"{path}: refused, it unpacks to more than the {limit:,} bytes that were expected at most; "
        "get it from elsewhere"
    )
