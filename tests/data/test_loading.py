"""Prepared folders that are not what they should be, and batches."""

import hashlib
import json
import re
import shutil
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from snn2ann.data import dataset_spec
from snn2ann.data.loading import PreparedDataset, _affine, _normalised, _normalised_there, batches, load, spans, verify
from snn2ann.data.prepare import fetch_and_prepare
from snn2ann.errors import UserError

CROP_AND_FLIP = {"crop_padding": 2, "horizontal_flip": True}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prepared")
    fetch_and_prepare(dataset_spec("digits", {}), folder / "raw", folder / "digits")
    return folder / "digits"


@pytest.fixture
def copy(prepared: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "copy"
    folder.mkdir()
    for file in prepared.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


def synthetic(count: int = 50, shape: tuple[int, int, int] = (3, 6, 5)) -> PreparedDataset:
    """Random images; an image's label is its number, so that batches tell what is in them."""
    images = np.random.default_rng(0).integers(0, 256, (count, *shape), dtype=np.uint8)
    return PreparedDataset(
        name="synthetic",
        digest="0" * 8,
        images=images,
        labels=np.arange(count),
        indices={"train": np.arange(1, count, 2), "test": np.arange(0, count, 2)},
        maximum_value=255,
        mean=[0.5, 0.4, 0.3][: shape[0]],
        std=[0.2, 0.3, 0.4][: shape[0]],
        class_names=[str(n) for n in range(count)],
    )


def epoch_of(dataset: PreparedDataset, **options: Any) -> dict[int, bytes]:
    """One epoch's bytes by label, in the order in which they came."""
    chosen: dict[str, Any] = {"batch_size": 8, "shuffle": True, "seed": 0, "epoch": 1, "split": "train", **options}
    found: dict[int, bytes] = {}
    for images, labels in batches(dataset, **chosen):
        assert images.dtype == torch.float32
        assert labels.dtype == torch.int64
        assert tuple(images.shape) == (len(labels), *dataset.shape)
        for image, label in zip(images, labels, strict=True):
            assert int(label) not in found
            found[int(label)] = image.numpy().tobytes()
    return found


def test_load_gives_mapped_images_and_the_manifest(prepared: Path) -> None:
    dataset = PreparedDataset.load(prepared)
    assert isinstance(dataset.images, np.memmap)
    assert (dataset.name, dataset.shape, dataset.classes) == ("digits", (1, 8, 8), 10)
    assert not dataset.images.flags.writeable


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


@pytest.mark.parametrize("name", ["images.npy", "labels.npy", "train_indices.npy", "test_indices.npy"])
@pytest.mark.parametrize(("damage", "cause"), [(Path.unlink, "missing"), (truncate, "were expected")])
def test_a_missing_or_truncated_array_is_named(
    copy: Path, name: str, damage: Callable[[Path], None], cause: str
) -> None:
    damage(copy / name)
    with pytest.raises(UserError, match=cause) as caught:
        load(copy)
    assert str(copy / name) in str(caught.value)
    assert "fetch" in str(caught.value)


@pytest.mark.parametrize(("name", "reader"), [("labels.npy", load), ("images.npy", verify)])
def test_a_flipped_bit_is_found(copy: Path, name: str, reader: Callable[[Path], Any]) -> None:
    flip(copy / name)
    with pytest.raises(UserError, match=re.escape(str(copy / name))):
        reader(copy)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"files": 3}', "null"])
def test_a_wrong_manifest_is_named(copy: Path, content: str) -> None:
    (copy / "manifest.json").write_text(content)
    with pytest.raises(UserError, match=r"manifest\.json"):
        load(copy)


