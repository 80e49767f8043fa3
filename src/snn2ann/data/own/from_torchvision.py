"""Torchvision's data sets that have a download: written once as arrays, and read as such from then on."""

import hashlib
import inspect
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from snn2ann.data.download_progress import Meter, say
from snn2ann.data.own import own_keys
from snn2ann.data.own.arrays import PREFIXES, ArrayReader
from snn2ann.data.own.pixels import image_array, image_kind, resized, size_of
from snn2ann.data.own.scan import Reader
from snn2ann.errors import UserError
from snn2ann.parameters.dataset import FromTorchvision, Npy
from snn2ann.parameters.words import near

# Where the workflow keeps downloads.
RAW = Path("data/raw")


def reader(name: str, data: FromTorchvision) -> Reader:
    """Read the arrays that were made of a torchvision data set; they are made here if they are not there yet."""
    made = {key: value for key, value in own_keys(data).items() if key != "kind"}
    digest = hashlib.sha256(json.dumps(made, sort_keys=True).encode()).hexdigest()[:8]
    folder = RAW / f"{name}-{digest}"
    if not folder.is_dir():
        _write(name, data, folder)
    return ArrayReader(name, Npy.model_validate({"kind": "npy", "path": str(folder), "layout": "NCHW"}))


def _write(name: str, data: FromTorchvision, folder: Path) -> None:
    """Download, decode and write all parts into a folder, which appears whole."""
    maker = _class(name, data.class_)
    arguments = dict(data.arguments or {})
    say(f"{name}: torchvision.datasets.{data.class_} is fetched, which tells its size")
    root = RAW / name
    root.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=RAW))
    try:
        kinds = None
        for part, given in _parts(maker, arguments):
            try:
                # Standard output is a command's own.
                with redirect_stdout(sys.stderr):
                    dataset = maker(root=str(root), download=True, **given)
            except Exception as error:
                raise UserError(
                    f"datasets.{name}.class: torchvision.datasets.{data.class_} cannot be made "
                    f"({type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''})"
                ) from error
            kinds = _write_part(name, dataset, PREFIXES[part][0], aside, data, kinds)
            _write_names(dataset, aside)
        aside.rename(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _class(name: str, title: str) -> Any:
    import torchvision.datasets

    known = [
        each
        for each in torchvision.datasets.__all__
        if inspect.isclass(found := getattr(torchvision.datasets, each))
        and "download" in inspect.signature(found).parameters
    ]
    if title not in known:
        hint = near(title, known)
        expected = f"one of {', '.join(known)}{hint and '; ' + hint}"
        raise UserError(f"datasets.{name}.class: {title!r} is not allowed; expected {expected}")
    return getattr(torchvision.datasets, title)


def _parts(maker: Any, arguments: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The parts that a class has, by what it is to be given for them."""
    takes = inspect.signature(maker).parameters
    if "train" in takes and "train" not in arguments:
        yield "train", {**arguments, "train": True}
        yield "test", {**arguments, "train": False}
    elif "split" in takes and takes["split"].default == "train" and "split" not in arguments:
        yield "train", {**arguments, "split": "train"}
        yield "test", {**arguments, "split": "test"}
    else:
        yield "train", arguments


def _write_part(
    name: str, dataset: Any, prefix: str, folder: Path, data: FromTorchvision, kinds: tuple[bool, str] | None
) -> tuple[bool, str]:
    """Write images and labels of a part; its images have to be of the kind of those before."""
    size = None if data.resize is None else size_of(data.resize)
    labels, shape = [], None
    with (folder / f"{prefix}images.npy").open("wb") as file, Meter(f"{name}: images", len(dataset)) as meter:
        for number in range(len(dataset)):
            try:
                image, label = dataset[number]
            except Exception as error:
                raise UserError(
                    f"datasets.{name}.class: {data.class_}[{number}]: {type(error).__name__}: {error}"
                ) from error
            if not isinstance(image, Image.Image) or not np.isscalar(label):
                raise UserError(f"datasets.{name}.class: {data.class_} is not of images with a class each")
            kinds = kinds or image_kind(image, name)
            pixels = _pixels(image, kinds, size, name)
            if shape is None:
                shape = pixels.shape
                descr = np.lib.format.dtype_to_descr(pixels.dtype)
                header = {"descr": descr, "fortran_order": False, "shape": (len(dataset), *shape)}
                np.lib.format.write_array_header_1_0(file, header)
            if pixels.shape != shape:
                raise UserError(
                    f"datasets.{name}: images of several sizes ({list(shape)} and {list(pixels.shape)}); add `resize:`"
                )
            file.write(pixels.tobytes())
            labels.append(int(label))  # type: ignore[arg-type]
            meter.update(1)
    if kinds is None:
        raise UserError(f"datasets.{name}.class: {data.class_} has no images")
    np.save(folder / f"{prefix}labels.npy", np.array(labels, np.int64))
    return kinds


def _pixels(image: Image.Image, kinds: tuple[bool, str], size: tuple[int, int] | None, name: str) -> NDArray[Any]:
    colour, dtype = kinds
    if image_kind(image, name)[1] != dtype or (image_kind(image, name)[0] and not colour):
        raise UserError(f"datasets.{name}: images of several kinds, grey and coloured, or of several types")
    pixels = image_array(image, colour, dtype, name)
    return resized(pixels, size) if size else pixels


def _write_names(dataset: Any, folder: Path) -> None:
    """Write the names of the classes, where torchvision has them."""
    names = getattr(dataset, "classes", None)
    if isinstance(names, list) and names and all(isinstance(each, str) for each in names):
        np.save(folder / "class_names.npy", np.array(names))
