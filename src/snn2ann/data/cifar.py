"""CIFAR-10 and CIFAR-100: 50,000 + 10,000 colour images of 32 x 32 (Krizhevsky 2009)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snn2ann.data.archives import read_tar
from snn2ann.data.source import RawImages, Source
from snn2ann.data.unpickling import PickleError, read_pickle
from snn2ann.errors import UserError

# The archives unpack to 186 MB.
_LARGEST_CONTENT = 256 * 2**20
_MOST_CLASSES = 100


@dataclass(frozen=True)
class _Layout:
    """How an archive of the CIFAR family is laid out."""

    archive: str
    folder: str
    train: Sequence[str]
    test: str
    meta: str
    labels: str
    class_names: str

    def read(self, files: Mapping[str, Path]) -> RawImages:
        """Read the archive's batches; see `Source.read`."""
        path = files[self.archive]
        names = {part: f"{self.folder}/{part}" for part in (*self.train, self.test, self.meta)}
        contents = read_tar(path, names.values(), _LARGEST_CONTENT)
        batches = {part: _unpickle(path, name, contents.pop(name)) for part, name in names.items()}
        class_names = batches[self.meta].get(self.class_names)
        if not isinstance(class_names, list) or not all(isinstance(n, str) for n in class_names):
            raise UserError(f"{path}: {names[self.meta]} holds no list `{self.class_names}`")
        parts = [_images_and_labels(path, names[part], batches[part], self.labels) for part in (*self.train, self.test)]
        labels = np.concatenate([labels for _, labels in parts])
        train = len(labels) - len(parts[-1][1])
        return RawImages(labels, train, class_names, [images for images, _ in parts])


def _unpickle(path: Path, name: str, content: bytes) -> dict[str, Any]:
    try:
        return read_pickle(content)
    except PickleError as error:
        raise UserError(f"{path}: refused, {name} {error}; get it from elsewhere") from error


def _images_and_labels(
    path: Path, name: str, batch: Mapping[str, Any], key: str
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images, uint8 [n, 3, 32, 32], and labels, int64 [n], of one batch."""
    data, labels = batch.get("data"), batch.get(key)
    if (
        not isinstance(data, np.ndarray)
        or data.dtype != np.uint8
        or not isinstance(labels, list)
        or not all(type(label) is int and 0 <= label < _MOST_CLASSES for label in labels)
        or data.shape != (len(labels), 3072)
    ):
        raise UserError(f"{path}: {name} does not hold uint8 [n, 3072] in `data` and n classes in `{key}`")
    return data.reshape(-1, 3, 32, 32), np.asarray(labels, np.int64)


_CIFAR10 = _Layout(
    archive="cifar-10-python.tar.gz",
    folder="cifar-10-batches-py",
    train=[f"data_batch_{number}" for number in range(1, 6)],
    test="test_batch",
    meta="batches.meta",
    labels="labels",
    class_names="label_names",
)
_CIFAR100 = _Layout(
    archive="cifar-100-python.tar.gz",
    folder="cifar-100-python",
    train=["train"],
    test="test",
    meta="meta",
    labels="fine_labels",
    class_names="fine_label_names",
)
_MIRRORS = ("https://www.cs.toronto.edu/~kriz/", "https://dataset.bj.bcebos.com/cifar/")

CIFAR10 = Source(_CIFAR10.read, {_CIFAR10.archive: 170_498_071}, _MIRRORS)
CIFAR100 = Source(_CIFAR100.read, {_CIFAR100.archive: 169_001_437}, _MIRRORS)
