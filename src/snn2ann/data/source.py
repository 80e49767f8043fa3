"""What a data set's own module offers to the three steps fetch, verify and prepare."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snn2ann.data import DatasetEntry


@dataclass(frozen=True)
class RawImages:
    """A data set as it comes out of its files, in the official order.

    Attributes:
        labels: int64 [N], the class of each image, training part first, test part last.
        train: number of images of the official training part; N where there is no other part.
        class_names: one name a class.
        blocks: the images, [n, C, H, W] a block, or [n, T, C, H, W] of frames, N in all, in the source's type;
            consumed once, so that a large data set never lies in memory.
        validation: number of images of the official validation part.
    """

    labels: NDArray[np.int64]
    train: int
    class_names: list[str]
    blocks: Iterable[NDArray[Any]]
    validation: int = 0


@dataclass(frozen=True)
class Source:
    """Where a data set's files are found and how they are read.

    Attributes:
        read: takes the verified path of each file; raises UserError, naming the file and the
            cause, where one does not hold what it should.
        sizes: the known size of each file in bytes; more is never downloaded.
        mirrors: URLs of folders, each ending in `/`, tried in turn.
        installed: gives folders of this system where a package may have put the files.
        maximum_value: the pixel value that stands for full intensity.
        dtype: of the images.
    """

    read: Callable[[Mapping[str, Path]], RawImages]
    sizes: Mapping[str, int]
    mirrors: tuple[str, ...] = ()
    installed: Callable[[], list[Path]] = field(default=list)
    maximum_value: int = 255
    dtype: str = "uint8"


def load_source(entry: DatasetEntry) -> Source:
    """Import the source that `entry` names."""
    module, _, name = entry.source.partition(":")
    source = getattr(import_module(module), name)
    assert isinstance(source, Source)
    return source
