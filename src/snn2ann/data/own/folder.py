"""Class folders of images, laid out as torchvision's `ImageFolder` has them, in one part or in several."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from snn2ann.data.images import opened_image
from snn2ann.data.own.pixels import MAXIMUM, image_array, image_kind, resized, size_of
from snn2ann.data.own.scan import PARTS, Reader, Scan
from snn2ann.errors import UserError
from snn2ann.files import sha256_of
from snn2ann.parameters.dataset import Folder

# Torchvision's endings.
ENDINGS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
FORMATS = ("PNG", "JPEG", "BMP", "PPM", "TIFF", "WEBP")
# Names that a part's folder may have.
PART_NAMES = {"train": ("train", "training"), "validation": ("val", "valid", "validation"), "test": ("test", "testing")}
_BLOCK_BYTES = 2**24


class _Picture(NamedTuple):
    """A file, its part and its class."""

    path: Path
    part: str
    name: str


def reader(name: str, data: Folder) -> Reader:
    """Read the folder that `path` names."""
    return FolderReader(name, Path(data.path).expanduser(), data.resize)


class FolderReader(Reader):
    """Class folders of images.

    Args:
        name: of the data set, for messages.
        path: holds a folder a class; or a folder a part, `train` and perhaps `val` and `test`, with a folder a class each.
        resize: a side or (height, width), or None for images that all have one size.
    """

    def __init__(self, name: str, path: Path, resize: int | Sequence[int] | None) -> None:
        self.name, self.path = name, path
        self.size = None if resize is None else size_of(resize)

    @property
    def origin(self) -> str:
        """The folder's URI."""
        return self.path.resolve().as_uri()

    def files(self) -> Sequence[Path]:
        """Every image file."""
        return [picture.path for picture in self.pictures]

    @cached_property
    def class_names(self) -> list[str]:
        """The names of the class folders of all parts."""
        return sorted({picture.name for picture in self.pictures})

    @cached_property
    def pictures(self) -> list[_Picture]:
        """The images, part after part, in each by class and name."""
        place = f"datasets.{self.name}.path: {self.path}"
        if not self.path.is_dir():
            raise UserError(f"{place}: no such folder; expected a folder with a folder for each class")
        folders = _folders(self.path)
        parts = {part: [each for each in folders if each.name.lower() in names] for part, names in PART_NAMES.items()}
        known = [each for found in parts.values() for each in found]
        split = len(known) == len(folders) and parts["train"] and all(_folders(each) for each in known)
        if not split:
            parts = {"train": [self.path]}
        found: list[_Picture] = []
        for part in PARTS:
            if len(parts.get(part, [])) > 1:
                raise UserError(f"{place}: {' and '.join(each.name for each in parts[part])} are both the {part} part")
            for folder in parts.get(part, []):
                found += _pictures(folder, part, place)
        if len({picture.name for picture in found}) < 2:
            raise UserError(
                f"{place}: fewer than two class folders with images; expected such as cats/1.png and dogs/1.png in it "
                f"(endings: {' '.join(ENDINGS)})"
            )
        return found

    def labels(self) -> NDArray[np.int64]:
        """Classes are numbered in the order of their names."""
        numbers = {name: number for number, name in enumerate(self.class_names)}
        return np.array([numbers[picture.name] for picture in self.pictures], np.int64)

    def scan(self) -> Scan:
        """Look at the header of every image and hash its bytes."""
        content = hashlib.sha256()
        first: dict[Any, Path] = {}
        sizes: dict[tuple[int, int], Path] = {}
        for path, part, name in self.pictures:
            with opened_image(path, FORMATS, str(path)) as image:
                first.setdefault(image_kind(image, str(path)), path)
                sizes.setdefault((image.height, image.width), path)
            content.update(f"{part}\0{name}\0{sha256_of(path)}\n".encode(errors="surrogateescape"))
        types = {dtype: path for (_, dtype), path in first.items()}
        if len(types) > 1:
            shown = ", ".join(f"{path} is {dtype}" for dtype, path in types.items())
            raise UserError(f"datasets.{self.name}: images of several types ({shown}); save them alike")
        colour = any(kind[0] for kind in first)
        if self.size is None and len(sizes) > 1:
            shown = ", ".join(f"{path} is {height}×{width}" for (height, width), path in list(sizes.items())[:2])
            raise UserError(
                f"datasets.{self.name}: images of {len(sizes)} sizes ({shown}, height×width); crop them, or have them "
                f"stretched by `resize: [{', '.join(map(str, next(iter(sizes))))}]`"
            )
        height, width = self.size or next(iter(sizes))
        (dtype,) = types
        if colour and dtype == "uint16":
            # Earlier versions took the same bytes for images of 8 bits.
            content.update(b"16 bits of colour\n")
        notes = ["grey images among coloured ones become RGB"] if len(first) > 1 else []
        return Scan(
            content=content.hexdigest(),
            shape=[3 if colour else 1, height, width],
            frames=None,
            dtype=dtype,
            maximum_value=MAXIMUM[dtype],
            class_names=self.class_names,
            parts={part: sum(picture.part == part for picture in self.pictures) for part in PARTS},
            notes=notes,
        )

    def blocks(self, scan: Scan) -> Iterator[NDArray[Any]]:
        """Decode the images."""
        channels, height, width = scan.shape
        size = max(1, _BLOCK_BYTES // (channels * height * width * np.dtype(scan.dtype).itemsize))
        for start in range(0, len(self.pictures), size):
            paths = [picture.path for picture in self.pictures[start : start + size]]
            yield np.stack([self._image(path, scan) for path in paths])

    def _image(self, path: Path, scan: Scan) -> NDArray[Any]:
        with opened_image(path, FORMATS, str(path)) as image:
            pixels = image_array(image, scan.shape[0] == 3, scan.dtype, str(path))
        pixels = resized(pixels, self.size) if self.size else pixels
        if list(pixels.shape) != scan.shape:
            raise UserError(f"{path}: changed since the study was resolved; start again")
        return pixels


def _folders(path: Path) -> list[Path]:
    return sorted(each for each in path.iterdir() if each.is_dir() and not each.name.startswith("."))


def _pictures(folder: Path, part: str, place: str) -> list[_Picture]:
    found = []
    for each in _folders(folder):
        # As torchvision does, with folders in a class folder; a link among these may lead round in a circle.
        inside = sorted(
            Path(root, file)
            for root, _, files in os.walk(each)
            for file in files
            if not file.startswith(".") and file.lower().endswith(ENDINGS)
        )
        for path in inside:
            if not path.is_file():
                raise UserError(f"{place}: {path} is no file, or a link to none; remove it")
        if not each.name.isprintable() or any("\ud800" <= letter <= "\udfff" for letter in each.name):
            raise UserError(f"{place}: class folder {each.name!a}: its name cannot be shown; give it another")
        if not inside:
            raise UserError(f"{place}: class folder {each} holds no images; fill or remove it ({' '.join(ENDINGS)})")
        found += [_Picture(path, part, each.name) for path in inside]
    return found
