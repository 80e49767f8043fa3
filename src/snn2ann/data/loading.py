"""Prepared data sets, and the batches that training reads from them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from snn2ann.errors import UserError
from snn2ann.files import read_json

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from snn2ann.data.augmentation import Augmentation

PIXEL_TYPES = ("uint8", "uint16", "float32")
SPLITS = ("train", "validation", "test")
ARRAYS = ("images.npy", "labels.npy", *(f"{split}_indices.npy" for split in SPLITS))
_REMEDY = "remove the folder and fetch the data set again (`snn2ann fetch`, or `dvc pull`)"


@dataclass(frozen=True)
class PreparedDataset:
    """The arrays of a prepared folder; `images` stays on disk and is read as it is used.

    Attributes:
        name: the data set's name.
        digest: 8 hex digits, from the specification.
        images: uint8, uint16 or float32, [N, C, H, W] or, of frames, [N, T, C, H, W]; memory-mapped.
        labels: int64 [N].
        indices: int64 positions of the `train`, `validation` and `test` images.
        maximum_value: the pixel value that stands for 1.
        mean: per channel, over the training images, as a fraction of the maximum value.
        std: likewise.
        class_names: one a class.
    """

    name: str
    digest: str
    images: NDArray[Any]
    labels: NDArray[np.int64]
    indices: Mapping[str, NDArray[np.int64]]
    maximum_value: int
    mean: list[float]
    std: list[float]
    class_names: list[str]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        channels, height, width = self.images.shape[-3:]
        return channels, height, width

    @property
    def frames(self) -> int | None:
        """Images of a sample, one a time step; None where a sample is one image."""
        return int(self.images.shape[1]) if self.images.ndim == 5 else None

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @classmethod
    def load(cls, folder: Path) -> "PreparedDataset":
        """Same as the function `load` of this module."""
        return load(folder)


def load(folder: Path) -> PreparedDataset:
    """Open a prepared folder.

    The small arrays are checked against the manifest's SHA-256, the images against their size;
    `verify` reads the images as well.

    Raises:
        UserError: a file is missing, truncated or not the one of the manifest.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; fetch the data set first (`snn2ann fetch`)")
    path = folder / "manifest.json"
    manifest = read_json(path)
    try:
        for name in ARRAYS:
            _check_file(folder / name, manifest["files"][name], whole=name != "images.npy")
        dataset = PreparedDataset(
            name=manifest["dataset"],
            digest=manifest["digest"],
            images=np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False),
            labels=np.load(folder / "labels.npy", allow_pickle=False),
            indices={split: np.load(folder / f"{split}_indices.npy", allow_pickle=False) for split in SPLITS},
            **{key: manifest[key] for key in ("maximum_value", "mean", "std", "class_names")},
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: not a data set's manifest ({error!r}); {_REMEDY}") from error
    except ValueError as error:
        raise UserError(f"{folder}: not an array of NumPy ({error}); {_REMEDY}") from error
    _check_manifest(dataset, path)
    _check_arrays(dataset, folder)
    return dataset


def verify(folder: Path) -> None:
    """Compare every array of a prepared folder, the images too, with the manifest's SHA-256.

    Raises:
        UserError: a file is missing or differs.
    """
    load(folder)
    files = read_json(folder / "manifest.json")["files"]
    _check_file(folder / "images.npy", files["images.npy"], whole=True)


def _check_file(path: Path, expected: Mapping[str, Any], *, whole: bool) -> None:
    if not path.is_file():
        raise UserError(f"{path}: missing; {_REMEDY}")
    size = path.stat().st_size
    if size != expected["size"]:
        raise UserError(f"{path}: {size} bytes, {expected['size']} were expected; {_REMEDY}")
    if whole:
        digest = sha256()
        with path.open("rb") as file:
            while block := file.read(2**20):
                digest.update(block)
        if digest.hexdigest() != expected["sha256"]:
            raise UserError(f"{path}: differs from what the manifest says; {_REMEDY}")


def _check_manifest(dataset: PreparedDataset, path: Path) -> None:
    lists: list[Any] = [dataset.class_names, dataset.mean, dataset.std]
    right = all(isinstance(each, list) for each in lists) and all(isinstance(name, str) for name in lists[0])
    numbers = [dataset.maximum_value, *lists[1], *lists[2]] if right else []
    right = right and all(isinstance(number, int | float) and np.isfinite(number) for number in numbers)
    if not right or dataset.maximum_value <= 0 or min(dataset.std, default=0) <= 0:
        raise UserError(f"{path}: class names, maximum value, mean or std are not what a data set has; {_REMEDY}")


