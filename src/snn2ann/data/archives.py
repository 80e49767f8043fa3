"""Archives read in memory and within bounds: nothing is written under a name of theirs.

An archive that names anything outside its folder, holds links or devices, or is far larger than
the known one is refused as a whole, whether or not the member would have been read.
"""

import gzip
import stat
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path, PurePosixPath

from snn2ann.errors import UserError

_BLOCK = 512
# A tar archive's records about the next member; those of a known archive are a line or two.
_LONGEST_RECORDS = 2**16
_RECORDS = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)
# The known archives hold nine members, and 120,609; their lists are in memory.
_MOST_TAR_MEMBERS = 10_000
_MOST_ZIP_MEMBERS = 1_000_000


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
        path: the archive; it may hold files and folders, nothing else.
        wanted: names of the members.
        limit: bytes of everything that comes out of the archive, headers included.

    Raises:
        UserError: unsafe, damaged or too large archive, or a member that is not there.
    """
    wanted = set(wanted)
    contents: dict[str, bytes] = {}
    with _named_errors(path), gzip.open(path) as stream:
        bounded = _Bounded(stream, path, limit)
        for name, size in _tar_members(path, bounded, limit):
            content = bounded.exactly(size)
            if name in wanted:
                contents[name] = content
            bounded.exactly(-size % _BLOCK)
        # The checksum stands at the end of the stream, which the end of the archive is not.
        while bounded.read(2**16):
            pass
    missing = wanted - contents.keys()
    if missing:
        raise UserError(f"{path}: {', '.join(sorted(missing))} not in the archive")
    return contents


def _tar_members(path: Path, stream: "_Bounded", limit: int) -> Iterator[tuple[str, int]]:
    """Name and size of each file; its content is the caller's to read before the next one.

    `tarfile` itself follows sparse maps and long chains of headers, without bounds; here it only reads one block.
    """
    told: dict[str, str] = {}
    for _ in range(_MOST_TAR_MEMBERS):
        header = stream.exactly(_BLOCK)
        if not any(header):
            return
        member = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
        if member.size > limit:
            raise _too_large(path, limit)
        if member.type in (*_RECORDS, tarfile.GNUTYPE_LONGNAME):
            if not 0 <= member.size <= _LONGEST_RECORDS:
                raise _refused(path, member.name, "a header of more than 64 KiB")
            text = stream.exactly(member.size + -member.size % _BLOCK)[: member.size]
            told |= {"path": text.rstrip(b"\0").decode()} if member.type == tarfile.GNUTYPE_LONGNAME else _records(text)
            continue
        name, size = told.get("path", member.name), int(told.get("size", member.size))
        if any(key.startswith("GNU.sparse") for key in told) or member.type == tarfile.GNUTYPE_SPARSE:
            raise _refused(path, name, "a sparse file")
        _check_tar_member(path, name, member.type, size, limit)
        told = {}
        if member.type in tarfile.REGULAR_TYPES:
            yield name, size
    raise UserError(f"{path}: refused, it has more than {_MOST_TAR_MEMBERS:,} members; get it from elsewhere")


def _records(text: bytes) -> dict[str, str]:
    """The records `length key=value` of an extended header, a line each; the length counts itself."""
    found, place = {}, 0
    while place < len(text):
        length = int(text[place : text.index(b" ", place)])
        key, equals, value = text[place : place + length].partition(b" ")[2].removesuffix(b"\n").partition(b"=")
        if not (key and equals):
            raise tarfile.HeaderError("a record that is no key=value")
        place += length
        found[key.decode()] = value.decode(errors="surrogateescape")
    return found


def _check_tar_member(path: Path, name: str, kind: bytes, size: int, limit: int) -> None:
    _check_name(path, name)
    if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
        raise _refused(path, name, "a link")
    if kind not in (*tarfile.REGULAR_TYPES, tarfile.DIRTYPE):
        raise _refused(path, name, "a device")
    if size < 0 or (size and kind == tarfile.DIRTYPE):
        raise _refused(path, name, f"of {size} bytes")
    if size > limit:
        raise _too_large(path, limit)


@contextmanager
def open_zip(path: Path, limit: int) -> Iterator[zipfile.ZipFile]:
    """Open a zip archive that unpacks to at most `limit` bytes.

    The sizes that the archive declares bound what `read_member` reads, so they are real.

    Raises:
        UserError: unsafe, damaged or too large archive.
    """
    with _named_errors(path):
        archive = zipfile.ZipFile(path)
    with archive:
        members = archive.infolist()
        if len(members) > _MOST_ZIP_MEMBERS:
            raise UserError(f"{path}: refused, it has more than {_MOST_ZIP_MEMBERS:,} members; get it from elsewhere")
        total = 0
        for member in members:
            _check_name(path, member.filename)
            mode = member.external_attr >> 16
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _refused(path, member.filename, "a link or a device")
            # Others ask for any amount of memory in a few bytes.
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise _refused(path, member.filename, "compressed by other than deflate")
            total += member.file_size
            if total > limit:
                raise _too_large(path, limit)
        yield archive


def read_member(archive: zipfile.ZipFile, path: Path, name: str) -> bytes:
    """Read one member of an archive from `open_zip`.

    Raises:
        UserError: it is not there or damaged.
    """
    if name not in archive.NameToInfo:
        raise UserError(f"{path}: {name} not in the archive")
    with _named_errors(path):
        return archive.read(name)


class _Bounded:
    """A stream that gives at most `limit` bytes, whatever an archive's headers ask for."""

    def __init__(self, stream: gzip.GzipFile | BytesIO, path: Path, limit: int) -> None:
        self.stream, self.path, self.limit = stream, path, limit
        self.left = limit

    def read(self, size: int) -> bytes:
        """Read up to `size` bytes."""
        block = self.stream.read(min(size, self.left + 1))
        self.left -= len(block)
        if self.left < 0:
            raise _too_large(self.path, self.limit)
        return block

    def exactly(self, size: int) -> bytes:
        """Read `size` bytes, all of which have to be there."""
        block = self.read(size)
        if len(block) < size:
            raise EOFError("it ends before its content")
        return block


def _check_name(path: Path, name: str) -> None:
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts or "\\" in name or ":" in name:
        raise _refused(path, name, "a path that leads out of the folder")


@contextmanager
def _named_errors(path: Path) -> Iterator[None]:
    """Say of which file it is that something is wrong: what reads a damaged archive can raise nearly anything."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise UserError(f"{path}: cannot be read ({error.strerror}); mend that and start again") from error
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
