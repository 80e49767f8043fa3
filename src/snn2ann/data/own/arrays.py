"""Images, or frames of an event camera, with their labels, in NumPy's files."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snn2ann.data.own.npy import StoredArray, stored_arrays
from snn2ann.data.own.pixels import prepared_type, resized, size_of
from snn2ann.data.own.scan import PARTS, Reader, Scan
from snn2ann.errors import UserError
from snn2ann.parameters.dataset import Arrays

# Before the word images or labels, or x and y, by part.
PREFIXES = {"train": ("", "train_"), "validation": ("val_", "validation_"), "test": ("test_",)}
SUFFIXES = {"train": "_train", "validation": "_val", "test": "_test"}
_IMAGES, _LABELS = ("images", "frames"), ("labels",)
_MOST_CLASSES = 10_000
_CHANNELS = (1, 2, 3)


@dataclass(frozen=True)
class _Part:
    """The arrays of a part."""

    name: str
    images: StoredArray
    labels: StoredArray


class ArrayReader(Reader):
    """Images and labels in arrays.

    Args:
        name: of the data set, for messages.
        data: where they are, and how they are read.
    """

    def __init__(self, name: str, data: Arrays) -> None:
        self.name, self.data = name, data
        self.path = Path(data.path).expanduser()
        self.frames = data.kind == "frames"
        self.size = None if data.resize is None else size_of(data.resize)

    @property
    def origin(self) -> str:
        """The URI of the file or folder."""
        return self.path.resolve().as_uri()

    def files(self) -> Sequence[Path]:
        """The file, or those of the folder."""
        place = f"datasets.{self.name}.path: {self.path}"
        zipped = {"npz": (".npz",), "npy": (".npy",)}.get(self.data.kind, (".npz", ".npy"))
        if self.path.is_dir() and ".npy" in zipped:
            found = sorted(self.path.glob("*.npy"))
            if not found:
                raise UserError(f"{place}: holds no .npy files; expected images.npy and labels.npy")
            return found
        if not self.path.is_file() or self.path.suffix.lower() not in zipped:
            raise UserError(f"{place}: no such {' or '.join(zipped)} file")
        labels = self.data.labels
        if self.path.suffix.lower() == ".npz":
            if labels is not None:
                raise UserError(f"datasets.{self.name}.labels: not with a .npz file, which holds them itself")
            return [self.path]
        if labels is None or not Path(labels).expanduser().is_file():
            raise UserError(
                f"datasets.{self.name}.labels: {labels}: no such file; expected the .npy file of the labels"
            )
        return [self.path, Path(labels).expanduser()]

    @cached_property
    def _arrays(self) -> dict[str, StoredArray]:
        files = self.files()
        if len(files) == 2 and files[0] == self.path:
            images, labels = (next(iter(stored_arrays(path).values())) for path in files)
            return {"images": images, "labels": labels}
        return {name: array for path in files for name, array in stored_arrays(path).items()}

    @cached_property
    def parts(self) -> list[_Part]:
        """The parts that there are, in their order."""
        found = []
        for part in PARTS:
            images, labels = self._named(part, _IMAGES, "x"), self._named(part, _LABELS, "y")
            if images is None and labels is None and part != "train":
                continue
            if images is None or labels is None:
                wanted = " and ".join(f"{PREFIXES[part][0]}{word}" for word in ("images", "labels"))
                there = ", ".join(self._arrays) or "nothing"
                raise UserError(f"{self.path}: {wanted} were expected among its arrays; it holds {there:.200}")
            found.append(_Part(part, images, labels))
        return found

    def _named(self, part: str, words: Sequence[str], letter: str) -> StoredArray | None:
        names = [f"{prefix}{word}" for prefix in PREFIXES[part] for word in words] + [f"{letter}{SUFFIXES[part]}"]
        names += [letter] if part == "train" else []
        return next((self._arrays[name] for name in names if name in self._arrays), None)

    @cached_property
    def _raw_labels(self) -> list[NDArray[Any]]:
        return [self._checked_labels(part) for part in self.parts]

    def _checked_labels(self, part: _Part) -> NDArray[Any]:
        count, array = part.images.shape[0], part.labels
        if array.shape not in ((count,), (count, 1)):
            raise UserError(f"{array.name}: shape {list(array.shape)}; expected one label for each of {count} images")
        values = array.all().reshape(-1)
        if values.dtype.kind == "f" and np.isfinite(values).all() and (values == np.rint(values)).all():
            values = values.astype(np.int64)
        if values.dtype.kind not in "iuUb":
            raise UserError(f"{array.name}: labels of {array.dtype}; expected whole numbers, or texts")
        return values

    @cached_property
    def _known(self) -> tuple[NDArray[np.int64], list[str]]:
        """Labels from 0 on, and their names."""
        values = np.concatenate(self._raw_labels)
        names, numbers = np.unique(values, return_inverse=True)
        if not 2 <= len(names) <= _MOST_CLASSES:
            raise UserError(f"datasets.{self.name}: {len(names)} classes; expected 2 to {_MOST_CLASSES:,}")
        given = self._arrays.get("class_names")
        if given is None:
            return numbers.astype(np.int64), [str(name) for name in names]
        titles = given.all()
        texts = titles.dtype.kind == "U" and titles.ndim == 1 and values.dtype.kind != "U"
        if not texts or names[0] < 0 or names[-1] >= len(titles):
            raise UserError(f"{given.name}: expected a text for each label from 0 on")
        return numbers.astype(np.int64), [str(titles[int(name)]) for name in names]

    def labels(self) -> NDArray[np.int64]:
        """Classes are numbered in the order of their labels."""
        return self._known[0]

    def scan(self) -> Scan:
        """Hash every array and look at its range."""
        self._check_shapes()
        content = hashlib.sha256()
        low, high = np.inf, -np.inf
        for part in self.parts:
            content.update(f"{part.name} {part.images.dtype.str} {part.images.shape}\n".encode())
            for block in part.images.blocks():
                content.update(np.ascontiguousarray(block).tobytes())
                if block.size:
                    # An order with values that are not numbers is none: they come out as nan.
                    low, high = np.minimum(low, block.min()), np.maximum(high, block.max())
        numbers, class_names = self._known
        content.update(numbers.tobytes() + "\0".join(class_names).encode())
        first = self.parts[0].images
        dtype, maximum = prepared_type(first.dtype, float(low), float(high), first.name)
        height, width = self.size or self._shape[-2:]
        return Scan(
            content=content.hexdigest(),
            shape=[self._shape[-3], height, width],
            frames=self._shape[0] if self.frames else None,
            dtype=dtype,
            maximum_value=maximum,
            class_names=class_names,
            parts={part: sum(each.images.shape[0] for each in self.parts if each.name == part) for part in PARTS},
            notes=[],
        )

    def _check_shapes(self) -> None:
        first = self.parts[0].images
        for part in self.parts:
            images = part.images
            if images.dtype != first.dtype or images.shape[1:] != first.shape[1:]:
                raise UserError(
                    f"{images.name}: {images.dtype} {list(images.shape)} beside {first.dtype} {list(first.shape)}; "
                    "expected one type and size in all parts"
                )
            if not images.shape[0] or images.dtype.kind not in "biuf":
                raise UserError(f"{images.name}: {images.dtype} {list(images.shape)}; expected images, in numbers")
        if any(not 1 <= side <= 4096 for side in self._shape):
            raise UserError(f"{first.name}: shape {list(first.shape)}; expected sides from 1 to 4,096")

    @cached_property
    def _shape(self) -> tuple[int, ...]:
        """Of a sample: (C, H, W) or (T, C, H, W)."""
        first = self.parts[0].images
        shape = first.shape[1:]
        if self.frames:
            if len(shape) != 4:
                raise UserError(f"{first.name}: shape {list(first.shape)}; expected frames [N, T, C, H, W]")
            return shape
        if len(shape) == 2:
            return (1, *shape)
        if len(shape) != 3:
            raise UserError(
                f"{first.name}: shape {list(first.shape)}; expected [N, H, W], [N, C, H, W] or [N, H, W, C]"
            )
        return (shape[2], *shape[:2]) if self._channels_last else shape

    @cached_property
    def _channels_last(self) -> bool:
        first = self.parts[0].images
        if len(first.shape) != 4 or self.frames:
            return False
        if self.data.layout is not None:
            return self.data.layout == "NHWC"
        before, after = first.shape[1] in _CHANNELS, first.shape[3] in _CHANNELS
        if before == after:
            raise UserError(
                f"{first.name}: shape {list(first.shape)} does not tell where the channels are; add `layout: NCHW` or "
                f"`layout: NHWC` to datasets.{self.name}"
            )
        return after

    def blocks(self, scan: Scan) -> Iterator[NDArray[Any]]:
        """The images in their parts' order."""
        for part in self.parts:
            for block in part.images.blocks():
                images = np.moveaxis(block, 3, 1) if self._channels_last else block
                images = images.reshape(len(images), *self._shape).astype(scan.dtype)
                yield np.stack([resized(image, self.size) for image in images]) if self.size else images