def test_a_missing_folder_or_manifest_is_named(copy: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        load(copy / "nothing")
    (copy / "manifest.json").unlink()
    with pytest.raises(UserError, match=r"manifest\.json"):
        load(copy)


@pytest.mark.parametrize("wrong", [np.zeros((1797, 8, 8), np.uint8), np.zeros((1797, 1, 8, 8)), None])
def test_images_of_another_kind_are_refused(copy: Path, wrong: np.ndarray | None) -> None:
    path = copy / "images.npy"
    if wrong is None:
        path.write_bytes(b"not an array")
    else:
        np.save(path, wrong)
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["files"]["images.npy"]["size"] = path.stat().st_size
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match=r"array of NumPy|was expected"):
        load(copy)


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("shuffle", [True, False])
def test_an_epoch_holds_every_image_of_the_split_once(split: str, shuffle: bool) -> None:
    dataset = synthetic()
    labels = list(epoch_of(dataset, split=split, shuffle=shuffle))
    assert sorted(labels) == dataset.indices[split].tolist()
    assert (labels == sorted(labels)) is not shuffle


def test_a_last_batch_that_is_too_small_joins_the_one_before() -> None:
    dataset = synthetic()
    epochs = [
        [
            labels.tolist()
            for _, labels in batches(dataset, "train", 8, shuffle=True, seed=0, epoch=1, smallest=smallest)
        ]
        for smallest in (1, 2)
    ]
    assert [[len(labels) for labels in epoch] for epoch in epochs] == [[8, 8, 8, 1], [8, 8, 9]]
    one, other = ([label for batch in epoch for label in batch] for epoch in epochs)
    assert one == other
    assert [spans(count, 8, 2)[-1] for count in (1, 8, 10)] == [slice(0, 1), slice(0, 8), slice(8, 10)]


