"""Prepared arrays against independent readers of the same files."""

import errno
import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from sklearn.datasets import load_digits
from torchvision.datasets import CIFAR10, CIFAR100, FashionMNIST, ImageFolder

from snn2ann.data import DATASETS, dataset_spec, prepare
from snn2ann.data.fashion_mnist import CLASS_NAMES
from snn2ann.data.loading import PreparedDataset, load, verify
from snn2ann.data.prepare import channel_statistics, fetch_and_prepare
from snn2ann.data.source import RawImages, Source, load_source
from snn2ann.errors import UserError
from snn2ann.files import read_json

Files = dict[str, bytes]


def made(spec: dict[str, Any], tmp_path: Path) -> PreparedDataset:
    output = tmp_path / "data" / f"{spec['name']}-{spec['digest']}"
    fetch_and_prepare(spec, tmp_path / "raw", output)
    verify(output)
    return load(output)


def assert_same_images(prepared: PreparedDataset, start: int, reader: Any) -> None:
    """Every image and label of torchvision's reader, in its order, from `start` on."""
    assert len(reader) > 0
    for position, (image, label) in enumerate(reader, start):
        pixels = np.asarray(image)
        pixels = pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, 2, 0)
        np.testing.assert_array_equal(prepared.images[position], pixels)
        assert prepared.labels[position] == label


def test_digits_are_those_of_scikit_learn(tmp_path: Path) -> None:
    prepared = made(dataset_spec("digits", {}), tmp_path)
    expected = load_digits()
    np.testing.assert_array_equal(prepared.images[:, 0], expected.images)
    np.testing.assert_array_equal(prepared.labels, expected.target)
    assert prepared.maximum_value == 16
    assert prepared.class_names == [str(name) for name in expected.target_names]
    train = expected.images[prepared.indices["train"]] / 16
    np.testing.assert_allclose([prepared.mean[0], prepared.std[0]], [train.mean(), train.std()], rtol=1e-12)


@pytest.mark.parametrize(("name", "reader", "members"), [("cifar10", CIFAR10, 6), ("cifar100", CIFAR100, 2)])
def test_cifar_is_that_of_torchvision(
    name: str,
    reader: Any,
    members: int,
    archives: dict[str, Files],
    declare: Callable[..., dict[str, Any]],
    local: Callable[[Files], str],
    tmp_path: Path,
) -> None:
    files = archives[name]
    prepared = made(declare(name, files, local=local(files)), tmp_path)
    with tarfile.open(fileobj=io.BytesIO(next(iter(files.values())))) as archive:
        for member in archive:
            file = archive.extractfile(member)
            assert file is not None
            unpacked = tmp_path / "torchvision" / member.name
            unpacked.parent.mkdir(parents=True, exist_ok=True)
            unpacked.write_bytes(file.read())

    class Unchecked(reader):  # type: ignore[misc]
        train_list: ClassVar = [[file, None] for file, _ in reader.train_list]
        test_list: ClassVar = [[file, None] for file, _ in reader.test_list]
        meta: ClassVar = {**reader.meta, "md5": None}

    train = Unchecked(str(tmp_path / "torchvision"), train=True)
    test = Unchecked(str(tmp_path / "torchvision"), train=False)
    assert len(train.train_list) + len(test.test_list) == members
    assert len(prepared.labels) == len(train) + len(test)
    assert_same_images(prepared, 0, train)
    assert_same_images(prepared, len(train), test)
    assert prepared.class_names == train.classes
    np.testing.assert_array_equal(prepared.indices["test"], np.arange(len(train), len(prepared.labels)))


def fashion_mnist_readers(files: Files, folder: Path) -> list[Any]:
    raw = folder / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for name, content in files.items():
        (raw / name.removesuffix(".gz")).write_bytes(gzip.decompress(content))
    return [FashionMNIST(str(folder), train=train) for train in (True, False)]


def test_fashion_mnist_is_that_of_torchvision(
    archives: dict[str, Files],
    declare: Callable[..., dict[str, Any]],
    local: Callable[[Files], str],
    tmp_path: Path,
) -> None:
    files = archives["fashion-mnist"]
    prepared = made(declare("fashion-mnist", files, local=local(files)), tmp_path)
    train, test = fashion_mnist_readers(files, tmp_path)
    assert_same_images(prepared, 0, train)
    assert_same_images(prepared, len(train), test)
    assert train.classes == CLASS_NAMES


