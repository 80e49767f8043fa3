"""What data of one's own turned out to be, and remembering it while they stay the same."""

import hashlib
import json
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snn2ann.data.download_progress import say
from snn2ann.files import write_json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PARTS = ("train", "validation", "test")
# A file that was written just now may be written again within the clock's tick.
_SETTLED_SECONDS = 2.0
# So many are read in seconds.
_MANY_FILES = 5000


@dataclass(frozen=True)
class Scan:
    """Data of one's own.

    Attributes:
        content: SHA-256 of all that the images and labels are, in hexadecimal; paths are not in it.
        shape: channels, height and width.
        frames: images of a sample, one a time step; None where a sample is one image.
        dtype: of the prepared pixels: uint8, uint16 or float32.
        maximum_value: the pixel value that stands for 1.
        class_names: in the order of their numbers.
        parts: how many samples stand in the train, validation and test part; 0 of those that there are not.
        notes: what the user should know of them, a line each.
    """

    content: str
    shape: list[int]
    frames: int | None
    dtype: str
    maximum_value: int
    class_names: list[str]
    parts: dict[str, int]
    notes: list[str]


class Reader(ABC):
    """Reads one data set of one's own."""

    @abstractmethod
    def files(self) -> Sequence[Path]:
        """Every file that it is made of.

        Raises:
            UserError: the place is not there, or is laid out otherwise.
        """

    @abstractmethod
    def scan(self) -> Scan:
        """Read it all once.

        Raises:
            UserError: a file cannot be read, or is not what it should be.
        """

    @abstractmethod
    def labels(self) -> "NDArray[np.int64]":
        """The class of each sample, part after part: int64 [N]."""

    @abstractmethod
    def blocks(self, scan: Scan) -> "Iterator[NDArray[Any]]":
        """The samples in the order of the labels, [n, C, H, W] or [n, T, C, H, W] a block, in the scan's type."""

    @property
    @abstractmethod
    def origin(self) -> str:
        """Where it comes from, for the manifest."""


def remembered(reader: Reader, key: list[Any]) -> Scan:
    """Scan, or what an earlier scan of the same files has found.

    Args:
        reader: of the data.
        key: what else a scan depends on.
    """
    files = reader.files()
    stats = [(str(path), found.st_size, found.st_mtime_ns) for path in files for found in [path.stat()]]
    text = json.dumps([key, stats], sort_keys=True, default=str)
    path = _cache() / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.json"
    with suppress(OSError, ValueError, TypeError):
        return Scan(**json.loads(path.read_text(encoding="utf-8")))
    if len(files) > _MANY_FILES:
        say(f"{reader.origin}: {len(files):,} files are read, to know what they hold")
    scan = reader.scan()
    newest = max((each[2] for each in stats), default=0)
    if time.time() - newest / 1e9 > _SETTLED_SECONDS:
        with suppress(OSError):
            write_json(path, asdict(scan))
    return scan


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()) / "snn2ann" / "scans"
