"""NumPy's arrays in files, read a block at a time; what a header claims is held against what is there."""

import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from snn2ann.data.archives import open_zip
from snn2ann.errors import UserError

_BLOCK_BYTES = 2**24
# What a compressed file may unpack to; larger arrays are to be saved as they are.
_LARGEST_UNPACKED = 2**32
_LONGEST_HEADER = 2**16


@dataclass(frozen=True)
class StoredArray:
    """An array in a .npy file, or in a member of a .npz file.

    Attributes:
        path: of the file.
        member: of the .npz file, or "".
        shape: as its header says, and its length bears out.
        dtype: likewise; never of objects.
    """

    path: Path
    member: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"{self.path}: {self.member.removesuffix('.npy')}" if self.member else str(self.path)

    def blocks(self) -> Iterator[NDArray[Any]]:
        """The array in pieces along its first dimension."""
        item = self.dtype.itemsize * math.prod(self.shape[1:])
        # In Fortran's order an image is spread over the whole file.
        size = self.shape[0] if self.fortran else _BLOCK_BYTES // max(1, item)
        with _content(self.path, self.member) as (stream, _):
            _header(stream, self.name)
            for start in range(0, self.shape[0], max(1, size)):
                count = min(max(1, size), self.shape[0] - start)
                content = _exactly(stream, count * item, self.name)
                values = np.frombuffer(content, self.dtype)
                order = "F" if self.fortran else "C"
                yield values.reshape((count, *self.shape[1:]), order=order)  # type: ignore[call-overload]

    def all(self) -> NDArray[Any]:
        """The whole array."""
        found = list(self.blocks())
        return np.concatenate(found) if found else np.empty(self.shape, self.dtype)


def stored_arrays(path: Path) -> dict[str, StoredArray]:
    """The arrays of a .npz file by their names, or the one of a .npy file by that of the file.

    Raises:
        UserError: it is neither, is damaged, or holds objects.
    """
    if path.suffix.lower() != ".npz":
        return {path.stem: _stored(path, "")}
    with open_zip(path, max(_LARGEST_UNPACKED, 2 * path.stat().st_size)) as archive:
        members = [name for name in archive.namelist() if name.endswith(".npy")]
    return {name.removesuffix(".npy"): _stored(path, name) for name in members}


def _stored(path: Path, member: str) -> StoredArray:
    name = f"{path}: {member.removesuffix('.npy')}" if member else str(path)
    with _content(path, member) as (stream, size):
        shape, fortran, dtype, length = _header(stream, name)
    if dtype.hasobject or dtype.kind not in "biufU" or not dtype.itemsize:
        raise UserError(f"{name}: an array of {dtype} is not allowed; expected numbers")
    expected = dtype.itemsize * math.prod(shape)
    if size - length != expected:
        raise UserError(f"{name}: its header says {expected:,} bytes, {size - length:,} are there; save it again")
    if not shape:
        raise UserError(f"{name}: a single number; expected an array")
    return StoredArray(path, member, shape, dtype, fortran)


@contextmanager
def _content(path: Path, member: str) -> Iterator[tuple[IO[bytes], int]]:
    """The content of a file or member, and how many bytes it has."""
    try:
        if not member:
            with path.open("rb") as file:
                yield file, path.stat().st_size
            return
        with zipfile.ZipFile(path) as archive, archive.open(member) as stream:
            yield stream, archive.getinfo(member).file_size
    except UserError:
        raise
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from error
    except Exception as error:  # a damaged archive can raise nearly anything
        raise UserError(f"{path}: damaged ({type(error).__name__}: {error}); save it again") from error


def _header(stream: IO[bytes], name: str) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """Shape, order and type that a header says, and how long it is."""
    try:
        version = npy_format.read_magic(stream)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"version {version} of the format")
        read = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
        counting = _Counting(stream)
        shape, fortran, dtype = read(counting)  # type: ignore[arg-type]
    except UserError:
        raise
    except Exception as error:  # what a header holds is evaluated as Python's literals
        cause = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{name}: no array of NumPy ({cause[:100]})") from error
    if not all(isinstance(side, int) and 0 <= side < 2**40 for side in shape):
        raise UserError(f"{name}: no array of NumPy (shape {str(shape)[:60]})")
    return shape, fortran, dtype, npy_format.MAGIC_LEN + counting.count


class _Counting:
    """A stream that knows how much was read."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream, self.count = stream, 0

    def read(self, size: int) -> bytes:
        """Read up to `size` bytes, at most those of a header."""
        block = self.stream.read(min(size, _LONGEST_HEADER))
        self.count += len(block)
        if self.count > _LONGEST_HEADER:
            raise ValueError("its header is too long")
        return block


def _exactly(stream: IO[bytes], count: int, name: str) -> bytes:
    content = stream.read(count)
    if len(content) != count:
        raise UserError(f"{name}: truncated; save it again")
    return content
