"""Tiny-ImageNet-200: 100,000 + 10,000 labelled colour images of 64 x 64 (Stanford CS231n).

The archive's own `test` part has no labels; its validation part is the test set, as in the paper.
"""

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from snn2ann.data.archives import open_zip, read_member
from snn2ann.data.images import opened_image
from snn2ann.data.source import RawImages, Source
from snn2ann.errors import UserError

_ARCHIVE = "tiny-imagenet-200.zip"
_FOLDER = "tiny-imagenet-200"
_SIZE = 64
_BLOCK = 500
# The archive unpacks to about 240 MB.
_LARGEST_CONTENT = 512 * 2**20


def read_tiny_imagenet(files: Mapping[str, Path]) -> RawImages:
    """Read the tree of JPEG files; classes are numbered in the order of their WordNet numbers.

    Every image becomes RGB, the few grey ones too. See `Source.read` for arguments and errors.
    """
    path = files[_ARCHIVE]
    with open_zip(path, _LARGEST_CONTENT) as archive:
        classes = sorted(_lines(archive, path, "wnids.txt"))
        numbers = {wordnet: number for number, wordnet in enumerate(classes)}
        words = dict(line.split("\t", 1) for line in _lines(archive, path, "words.txt", "\t"))
        train = _training_images(archive, numbers)
        test = _labelled_images(archive, path, numbers)
    members = [name for name, _ in train + test]
    labels = np.array([label for _, label in train + test], np.int64)
    class_names = [words.get(wordnet, wordnet) for wordnet in classes]
    return RawImages(labels, len(train), class_names, _blocks(path, members))


def _lines(archive: zipfile.ZipFile, path: Path, name: str, separator: str = "") -> list[str]:
    """The lines of a text file of the archive, each of which has to hold the separator."""
    member = f"{_FOLDER}/{name}"
    try:
        lines = read_member(archive, path, member).decode().splitlines()
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: {member} is not text") from error
    lines = [line.strip() for line in lines if line.strip()]
    if not all(separator in line for line in lines):
        raise UserError(f"{path}: a line of {member} has no tabulator")
    return lines


def _training_images(archive: zipfile.ZipFile, numbers: Mapping[str, int]) -> list[tuple[str, int]]:
    """Member and label of each training image, sorted by class and name."""
    found = []
    for member in archive.namelist():
        parts = member.split("/")
        inside = parts[:2] == [_FOLDER, "train"] and parts[3:4] == ["images"]
        if inside and len(parts) == 5 and parts[4] and parts[2] in numbers:
            found.append((member, numbers[parts[2]]))
    return sorted(found, key=lambda image: (image[1], image[0]))


def _labelled_images(archive: zipfile.ZipFile, path: Path, numbers: Mapping[str, int]) -> list[tuple[str, int]]:
    """Member and label of each image of the archive's validation part, in the file's order."""
    found = []
    for line in _lines(archive, path, "val/val_annotations.txt", "\t"):
        name, wordnet = line.split("\t")[:2]
        if wordnet not in numbers:
            raise UserError(f"{path}: val_annotations.txt names an unknown class {wordnet!r}")
        found.append((f"{_FOLDER}/val/images/{name}", numbers[wordnet]))
    return found


def _blocks(path: Path, members: Sequence[str]) -> Iterator[NDArray[np.uint8]]:
    with open_zip(path, _LARGEST_CONTENT) as archive:
        for start in range(0, len(members), _BLOCK):
            block = [_image(archive, path, name) for name in members[start : start + _BLOCK]]
            yield np.stack(block)


def _image(archive: zipfile.ZipFile, path: Path, name: str) -> NDArray[np.uint8]:
    """One decoded image, uint8 [3, 64, 64]."""
    content = read_member(archive, path, name)
    with opened_image(content, ["JPEG"], f"{path}: {name}") as image:
        # Looked at before anything is decoded: a small file can claim a huge image.
        if image.size != (_SIZE, _SIZE):
            raise UserError(f"{path}: {name} is {image.size}, {_SIZE} x {_SIZE} was expected")
        pixels = np.asarray(image.convert("RGB"))
    return np.moveaxis(pixels, 2, 0)


TINY_IMAGENET = Source(
    read=read_tiny_imagenet,
    sizes={_ARCHIVE: 248_100_043},
    mirrors=("http://cs231n.stanford.edu/", "https://zenodo.org/records/10720917/files/"),
)