def _check_arrays(dataset: PreparedDataset, folder: Path) -> None:
    images, labels, classes = dataset.images, dataset.labels, len(dataset.class_names)
    if (
        labels.ndim != 1
        or labels.dtype != np.int64
        or (len(labels) and not 0 <= labels.min() <= labels.max() < classes)
    ):
        raise UserError(f"{folder}/labels.npy: int64 [N] from 0 to {classes - 1} was expected; {_REMEDY}")
    for split, positions in dataset.indices.items():
        right = positions.ndim == 1 and positions.dtype == np.int64 and len(positions)
        if not right or positions[0] < 0 or positions[-1] >= len(labels) or (np.diff(positions) <= 0).any():
            raise UserError(
                f"{folder}/{split}_indices.npy: int64 [n], ascending, from 0 to {len(labels) - 1} was expected; {_REMEDY}"
            )
    if sum(map(len, dataset.indices.values())) != len(np.unique(np.concatenate([*dataset.indices.values()]))):
        raise UserError(f"{folder}: an image stands in two splits; {_REMEDY}")
    if images.dtype not in PIXEL_TYPES or images.ndim not in (4, 5) or len(images) != len(dataset.labels):
        raise UserError(
            f"{folder}/images.npy: {', '.join(PIXEL_TYPES)} [{len(dataset.labels)}, C, H, W] was expected, "
            f"{images.dtype} {list(images.shape)} found; {_REMEDY}"
        )
    if not len(dataset.mean) == len(dataset.std) == images.shape[-3]:
        raise UserError(f"{folder}: {images.shape[-3]} channels, and {len(dataset.mean)} means; {_REMEDY}")


def batches(
    dataset: PreparedDataset,
    split: str,
    batch_size: int,
    *,
    normalisation: Mapping[str, Sequence[float]] | None = None,
    augmentation: Mapping[str, Any] | None = None,
    shuffle: bool,
    seed: int,
    epoch: int,
    device: str = "cpu",
    smallest: int = 1,
    part: tuple[int, int] = (0, 1),
    stored: "Tensor | None" = None,
) -> "Iterator[tuple[Tensor, Tensor]]":
    """Batches of a split, normalised, one epoch long.

    Every draw belongs to a seed, an epoch and an image's place in the split, so an image is
    augmented in the same way whatever the batch size, the order or the device.

    Args:
        dataset: a prepared data set.
        split: `train`, `validation` or `test`.
        batch_size: images a batch; the last one may differ (see `spans`).
        normalisation: `mean` and `std` per channel, as fractions of the maximum value; None takes
            those of the manifest.
        augmentation: `crop_padding` (pixels of zeros on each side before a random crop) and
            `horizontal_flip` (with probability 1/2); None leaves the images as they are.
        shuffle: draw an order, or take the split's.
        seed: seed of every draw.
        epoch: each epoch has draws of its own.
        device: where the tensors go.
        smallest: images that a batch needs.
        part: (which, of how many): a part of each batch alone, for processes that share it; it may be empty.
        stored: what `stored_on` gave for the device; batches are then made there, of equal bits, and nothing travels.

    Yields:
        Images, float32 [B, C, H, W] or, of frames, [T, B, C, H, W], and labels, int64 [B].

    Raises:
        UserError: unknown split, or a mean or std that does not fit the channels.
    """
    import torch

    from snn2ann.data.augmentation import Augmentation

    if split not in dataset.indices:
        raise UserError(f"unknown split {split!r}: one of {', '.join(dataset.indices)} expected")
    positions = dataset.indices[split]
    scale, shift = _affine(dataset, normalisation)
    order = _order(len(positions), shuffle, seed, epoch)
    draws = Augmentation.draw(augmentation, len(positions), seed, epoch)
    chosen_of = [np.array_split(order[span], part[1])[part[0]] for span in spans(len(order), batch_size, smallest)]
    if stored is not None:
        yield from _batches_there(dataset, stored, positions, draws, chosen_of, (scale, shift))
        return
    # All frames of a sample are cropped and mirrored alike.
    whole = dataset.images if dataset.frames is None else dataset.images.reshape(-1, *_stacked(dataset))
    for chosen in chosen_of:
        pixels = draws.apply(whole, positions[chosen], chosen)
        if dataset.frames is not None:
            pixels = np.ascontiguousarray(pixels.reshape(-1, dataset.frames, *dataset.shape).swapaxes(0, 1))
        images = _normalised(pixels, scale, shift, torch.device(device))
        yield images, torch.from_numpy(dataset.labels[positions[chosen]]).to(device)


