"""Digits: 1,797 handwritten digits, 8 x 8, pixel values 0 to 16, from scikit-learn's wheel."""

import io
from collections.abc import Mapping
from importlib.resources import files as package_files
from pathlib import Path

import numpy as np

from snn2ann.data.archives import read_gzip
from snn2ann.data.source import RawImages, Source
from snn2ann.errors import UserError

_FILE = "digits.csv.gz"
_LARGEST_TEXT = 2**20


def read_digits(files: Mapping[str, Path]) -> RawImages:
    """Read the table of 64 pixels and a label a line.

    Raises:
        UserError: the file is not such a table.
    """
    path = files[_FILE]
    text = read_gzip(path, _LARGEST_TEXT)
    try:
        table = np.loadtxt(io.BytesIO(text), delimiter=",", dtype=np.int64, ndmin=2)
    except (ValueError, OverflowError) as error:
        raise UserError(f"{path}: not a table of integers ({error}); fetch it again") from error
    pixels, labels = table[:, :-1], table[:, -1]
    if pixels.shape[1] != 64 or not len(pixels) or pixels.min() < 0 or pixels.max() > 16:
        raise UserError(f"{path}: 64 pixel values from 0 to 16 and a label a line were expected")
    images = pixels.astype(np.uint8).reshape(-1, 1, 8, 8)
    return RawImages(labels, len(labels), [str(digit) for digit in range(10)], [images])


def _installed() -> list[Path]:
    """The folder of data files in scikit-learn's wheel, if scikit-learn is installed."""
    try:
        return [Path(str(package_files("sklearn.datasets.data")))]
    except ModuleNotFoundError:
        return []


DIGITS = Source(
    read=read_digits,
    sizes={_FILE: 57523},
    installed=_installed,
    maximum_value=16,
)