def test_the_installed_fashion_mnist_is_found(tmp_path: Path) -> None:
    folder = Path("/usr/share/datasets/fashion-mnist")
    if not folder.is_dir():
        pytest.skip("the package dataset-fashion-mnist is not installed")
    prepared = made(dataset_spec("fashion-mnist", {"train_images": 12000}), tmp_path)
    assert {split: len(part) for split, part in prepared.indices.items()} == {
        "train": 12000,
        "validation": 6000,
        "test": 10000,
    }
    assert (np.bincount(prepared.labels[prepared.indices["train"]]) == 1200).all()
    files = {file.name: file.read_bytes() for file in folder.glob("*.gz")}
    for start, reader in zip((0, 60000), fashion_mnist_readers(files, tmp_path), strict=True):
        end = start + len(reader)
        np.testing.assert_array_equal(prepared.images[start:end, 0], reader.data.numpy())
        np.testing.assert_array_equal(prepared.labels[start:end], reader.targets.numpy())
    assert not list((tmp_path / "raw" / "fashion-mnist").iterdir())


def test_tiny_imagenet_is_that_of_torchvision(
    archives: dict[str, Files],
    declare: Callable[..., dict[str, Any]],
    local: Callable[[Files], str],
    tmp_path: Path,
) -> None:
    files = archives["tiny-imagenet"]
    prepared = made(declare("tiny-imagenet", files, local=local(files), validation=0.34), tmp_path)
    with zipfile.ZipFile(io.BytesIO(next(iter(files.values())))) as archive:
        archive.extractall(tmp_path / "tree")
    top = tmp_path / "tree" / "tiny-imagenet-200"
    train = ImageFolder(str(top / "train"))
    assert_same_images(prepared, 0, train)
    assert prepared.class_names == [f"thing {name}, it" for name in train.classes]
    # The validation part is arranged in folders, as is usual, to be read by torchvision as well.
    for line in (top / "val" / "val_annotations.txt").read_text().splitlines():
        image, name = line.split("\t")[:2]
        (top / "test-set" / name).mkdir(parents=True, exist_ok=True)
        (top / "val" / "images" / image).rename(top / "test-set" / name / image)
    found = {int(label): prepared.images[600 + n] for n, label in enumerate(prepared.labels[600:])}
    for picture, label in ImageFolder(str(top / "test-set")):
        np.testing.assert_array_equal(found.pop(label), np.moveaxis(np.asarray(picture), 2, 0))
    assert not found


def test_the_manifest_says_what_is_there(tmp_path: Path) -> None:
    spec = dataset_spec("digits", {"split_seed": 3})
    prepared = made(spec, tmp_path)
    manifest = read_json(tmp_path / "data" / f"digits-{spec['digest']}" / "manifest.json")
    assert manifest["spec"] == spec
    assert manifest["counts"] == {split: len(part) for split, part in prepared.indices.items()}
    assert manifest["sources"][0]["sha256"] == manifest["sources"][0]["checksum"].removeprefix("sha256:")
    assert set(manifest["files"]) == {p.name for p in (tmp_path / "data").glob("*/*.npy")}


