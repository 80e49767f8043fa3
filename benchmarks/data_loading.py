"""Images per second: this project's batches against torchvision and a DataLoader.

Both give normalised float32 batches of randomly cropped and flipped images of CIFAR's shape. The
peer is torchvision's own CIFAR-10 class on files of the true format (random pixels), its transforms
and a DataLoader with 2 persistent workers. The two alternate, after one epoch each to warm up.

    python benchmarks/data_loading.py
"""

import argparse
import csv
import hashlib
import pickle
import platform
import statistics
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

from snn2ann.data.loading import PreparedDataset, batches

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
WORKERS = 2
HEADER = ["loader", "workers", "threads", "batch_size", "images", "round", "seconds", "machine"]


def torchvision_loader(folder: Path, pixels: np.ndarray, labels: np.ndarray, size: int) -> Any:
    """Write CIFAR-10's files for `pixels` and open them with torchvision's reader."""
    inner = folder / datasets.CIFAR10.base_folder
    inner.mkdir()
    contents = {
        "data_batch_1": {"data": pixels.reshape(len(pixels), -1), "labels": labels.tolist()},
        "test_batch": {"data": pixels[:1].reshape(1, -1), "labels": [0]},
        "batches.meta": {"label_names": [str(label) for label in range(10)]},
    }
    sums = {}
    for name, content in contents.items():
        (inner / name).write_bytes(pickle.dumps(content))
        sums[name] = hashlib.md5((inner / name).read_bytes()).hexdigest()

    class Synthetic(datasets.CIFAR10):  # type: ignore[misc]
        train_list: ClassVar = [["data_batch_1", sums["data_batch_1"]]]
        test_list: ClassVar = [["test_batch", sums["test_batch"]]]
        meta: ClassVar = {**datasets.CIFAR10.meta, "md5": sums["batches.meta"]}

    steps = [
        transforms.RandomCrop(32, padding=4),
        transforms.RandomHorizontalFlip(),
        transforms.ToTensor(),
        transforms.Normalize(MEAN, STD),
    ]
    dataset = Synthetic(str(folder), transform=transforms.Compose(steps))
    return DataLoader(dataset, size, shuffle=True, num_workers=WORKERS, persistent_workers=True)


def prepared_dataset(folder: Path, pixels: np.ndarray, labels: np.ndarray) -> PreparedDataset:
    """The same images as a memory-mapped data set."""
    np.save(folder / "images.npy", pixels)
    return PreparedDataset(
        name="synthetic",
        digest="",
        images=np.load(folder / "images.npy", mmap_mode="r"),
        labels=labels,
        indices={"train": np.arange(len(labels))},
        maximum_value=255,
        mean=list(MEAN),
        std=list(STD),
        class_names=[str(label) for label in range(10)],
    )


def seconds(epoch: Iterable[Any], images: int) -> float:
    """Wall time of one epoch; every image has to come."""
    start = time.perf_counter()
    seen = sum(len(labels) for _, labels in epoch)
    assert seen == images
    return time.perf_counter() - start


def measure(options: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """Alternate the two loaders; one row a loader and round."""
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (options.images, 3, 32, 32), dtype=np.uint8)
    labels = generator.integers(0, 10, options.images)
    peer = torchvision_loader(folder, pixels, labels, options.batch_size)
    dataset = prepared_dataset(folder, pixels, labels)
    augmentation = {"crop_padding": 4, "horizontal_flip": True}
    rows: list[dict[str, Any]] = []
    for round_ in range(options.rounds + 1):
        ours = batches(
            dataset,
            "train",
            options.batch_size,
            augmentation=augmentation,
            shuffle=True,
            seed=0,
            epoch=round_,
        )
        for loader, workers, epoch in (("snn2ann", 0, ours), ("torchvision", WORKERS, peer)):
            row: dict[str, Any] = {"loader": loader, "workers": workers, "threads": torch.get_num_threads()}
            row |= {"batch_size": options.batch_size, "images": options.images, "round": round_}
            row |= {"seconds": seconds(epoch, options.images), "machine": platform.platform()}
            rows.append(row)
    return [row for row in rows if row["round"] > 0]


def main() -> None:
    """Measure, write the rows, print medians and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--batch-size", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/data_loading.csv"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(options, Path(folder))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    with options.output.open("w", newline="") as file:
        writer = csv.DictWriter(file, HEADER, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    rates = {
        loader: statistics.median(row["images"] / row["seconds"] for row in rows if row["loader"] == loader)
        for loader in ("snn2ann", "torchvision")
    }
    for loader, rate in rates.items():
        print(f"{loader}: {rate:,.0f} images per second (median of {options.rounds} rounds)")
    print(f"ratio: {rates['snn2ann'] / rates['torchvision']:.1f}")


if __name__ == "__main__":
    main()
