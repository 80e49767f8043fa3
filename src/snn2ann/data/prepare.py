"""The three steps of a data set: fetch, verify and extract, prepare."""

import errno
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from filelock import Timeout
from numpy.typing import NDArray

from snn2ann.data import PLACES, dataset_entry
from snn2ann.data.download_progress import Meter, say
from snn2ann.data.fetching import FetchedFile, fetch
from snn2ann.data.loading import ARRAYS, load
from snn2ann.data.source import RawImages, Source, load_source
from snn2ann.data.splits import described_splits, split_indices
from snn2ann.errors import UserError
from snn2ann.files import sha256_of, write_json
from snn2ann.locks import file_lock

_BLOCK = 1000


def fetch_and_prepare(spec: Mapping[str, Any], raw: Path, output: Path) -> None:
    """Fetch the files of a data set, verify them and write its prepared arrays.

    Jobs that ask for the same data set at once wait for each other, so that it is downloaded once.
    The folder appears whole or not at all; one that is already right is left as it is.

    Args:
        spec: what `snn2ann.data.dataset_spec` gave.
        raw: folder of downloads; the data set gets a folder of its own in it.
        output: folder to be made.

    Raises:
        UserError: a file cannot be had or does not hold what it should, or the disk is full.
    """
    folder = raw / spec["name"]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(raw / f".{spec['name']}.lock", spec["name"]):
            if _is_prepared(output, spec):
                say(f"{output}: already prepared")
                return
            source, fetched = _source_and_files(spec, folder)
            with _folder_aside(output) as aside:
                prepare(spec, source, fetched, aside)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        cause = "the disk is full" if full else error.strerror or str(error)
        raise UserError(
            f"{error.filename or output}: {cause}; {output} was left as it was. Mend that and start again"
        ) from error


def _source_and_files(spec: Mapping[str, Any], folder: Path) -> tuple[Source, Sequence[FetchedFile]]:
    if "kind" in spec:
        from snn2ann.data.own.reading import own_source

        return own_source(spec)
    entry = dataset_entry(spec["name"])
    source = load_source(entry)
    return source, fetch(entry, source, spec, folder)


def prepare(spec: Mapping[str, Any], source: Source, fetched: Sequence[FetchedFile], folder: Path) -> None:
    """Read verified files and write arrays and manifest into the empty `folder`."""
    say(f"{spec['name']}: preparing")
    files = [file.path for file in fetched]
    with _blamed(files):
        content = source.read({file.name: file.path for file in fetched})
    content = replace(content, blocks=_read(content.blocks, files))
    _check_labels(content, spec)
    shape = (len(content.labels), *([spec["frames"]] if "frames" in spec else []), *spec["shape"])
    with Meter(f"{spec['name']}: images", shape[0]) as meter:
        _write_images(folder / "images.npy", content, shape, np.dtype(source.dtype), meter)
    np.save(folder / "labels.npy", content.labels)
    indices = split_indices(
        content.labels,
        content.train,
        validation=spec.get("validation"),
        test=spec.get("test"),
        fold=(spec["fold"], spec["folds"]) if "folds" in spec else None,
        train_images=spec["train_images"],
        split_seed=spec["split_seed"],
        official_validation=content.validation,
    )
    for split, positions in indices.items():
        if not len(positions):
            raise UserError(f"{spec['name']}: the {split} split is empty; change the fractions")
        np.save(folder / f"{split}_indices.npy", positions)
    for line in described_splits(content, indices):
        say(f"{spec['name']}: {line}")
    images = np.load(folder / "images.npy", mmap_mode="r")
    mean, std = channel_statistics(images, indices["train"], source.maximum_value)
    manifest = {
        "dataset": spec["name"],
        "digest": spec["digest"],
        "spec": {key: value for key, value in spec.items() if key not in PLACES},
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "sources": [file.describe() for file in fetched],
        "files": {name: _describe(folder / name) for name in ARRAYS},
        "class_names": content.class_names,
        "maximum_value": source.maximum_value,
        "mean": mean,
        "std": std,
        "counts": {split: len(positions) for split, positions in indices.items()},
    }
    write_json(folder / "manifest.json", manifest)


def _read(blocks: Iterable[NDArray[Any]], files: Sequence[Path]) -> Iterator[NDArray[Any]]:
    """Blocks whose errors are of the files that they come from, not of the folder that they go to."""
    waiting = iter(blocks)
    while True:
        with _blamed(files):
            block = next(waiting, None)
        if block is None:
            return
        yield block