def test_statistics_are_those_of_the_chosen_images() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2500, 3, 4, 5), dtype=np.uint8)
    positions = np.arange(1, 2500, 2)
    mean, std = channel_statistics(images, positions, 255)
    chosen = images[positions] / 255
    np.testing.assert_allclose(mean, chosen.mean(axis=(0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(std, chosen.std(axis=(0, 2, 3)), rtol=1e-12)


def test_a_right_folder_stays_and_a_broken_or_empty_one_is_replaced(tmp_path: Path) -> None:
    spec = dataset_spec("digits", {})
    output = tmp_path / "data" / "digits"
    output.mkdir(parents=True)
    fetch_and_prepare(spec, tmp_path / "raw", output)
    before = (output / "images.npy").stat().st_ino
    fetch_and_prepare(spec, tmp_path / "raw", output)
    assert (output / "images.npy").stat().st_ino == before
    (output / "labels.npy").write_bytes(b"broken")
    fetch_and_prepare(spec, tmp_path / "raw", output)
    verify(output)
    assert sorted(path.name for path in output.parent.iterdir()) == ["digits"]


def test_another_specification_replaces_the_folder(tmp_path: Path) -> None:
    output = tmp_path / "digits"
    for seed in (0, 1):
        spec = dataset_spec("digits", {"split_seed": seed})
        fetch_and_prepare(spec, tmp_path / "raw", output)
        assert load(output).digest == spec["digest"]


def test_a_full_disk_leaves_the_previous_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "data" / "digits"
    first, second = (dataset_spec("digits", {"split_seed": seed}) for seed in (0, 1))
    fetch_and_prepare(first, tmp_path / "raw", output)

    def fill(path: Path, *_: Any) -> None:
        path.write_bytes(b"part of it")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(prepare, "_write_images", fill)
    with pytest.raises(UserError, match="disk is full"):
        fetch_and_prepare(second, tmp_path / "raw", output)
    verify(output)
    assert load(output).digest == first["digest"]
    assert [path.name for path in output.parent.iterdir()] == ["digits"]


def test_damage_is_of_the_archive_and_not_of_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that cannot be read raises errors without a file's name, at once or on the way."""

    def broken(number: int) -> Any:
        if number:
            yield np.zeros((8, 1, 8, 8), np.uint8)
        raise OSError(errno.EIO, "Input/output error")

    (digits,) = (folder / "digits.csv.gz" for folder in load_source(DATASETS["digits"]).installed())
    for reader in (
        lambda files: next(broken(0)),
        lambda files: RawImages(np.arange(20) % 10, 20, list("0123456789"), broken(1)),
    ):
        monkeypatch.setattr("snn2ann.data.digits.DIGITS", replace(load_source(DATASETS["digits"]), read=reader))
        with pytest.raises(UserError, match="Input/output error") as caught:
            fetch_and_prepare(dataset_spec("digits", {}), tmp_path / "raw", tmp_path / "prepared")
        assert str(digits) in str(caught.value)
        assert "prepared" not in str(caught.value)
    assert not (tmp_path / "prepared").exists()


@pytest.mark.parametrize("train", [0, -1, 21])
def test_no_images_are_refused(train: int, tmp_path: Path) -> None:
    content = RawImages(np.arange(20) % 10, train, list("0123456789"), [])
    spec = dataset_spec("digits", {})
    with pytest.raises(UserError, match="at least one was expected"):
        prepare.prepare(spec, Source(lambda files: content, {}), [], tmp_path)


@pytest.mark.parametrize("found", [1, 3])
@pytest.mark.parametrize(("shape", "cause"), [((1, 8, 8), "do not fit together"), ((8, 8), "were expected")])
def test_images_that_do_not_fit_the_labels_are_refused(
    found: int, shape: tuple[int, ...], cause: str, tmp_path: Path
) -> None:
    # What a new data set's reader may get wrong.
    content = RawImages(np.arange(20) % 10, 20, list("0123456789"), [np.zeros((8, *shape), np.uint8)] * found)
    spec = dataset_spec("digits", {})
    with pytest.raises(UserError, match=cause):
        prepare.prepare(spec, Source(lambda files: content, {}), [], tmp_path)


def test_what_a_killed_job_left_is_removed(tmp_path: Path) -> None:
    left = tmp_path / ".digits-killed" / "new"
    left.mkdir(parents=True)
    (left / "images.npy").write_bytes(b"part of it")
    fetch_and_prepare(dataset_spec("digits", {}), tmp_path / "raw", tmp_path / "digits")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["digits", "raw"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(UserError, match=str(tmp_path / "file")):
        fetch_and_prepare(dataset_spec("digits", {}), tmp_path / "raw", tmp_path / "file" / "digits")


def test_a_missing_class_is_refused(
    archives: dict[str, Files],
    declare: Callable[..., dict[str, Any]],
    local: Callable[[Files], str],
    tmp_path: Path,
) -> None:
    files = dict(archives["fashion-mnist"])
    for part in ("train", "t10k"):
        name = f"{part}-labels-idx1-ubyte.gz"
        content = bytearray(gzip.decompress(files[name]))
        content[8:] = bytes(1 if label == 0 else label for label in content[8:])
        files[name] = gzip.compress(bytes(content))
    spec = declare("fashion-mnist", files, local=local(files))
    with pytest.raises(UserError, match="labels 0 to 9"):
        made(spec, tmp_path)