@pytest.mark.parametrize("augmentation", [None, CROP_AND_FLIP])
def test_the_same_seed_and_epoch_give_the_same_bytes(augmentation: dict[str, Any] | None) -> None:
    first, second = (list(epoch_of(synthetic(), augmentation=augmentation).items()) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("other", [{"epoch": 2}, {"seed": 1}])
def test_another_seed_or_epoch_has_another_order_and_other_crops(other: dict[str, int]) -> None:
    first = epoch_of(synthetic(), augmentation=CROP_AND_FLIP)
    second = epoch_of(synthetic(), augmentation=CROP_AND_FLIP, **other)
    assert list(first) != list(second)
    assert sum(first[label] != second[label] for label in first) > len(first) / 2


@pytest.mark.parametrize("changed", [{"batch_size": 1}, {"batch_size": 100}, {"shuffle": False}])
def test_an_image_is_augmented_alike_in_any_batch_and_order(changed: dict[str, Any]) -> None:
    dataset = synthetic()
    expected = epoch_of(dataset, augmentation=CROP_AND_FLIP)
    assert epoch_of(dataset, augmentation=CROP_AND_FLIP, **changed) == expected


@pytest.mark.parametrize("normalisation", [None, {"mean": [0.1, 0.2, 0.3], "std": [1, 2, 3]}])
def test_pixels_are_normalised(normalisation: dict[str, list[float]] | None) -> None:
    dataset = synthetic()
    chosen = normalisation or {"mean": dataset.mean, "std": dataset.std}
    mean, std = (np.reshape(chosen[key], (3, 1, 1)) for key in ("mean", "std"))
    images = batches(dataset, "test", 100, normalisation=normalisation, shuffle=False, seed=0, epoch=0)
    expected = (dataset.images[::2] / 255 - mean) / std
    np.testing.assert_allclose(next(images)[0].numpy(), expected, atol=1e-6)


def test_the_maximum_value_counts_as_one(prepared: Path) -> None:
    dataset = load(prepared)
    identity = {"mean": [0.0], "std": [1.0]}
    (images, _), *_ = batches(dataset, "train", 2000, normalisation=identity, shuffle=False, seed=0, epoch=0)
    assert images.max() == 1
    assert images.min() == 0
    assert images.mean().item() == pytest.approx(dataset.mean[0], abs=1e-6)


def test_torch_and_numpy_normalise_to_the_same_bits() -> None:
    dataset = synthetic(shape=(3, 16, 16), count=256)
    scale, shift = _affine(dataset, None)
    here = _normalised(dataset.images, scale, shift, torch.device("cpu"))
    there = _normalised_there(dataset.images, scale, shift, torch.device("cpu"))
    assert torch.equal(here, there)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_the_same_bits() -> None:
    dataset = synthetic(shape=(3, 16, 16), count=256)
    options: dict[str, Any] = {"augmentation": CROP_AND_FLIP, "shuffle": True, "seed": 0, "epoch": 1}
    here = batches(dataset, "train", 64, **options)
    there = batches(dataset, "train", 64, device="cuda", **options)
    for (images, labels), (images_there, labels_there) in zip(here, there, strict=True):
        assert torch.equal(images, images_there.cpu())
        assert torch.equal(labels, labels_there.cpu())


@pytest.mark.parametrize(
    ("split", "options", "words"),
    [
        ("training", {}, "unknown split 'training'"),
        ("train", {"normalisation": {"mean": [0.5], "std": [0.5]}}, "3 means"),
        ("train", {"normalisation": {"mean": [0.5] * 3, "std": [0.5, 0, 1]}}, "positive"),
        ("train", {"augmentation": {"padding": 4}}, r"augmentation\.padding"),
    ],
)
def test_wrong_options_are_named(split: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        next(batches(synthetic(), split, 8, shuffle=True, seed=0, epoch=0, **options))


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("labels.npy", lambda labels: labels + 1, "int64 .N. from 0 to 9 was expected"),
        ("labels.npy", lambda labels: labels - 1, "from 0 to 9"),
        ("labels.npy", lambda labels: labels.astype(float), "from 0 to 9"),
        ("labels.npy", lambda labels: labels[:-1], r"uint16, float32 \[1796, C, H, W\]|from 0 to"),
        ("labels.npy", lambda labels: labels[:, None], "from 0 to 9"),
        ("test_indices.npy", lambda indices: indices + 1797, "from 0 to 1796 was expected"),
        ("test_indices.npy", lambda indices: indices - 1797, "from 0 to 1796"),
        ("test_indices.npy", lambda indices: indices[:0], "from 0 to 1796"),
        ("test_indices.npy", lambda indices: indices[::-1], "ascending"),
        ("test_indices.npy", lambda indices: np.repeat(indices, 2), "ascending"),
        ("test_indices.npy", lambda indices: np.arange(1797), "stands in two splits"),
        ("images.npy", lambda images: images.astype(np.int64), "int64"),
        ("images.npy", lambda images: images[:, 0], "channels|C, H, W"),
        ("manifest.json", {"class_names": ["a", 1]}, "are not what a data set has"),
        ("manifest.json", {"maximum_value": 0}, "are not what a data set has"),
        ("manifest.json", {"std": [0.0]}, "are not what a data set has"),
        ("manifest.json", {"mean": ["0"]}, "are not what a data set has"),
        ("manifest.json", {"mean": 0}, "are not what a data set has"),
        ("manifest.json", {"mean": [0.5, 0.5], "std": [1, 1]}, "1 channels, and 2 means"),
    ],
)
def test_arrays_that_are_not_a_data_sets_are_refused(
    prepared: Path, tmp_path: Path, name: str, change: Any, words: str
) -> None:
    """Also where the manifest has the checksums of what is there."""
    folder = tmp_path / "changed"
    shutil.copytree(prepared, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    if name == "manifest.json":
        manifest |= change
    else:
        np.save(folder / name, change(np.load(folder / name)))
        content = (folder / name).read_bytes()
        manifest["files"][name] = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match=words) as caught:
        load(folder)
    assert str(folder) in str(caught.value)


def test_memory_does_not_grow_with_the_data_set(tmp_path: Path) -> None:
    count = 30_000
    path = tmp_path / "images.npy"
    np.lib.format.open_memmap(path, "w+", np.uint8, (count, 3, 32, 32))
    images = np.load(path, mmap_mode="r")
    dataset = replace(synthetic(), images=images, labels=np.zeros(count, np.int64), indices={"all": np.arange(count)})
    tracemalloc.start()
    for _ in batches(dataset, "all", 64, augmentation=CROP_AND_FLIP, shuffle=True, seed=0, epoch=0):
        pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # The images are 92 MB; a batch, its order and its draws are a few.
    assert peak < 8e6