def stored_on(dataset: PreparedDataset, device: "torch.device") -> "Tensor | None":
    """Put all images on a device, [N, C, H, W] as they are stored, if they take a quarter of its memory at most.

    Returns:
        None on a CPU, for images that are too many there, for frames and for 16-bit pixels, which few operations take.
    """
    import torch

    if device.type != "cuda" or dataset.frames is not None or dataset.images.dtype == np.uint16:
        return None
    if dataset.images.nbytes > torch.cuda.get_device_properties(device).total_memory // 4:
        return None
    return torch.from_numpy(np.ascontiguousarray(dataset.images)).to(device)


def _batches_there(
    dataset: PreparedDataset,
    stored: "Tensor",
    positions: NDArray[np.int64],
    draws: "Augmentation",
    chosen_of: Sequence[NDArray[np.int64]],
    affine: tuple[NDArray[np.float32], NDArray[np.float32]],
) -> "Iterator[tuple[Tensor, Tensor]]":
    import torch

    device = stored.device
    scale, shift = (torch.from_numpy(part).to(device) for part in affine)
    there = draws.on(device)
    # Once an epoch: nothing travels with a batch.
    places = torch.from_numpy(np.concatenate(chosen_of)).to(device)
    own, labels = (torch.from_numpy(each).to(device) for each in (positions, dataset.labels))
    for batch in places.split([len(chosen) for chosen in chosen_of]):
        images = there.apply(stored, own[batch], batch)
        yield images.float().mul_(scale).add_(shift), labels[own[batch]]


def _stacked(dataset: PreparedDataset) -> tuple[int, int, int]:
    channels, height, width = dataset.shape
    return (dataset.frames or 1) * channels, height, width


def spans(count: int, batch_size: int, smallest: int = 1) -> list[slice]:
    """Places of the batches in `count` images; a last batch of less than `smallest` joins the one before it."""
    starts = list(range(0, count, batch_size))
    if len(starts) > 1 and count - starts[-1] < smallest:
        starts.pop()
    return [slice(start, end) for start, end in zip(starts, [*starts[1:], count], strict=True)]


def _normalised(
    pixels: NDArray[Any],
    scale: NDArray[np.float32],
    shift: NDArray[np.float32],
    device: "torch.device",
) -> "Tensor":
    """Pixels as float32 times scale plus shift, rounded after each: equal bits on every device."""
    import torch

    if device.type == "cpu":
        # NumPy works in this one thread; torch's would wait for each other on a busy machine.
        values = pixels.astype(np.float32)
        values *= scale
        values += shift
        return torch.from_numpy(values)
    return _normalised_there(pixels, scale, shift, device)


def _normalised_there(
    pixels: NDArray[Any],
    scale: NDArray[np.float32],
    shift: NDArray[np.float32],
    device: "torch.device",
) -> "Tensor":
    import torch

    # A quarter of the bytes travels when the pixels become floats over there; pinned, while the device goes on.
    values = torch.from_numpy(pixels)
    pinned = values.pin_memory() if device.type == "cuda" else values
    values = pinned.to(device, non_blocking=device.type == "cuda").float()
    scale_there, shift_there = (torch.from_numpy(part).to(device) for part in (scale, shift))
    return values.mul_(scale_there).add_(shift_there)


def _order(count: int, shuffle: bool, seed: int, epoch: int) -> NDArray[np.int64]:
    if not shuffle:
        return np.arange(count)
    return np.random.default_rng([seed, epoch, 0]).permutation(count)


def _affine(
    dataset: PreparedDataset, normalisation: Mapping[str, Sequence[float]] | None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Scale and shift [1, C, 1, 1] that turn raw pixel values into normalised ones."""
    chosen = normalisation or {"mean": dataset.mean, "std": dataset.std}
    channels = dataset.shape[0]
    mean, std = (np.asarray(chosen[key], np.float64) for key in ("mean", "std"))
    fit = mean.shape == std.shape == (channels,) and np.isfinite([mean, std]).all()
    if not fit or not (std > 0).all():
        raise UserError(
            f"normalisation: {channels} means and {channels} positive standard deviations, all finite, were "
            f"expected for {dataset.name}, {mean.tolist()} and {std.tolist()} given"
        )
    scale, shift = 1 / (dataset.maximum_value * std), -mean / std
    view = (1, channels, 1, 1)
    return scale.astype(np.float32).reshape(view), shift.astype(np.float32).reshape(view)
