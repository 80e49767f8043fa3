"""Fashion-MNIST: 60,000 + 10,000 grey images of 28 x 28 (Xiao, Rasul and Vollgraf 2017)."""

import os
import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from snn2ann.data.archives import read_gzip
from snn2ann.data.source import RawImages, Source
from snn2ann.errors import UserError

CLASS_NAMES = [
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
]
_SIZE = 28
_MOST_IMAGES = 60_000


def read_fashion_mnist(files: Mapping[str, Path]) -> RawImages:
    """Read the four idx files; see `Source.read`."""
    parts = []
    for part in ("train", "t10k"):
        images_path = files[f"{part}-images-idx3-ubyte.gz"]
        labels_path = files[f"{part}-labels-idx1-ubyte.gz"]
        images, labels = read_idx(images_path, 3), read_idx(labels_path, 1)
        if images.shape != (len(labels), _SIZE, _SIZE):
            raise UserError(
                f"{images_path}: {list(images.shape)} values, [{len(labels)}, {_SIZE}, {_SIZE}] "
                f"were expected with the labels of {labels_path.name}"
            )
        parts.append((images[:, None], labels.astype(np.int64)))
    all_labels = np.concatenate([labels for _, labels in parts])
    return RawImages(all_labels, len(parts[0][1]), CLASS_NAMES, [images for images, _ in parts])


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """Read a gzipped idx file of bytes (the format of LeCun's MNIST).

    Args:
        path: the file.
        dimensions: number of dimensions that it has to have.

    Returns:
        uint8, in the shape that the file's header says.

    Raises:
        UserError: not such a file, or shorter or longer than its header says.
    """
    header = 4 + 4 * dimensions
    content = read_gzip(path, header + _MOST_IMAGES * _SIZE ** (2 if dimensions == 3 else 0))
    if len(content) < header or content[:4] != bytes([0, 0, 8, dimensions]):
        raise UserError(f"{path}: not an idx file of bytes in {dimensions} dimension(s)")
    shape = struct.unpack(f">{dimensions}I", content[4:header])
    values = np.frombuffer(content, np.uint8, offset=header)
    expected = int(np.prod(shape, dtype=object))
    if len(values) != expected or not expected:
        raise UserError(f"{path}: {len(values)} values, its header says {list(shape)}")
    return values.reshape(shape)


def _installed() -> list[Path]:
    """Where Debian's package `dataset-fashion-mnist` and its like put the files."""
    folders = os.environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share"
    return [Path(folder, "datasets/fashion-mnist") for folder in folders.split(":") if folder]


FASHION_MNIST = Source(
    read=read_fashion_mnist,
    sizes={
        "train-images-idx3-ubyte.gz": 26_421_880,
        "train-labels-idx1-ubyte.gz": 29_515,
        "t10k-images-idx3-ubyte.gz": 4_422_102,
        "t10k-labels-idx1-ubyte.gz": 5_148,
    },
    mirrors=(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
    ),
    installed=_installed,
)