@contextmanager
def _blamed(files: Sequence[Path]) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        name = error.filename or ", ".join(map(str, files))
        raise UserError(f"{name}: cannot be read ({error.strerror or error}); fetch it again") from error
    except MemoryError as error:
        raise UserError(f"{', '.join(map(str, files))}: needs more memory than there is ({error})") from error


def channel_statistics(
    images: NDArray[Any], positions: NDArray[np.int64], maximum_value: int
) -> tuple[list[float], list[float]]:
    """Mean and (population) standard deviation of each channel, as fractions of the maximum value.

    Frames are added up over time first, and their mean is said to be 0, so that where no event was there stays none. The
    deviation of a channel that is the same everywhere is said to be 1.

    Args:
        images: uint8, uint16 or float32, [N, C, H, W] or, of frames, [N, T, C, H, W].
        positions: int64 [n], the images that count.
        maximum_value: the pixel value that stands for 1.

    Returns:
        Two lists of C numbers. Sums of whole numbers are whole, so the order of the images changes nothing.
    """
    channels, height, width = images.shape[-3:]
    frames, wide = images.ndim == 5, np.dtype(np.float64 if images.dtype.kind == "f" else np.int64)
    total, squares = np.zeros(channels, wide), np.zeros(channels, wide)
    for start in range(0, len(positions), _BLOCK):
        block = images[positions[start : start + _BLOCK]].astype(wide)
        block = block.sum(axis=1) if frames else block
        total += block.sum(axis=(0, 2, 3))
        squares += np.square(block).sum(axis=(0, 2, 3))
    count = len(positions) * height * width
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - mean**2, 0))
    std[std == 0] = maximum_value
    return ([0.0] * channels if frames else (mean / maximum_value).tolist()), (std / maximum_value).tolist()


def _write_images(path: Path, content: RawImages, shape: Sequence[int], dtype: np.dtype[Any], meter: Meter) -> None:
    # Written in sequence rather than through a memory map: a full disk is an error then, and no
    # bus error that ends the process.
    written = 0
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": tuple(shape)}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for block in content.blocks:
            if block.dtype != dtype or block.shape[1:] != tuple(shape[1:]):
                raise UserError(f"images of {tuple(shape[1:])} {dtype} were expected: {block.shape} {block.dtype}")
            file.write(block.tobytes())
            written += len(block)
            meter.update(len(block))
    if written != shape[0]:
        raise UserError(f"{written} images and {shape[0]} labels: the files do not fit together")


def _check_labels(content: RawImages, spec: Mapping[str, Any]) -> None:
    labels, classes = content.labels, spec["classes"]
    if not 0 < content.train <= len(labels):
        raise UserError(
            f"{spec['name']}: {content.train} training images of {len(labels)} in all; at least one was expected"
        )
    found = np.unique(labels)
    if len(found) != classes or found[0] != 0 or found[-1] != classes - 1:
        raise UserError(
            f"{spec['name']}: labels 0 to {classes - 1}, each at least once, were expected; "
            f"{len(found)} classes from {found.min()} to {found.max()} found"
        )
    if len(content.class_names) != classes:
        raise UserError(f"{spec['name']}: {len(content.class_names)} class names for {classes}")


def _describe(path: Path) -> dict[str, Any]:
    return {"size": path.stat().st_size, "sha256": sha256_of(path)}


def _is_prepared(output: Path, spec: Mapping[str, Any]) -> bool:
    try:
        return load(output).digest == str(spec["digest"])
    except UserError:
        return False


@contextmanager
def _folder_aside(output: Path) -> Iterator[Path]:
    """Give a folder beside `output`; put it in its place on success, remove it on failure."""
    output.parent.mkdir(parents=True, exist_ok=True)
    # The lock is held, so these are of jobs that were killed.
    for left in output.parent.glob(f".{output.name}-*"):
        shutil.rmtree(left, ignore_errors=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{output.name}-", dir=output.parent))
    new, old = aside / "new", aside / "old"
    new.mkdir()
    try:
        yield new
        # A workflow manager may have made the empty folder; a broken one goes the same way.
        if output.exists():
            output.rename(old)
        new.rename(output)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def _alone(path: Path, name: str) -> Iterator[None]:
    """Hold the lock of a data set; say so while another job holds it."""
    with ExitStack() as held:
        try:
            held.enter_context(file_lock(path, 0))
        except Timeout:
            say(f"{name}: waiting for another job that fetches it ({path})")
            held.enter_context(file_lock(path))
        yield
