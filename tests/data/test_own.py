"""Data of one's own, against independent readers of the same files; and what is refused."""

import gzip
import hashlib
import io
import os
import re
import shutil
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images
from torchvision.datasets import MNIST, ImageFolder

from snn2ann.data import dataset_spec
from snn2ann.data.loading import PreparedDataset, batches, load, verify
from snn2ann.data.own import from_torchvision
from snn2ann.data.own import scan as scanning
from snn2ann.data.prepare import fetch_and_prepare
from snn2ann.errors import UserError
from snn2ann.files import read_json
from tests.data.conftest import Server, idx

RANDOM = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder and a memory of scans of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(scanning, "_SETTLED_SECONDS", -1e9)


def made(spec: dict[str, Any]) -> PreparedDataset:
    output = Path("data") / f"{spec['name']}-{spec['digest']}"
    fetch_and_prepare(spec, Path("data/raw"), output)
    verify(output)
    return load(output)


def tiles(count: int, size: tuple[int, int]) -> list[np.ndarray]:
    """Pieces of scikit-learn's two photographs, in turn: uint8 [H, W, 3]."""
    height, width = size
    photographs = load_sample_images().images
    found = []
    for number in range(count):
        row, column = RANDOM.integers(0, 400 - height), RANDOM.integers(0, 600 - width)
        found.append(photographs[number % 2][row : row + height, column : column + width])
    return found


def write_folder(
    path: Path,
    classes: tuple[str, ...] = ("flower", "temple"),
    count: int = 40,
    size: tuple[int, int] = (12, 16),
    mode: str = "RGB",
    ending: str = "png",
) -> Path:
    for number, pixels in enumerate(tiles(count, size)):
        folder = path / classes[number % len(classes)]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).convert(mode).save(folder / f"{number:03}.{ending}")
    return path


FOLDER = {"kind": "folder", "path": "pictures"}


@pytest.mark.parametrize(
    ("mode", "ending"), [("RGB", "png"), ("RGB", "jpg"), ("L", "png"), ("1", "bmp"), ("P", "png"), ("CMYK", "jpeg")]
)
def test_class_folders_are_those_of_torchvision(mode: str, ending: str) -> None:
    write_folder(Path("pictures"), mode=mode, ending=ending)
    (Path("pictures") / "flower" / "notes.txt").write_text("no image")
    (Path("pictures") / ".hidden").mkdir()
    spec = dataset_spec("mine", FOLDER)
    prepared = made(spec)
    channels = 1 if mode in ("L", "1") else 3
    assert spec["shape"] == [channels, 12, 16] and prepared.shape == (channels, 12, 16)
    shutil.rmtree("pictures/.hidden")
    reader = ImageFolder("pictures")
    assert prepared.class_names == reader.classes
    assert prepared.labels.tolist() == reader.targets
    for stored, (image, _) in zip(prepared.images, reader, strict=True):
        np.testing.assert_array_equal(stored, np.moveaxis(np.asarray(image), 2, 0)[:channels])
    parts = {split: np.bincount(prepared.labels[part]).tolist() for split, part in prepared.indices.items()}
    assert parts == {"train": [14, 15], "validation": [2, 1], "test": [4, 4]}


def test_parts_of_their_own_are_kept() -> None:
    write_folder(Path("pictures/train"), count=40)
    write_folder(Path("pictures/val"), count=6)
    write_folder(Path("pictures/test"), count=10)
    spec = dataset_spec("mine", FOLDER)
    assert spec["parts"] == {"train": 40, "validation": 6, "test": 10}
    prepared = made(spec)
    assert [prepared.indices[split].tolist() for split in ("train", "validation", "test")] == [
        list(range(40)),
        list(range(40, 46)),
        list(range(46, 56)),
    ]
    for part in ("validation", "test"):
        with pytest.raises(UserError, match=f"datasets.mine.{part}: not allowed, since the data have"):
            dataset_spec("mine", FOLDER | {part: 0.1})


@pytest.mark.parametrize("part", ["val", "test"])
def test_the_other_part_is_drawn(part: str) -> None:
    write_folder(Path("pictures/train"), count=40)
    write_folder(Path("pictures") / part, count=10)
    prepared = made(dataset_spec("mine", FOLDER))
    own, drawn = ("validation", "test") if part == "val" else ("test", "validation")
    assert prepared.indices[own].tolist() == list(range(40, 50))
    assert len(prepared.indices[drawn]) == (8 if part == "val" else 4)
    assert np.bincount(prepared.labels[prepared.indices[drawn]]).tolist() == [len(prepared.indices[drawn]) // 2] * 2


def test_classes_may_be_called_train_and_test() -> None:
    write_folder(Path("pictures"), classes=("test", "train", "bus"))
    assert made(dataset_spec("mine", FOLDER)).class_names == ["bus", "test", "train"]
    shutil.rmtree("pictures/bus")
    assert made(dataset_spec("mine", FOLDER)).class_names == ["test", "train"]


@pytest.mark.parametrize(
    ("values", "dtype", "maximum"),
    [
        (RANDOM.integers(0, 65_536, (20, 6, 7), dtype=np.uint16), "uint16", 65_535),
        (RANDOM.random((20, 6, 7), np.float32), "float32", 1),
    ],
)
def test_16_bits_and_floats_are_kept(values: np.ndarray, dtype: str, maximum: int) -> None:
    for number, pixels in enumerate(values):
        folder = Path("pictures", "ab"[number % 2])
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / f"{number:02}.tif")
    prepared = made(dataset_spec("mine", FOLDER))
    assert prepared.images.dtype == dtype and prepared.maximum_value == maximum
    np.testing.assert_array_equal(prepared.images[:, 0], np.concatenate([values[::2], values[1::2]]))
    train = prepared.images[prepared.indices["train"]] / maximum
    np.testing.assert_allclose([prepared.mean[0], prepared.std[0]], [train.mean(), train.std()], rtol=1e-5)
    images, _ = next(batches(prepared, "train", 100, shuffle=False, seed=0, epoch=0, augmentation={"crop_padding": 1}))
    assert abs(float(images.std()) - 1) < 0.2


def test_grey_images_among_coloured_ones_become_rgb(capsys: pytest.CaptureFixture[str]) -> None:
    write_folder(Path("pictures"))
    grey = Path("pictures/flower/000.png")
    Image.open(grey).convert("L").save(grey)
    prepared = made(dataset_spec("mine", FOLDER))
    assert (prepared.images[0] == prepared.images[0][:1]).all()
    assert "grey images among coloured ones become RGB" in capsys.readouterr().err


def test_images_are_stretched_where_it_is_asked_for() -> None:
    write_folder(Path("pictures"), size=(30, 40))
    write_folder(Path("pictures"), size=(20, 24), count=6, ending="jpg")
    with pytest.raises(UserError, match=r"2 sizes .*stretched by `resize: \[\d+, \d+\]`"):
        dataset_spec("mine", FOLDER)
    spec = dataset_spec("mine", FOLDER | {"resize": [10, 14]})
    prepared = made(spec)
    assert prepared.shape == (3, 10, 14)
    expected = [np.asarray(image.resize((14, 10), Image.Resampling.BILINEAR)) for image, _ in ImageFolder("pictures")]
    np.testing.assert_array_equal(prepared.images, np.moveaxis(np.stack(expected), 3, 1))
    assert dataset_spec("mine", FOLDER | {"resize": 12})["shape"] == [3, 12, 12]


def test_a_name_is_of_the_content_and_not_of_the_place() -> None:
    write_folder(Path("pictures"))
    first = dataset_spec("mine", FOLDER)
    Path("pictures").rename("moved")
    moved = FOLDER | {"path": "moved"}
    assert dataset_spec("mine", moved)["digest"] == first["digest"]
    image = Path("moved/temple/001.png")
    before = image.read_bytes()
    Image.new("RGB", (16, 12)).save(image)
    changed = dataset_spec("mine", moved)
    assert changed["digest"] != first["digest"] and changed["content"] != first["content"]
    with pytest.raises(UserError, match="changed since the study was resolved"):
        made(first | {"path": "moved"})
    image.write_bytes(before)
    assert dataset_spec("mine", moved)["digest"] == first["digest"]
    image.rename("moved/flower/001.png")
    assert dataset_spec("mine", moved)["digest"] != first["digest"]


def test_a_scan_is_remembered_until_a_file_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    write_folder(Path("pictures"))
    monkeypatch.setattr(scanning, "_SETTLED_SECONDS", -1.0)
    first = dataset_spec("mine", FOLDER)
    with monkeypatch.context() as patch:
        patch.setattr("snn2ann.data.own.folder.FolderReader.scan", lambda self: pytest.fail("read again"))
        assert dataset_spec("mine", FOLDER) == first
    os.utime("pictures/flower/000.png")
    assert dataset_spec("mine", FOLDER) == first
    for file in Path("cache").rglob("*.json"):
        file.write_text("damaged")
    assert dataset_spec("mine", FOLDER) == first


def test_what_one_should_know_of_the_classes_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    write_folder(Path("pictures/train"), classes=("a", "b"), count=60)
    write_folder(Path("pictures/train"), classes=("c",), count=3)
    write_folder(Path("pictures/test"), classes=("a", "b"), count=4)
    made(dataset_spec("mine", FOLDER))
    said = capsys.readouterr().err
    assert "mine: 57 train, 6 validation, 4 test images of 3 classes" in said
    assert "mine: warning: no test images of c" in said
    assert "mine: warning: fewer than 10 training images of c (3)" in said
    assert re.search(r"mine: warning: from 3 \(c\) to 27 \(a\) training images a class: balanced accuracy", said)


def _with(path: str, content: bytes) -> Callable[[], None]:
    def write() -> None:
        write_folder(Path("pictures"), count=6)
        Path("pictures", path).write_bytes(content)

    return write


def _with_empty_class() -> None:
    write_folder(Path("pictures"), count=6)
    Path("pictures/none").mkdir()


def _with_pipe() -> None:
    write_folder(Path("pictures"), count=6)
    os.mkfifo("pictures/flower/x.png")


def _with_bytes_for_a_name() -> None:
    write_folder(Path("pictures"), count=6)
    Path("pictures/temple").rename(os.fsdecode(b"pictures/\xff\xfe"))


def _png(width: int, height: int, mode: str = "RGB") -> bytes:
    stream = io.BytesIO()
    Image.new(mode, (width, height)).save(stream, "PNG")
    return stream.getvalue()


BOMB = _png(8, 8).replace((8).to_bytes(4, "big") * 2, (60_000).to_bytes(4, "big") * 2)


@pytest.mark.parametrize(
    ("write", "options", "cause"),
    [
        (lambda: None, {}, "pictures: no such folder"),
        (lambda: Path("pictures").mkdir(), {}, "fewer than two class folders"),
        (lambda: write_folder(Path("pictures"), classes=("one",)), {}, "fewer than two class folders"),
        (
            _with_empty_class,
            {},
            "class folder pictures/none holds no images",
        ),
        (_with_pipe, {}, "flower/x.png is no file"),
        (_with_bytes_for_a_name, {}, "its name cannot be shown"),
        (_with("flower/x.png", b""), {}, "flower/x.png is not a whole image"),
        (_with("flower/x.png", b"<html>"), {}, "flower/x.png is not a whole image"),
        (_with("flower/x.png", BOMB), {}, "flower/x.png is not a whole image"),
        (_with("flower/x.png", _png(12, 16)), {}, "2 sizes"),
        (_with("flower/x.png", _png(16, 12, "I;16")), {}, "images of several types"),
        (write_folder, {"resize": 0}, r"datasets.mine.resize: 0 is not allowed; expected a side"),
        (write_folder, {"resize": [3]}, r"datasets.mine.resize: \[3\] is not allowed"),
        (write_folder, {"kind": "folders"}, "datasets.mine.kind: 'folders' is unknown; did you mean 'folder'"),
        (write_folder, {"path": None}, "datasets.mine.path: null is not allowed; expected a folder of class folders"),
        (write_folder, {"path": 3}, "datasets.mine.path: 3 is not allowed"),
        (write_folder, {"paht": "x"}, r"datasets.mine.paht: unknown key \(value \"x\"\); did you mean 'path'"),
        (write_folder, {"local": "x"}, "datasets.mine.local: unknown key"),
        (write_folder, {"layout": "NCHW"}, "datasets.mine.layout: unknown key"),
        (write_folder, {"train_images": 1}, "at least 2"),
    ],
)
def test_what_is_wrong_with_a_folder_is_named(write: Callable[..., Any], options: dict[str, Any], cause: str) -> None:
    write(Path("pictures")) if write is write_folder else write()
    with pytest.raises(UserError, match=cause) as caught:
        dataset_spec("mine", FOLDER | options)
    assert "\n" not in str(caught.value)


def test_a_truncated_image_is_named_when_it_is_decoded() -> None:
    write_folder(Path("pictures"))
    image = Path("pictures/flower/000.png")
    image.write_bytes(image.read_bytes()[:-200])
    with pytest.raises(UserError, match=r"flower/000\.png is not a whole image"):
        made(dataset_spec("mine", FOLDER))
    assert not list(Path("data").glob("mine-*"))


def test_a_built_in_name_is_refused() -> None:
    with pytest.raises(UserError, match="digits is a data set that is built in"):
        dataset_spec("digits", FOLDER)


IMAGES = RANDOM.integers(0, 256, (30, 5, 6), dtype=np.uint8)
LABELS = np.arange(30) % 3


@pytest.mark.parametrize("kind", ["npz", "compressed", "folder", "files"])
def test_arrays_are_read_from_every_kind_of_file(kind: str) -> None:
    options: dict[str, Any]
    if kind in ("npz", "compressed"):
        (np.savez if kind == "npz" else np.savez_compressed)("data.npz", images=IMAGES, labels=LABELS)
        options = {"kind": "npz", "path": "data.npz"}
    else:
        Path("arrays").mkdir()
        np.save("arrays/images.npy", np.asfortranarray(IMAGES))
        np.save("arrays/labels.npy", LABELS[:, None])
        options = {"kind": "npy", "path": "arrays"}
        if kind == "files":
            options = {"kind": "npy", "path": "arrays/images.npy", "labels": "arrays/labels.npy"}
    spec = dataset_spec("mine", options)
    prepared = made(spec)
    np.testing.assert_array_equal(prepared.images, IMAGES[:, None])
    np.testing.assert_array_equal(prepared.labels, LABELS)
    assert prepared.class_names == ["0", "1", "2"]
    manifest = read_json(Path("data") / f"mine-{spec['digest']}" / "manifest.json")
    assert manifest["sources"][0]["content"].startswith(f"sha256:{spec['content']}")


@pytest.mark.parametrize(
    ("shape", "options", "expected"),
    [
        ((30, 5, 6, 3), {}, "last"),
        ((30, 3, 5, 6), {}, "first"),
        ((30, 3, 5, 3), {"layout": "NHWC"}, "last"),
        ((30, 3, 5, 3), {"layout": "NCHW"}, "first"),
        ((30, 5, 6, 4), {"layout": "NHWC"}, "last"),
    ],
)
def test_channels_are_found(shape: tuple[int, ...], options: dict[str, Any], expected: str) -> None:
    images = RANDOM.integers(0, 256, shape, dtype=np.uint8)
    np.savez("data.npz", images=images, labels=LABELS)
    prepared = made(dataset_spec("mine", {"kind": "npz", "path": "data.npz"} | options))
    np.testing.assert_array_equal(prepared.images, np.moveaxis(images, 3, 1) if expected == "last" else images)


@pytest.mark.parametrize(
    ("values", "dtype", "maximum"),
    [
        (IMAGES > 100, "uint8", 1),
        (IMAGES.astype(np.int64), "uint8", 255),
        (IMAGES.astype(">i4") * 200, "uint16", 65_535),
        (IMAGES.astype(np.uint16), "uint16", 65_535),
        (IMAGES.astype(np.float64) / 7, "float32", 1),
        (IMAGES.astype(np.float16) - 3, "float32", 1),
    ],
)
def test_numbers_become_what_holds_them(values: np.ndarray, dtype: str, maximum: int) -> None:
    np.savez("data.npz", images=values, labels=LABELS)
    prepared = made(dataset_spec("mine", {"kind": "npz", "path": "data.npz"}))
    assert (prepared.images.dtype, prepared.maximum_value) == (np.dtype(dtype), maximum)
    np.testing.assert_array_equal(prepared.images[:, 0], values.astype(dtype))


@pytest.mark.parametrize(
    "names",
    [("train_images", "train_labels", "test_images", "test_labels"), ("x_train", "y_train", "x_test", "y_test")],
)
def test_parts_of_arrays_are_kept(names: tuple[str, ...]) -> None:
    values = (IMAGES[:24], LABELS[:24] + 5, IMAGES[24:], LABELS[24:] + 5)
    arrays: dict[str, Any] = dict(zip(names, values, strict=True))
    np.savez("data.npz", **arrays)
    spec = dataset_spec("mine", {"kind": "npz", "path": "data.npz"})
    assert spec["parts"] == {"train": 24, "validation": 0, "test": 6}
    prepared = made(spec)
    assert prepared.indices["test"].tolist() == list(range(24, 30))
    np.testing.assert_array_equal(prepared.labels, LABELS)
    assert prepared.class_names == ["5", "6", "7"]


@pytest.mark.parametrize(
    ("labels", "more", "expected"),
    [
        (np.array(["cat", "dog", "ant"])[LABELS], {}, ["ant", "cat", "dog"]),
        (LABELS.astype(float), {}, ["0", "1", "2"]),
        (LABELS, {"class_names": np.array(["a", "b", "c", "d"])}, ["a", "b", "c"]),
        (LABELS * 1000 - 7, {}, ["-7", "993", "1993"]),
    ],
)
def test_labels_may_be_texts_or_any_whole_numbers(labels: Any, more: dict[str, Any], expected: list[str]) -> None:
    np.savez("data.npz", images=IMAGES, labels=labels, **more)
    assert made(dataset_spec("mine", {"kind": "npz", "path": "data.npz"})).class_names == expected


def _saved(**arrays: Any) -> Callable[[], None]:
    return lambda: np.savez("data.npz", **arrays)


def _header(text: str, rest: bytes = b"") -> Callable[[], None]:
    def write() -> None:
        content = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + rest
        labels = io.BytesIO()
        np.save(labels, LABELS)
        with zipfile.ZipFile("data.npz", "w") as archive:
            archive.writestr("images.npy", content)
            archive.writestr("labels.npy", labels.getvalue())

    return write


def _zipped(method: int, name: str = "images.npy", content: bytes = bytes(100)) -> Callable[[], None]:
    def write() -> None:
        with zipfile.ZipFile("data.npz", "w", method) as archive:
            archive.writestr(name, content)

    return write


def _other() -> None:
    with tarfile.open("data.npz", "w") as archive:
        archive.addfile(tarfile.TarInfo("images.npy"))


@pytest.mark.parametrize(
    ("write", "cause"),
    [
        (lambda: None, r"datasets.mine.path: data.npz: no such .npz file"),
        (_other, "damaged or truncated"),
        (_saved(images=IMAGES), "images and labels were expected among its arrays; it holds images"),
        (_saved(pictures=IMAGES, labels=LABELS), "images and labels were expected"),
        (_saved(images=IMAGES, labels=LABELS, test_images=IMAGES), "test_images and test_labels were expected"),
        (_saved(images=IMAGES, labels=LABELS[:-1]), "expected one label for each of 30 images"),
        (_saved(images=IMAGES, labels=np.eye(30)), "expected one label for each"),
        (_saved(images=IMAGES, labels=LABELS / 2), "expected whole numbers, or texts"),
        (_saved(images=IMAGES, labels=np.full(30, np.nan)), "expected whole numbers, or texts"),
        (_saved(images=IMAGES, labels=np.zeros(30, int)), "1 classes; expected 2 to"),
        (_saved(images=IMAGES[:0], labels=LABELS[:0]), "expected images, in numbers"),
        (_saved(images=IMAGES[:, :0], labels=LABELS), "expected sides from 1"),
        (_saved(images=IMAGES[:, 0], labels=LABELS), r"expected \[N, H, W\]"),
        (_saved(images=np.array([None] * 30), labels=LABELS), "array of object is not allowed"),
        (_saved(images=IMAGES * (1 + 1j), labels=LABELS), "array of complex128 is not allowed"),
        (_saved(images=IMAGES.astype("U3"), labels=LABELS), "expected images, in numbers"),
        (_saved(images=np.where(IMAGES > 9, np.inf, IMAGES), labels=LABELS), "not finite"),
        (_saved(images=np.where(IMAGES > 9, np.nan, IMAGES), labels=LABELS), "not finite"),
        (_saved(images=IMAGES.astype(int) - 300, labels=LABELS), "whole numbers from -300"),
        (_saved(images=IMAGES.astype(int) * 300, labels=LABELS), "expected 0 to 255 or 0 to 65,535"),
        (_saved(images=RANDOM.integers(0, 9, (30, 3, 5, 3)), labels=LABELS), "does not tell where the channels are"),
        (_saved(images=RANDOM.integers(0, 9, (30, 5, 5, 5)), labels=LABELS), "add `layout: NCHW`"),
        (_saved(images=IMAGES, labels=LABELS, class_names=np.array(["a"])), "a text for each label"),
        (_header("{'descr': '|u1', 'fortran_order': False, 'shape': (9999999999, 8, 8)}"), "its header says"),
        (_header("{'descr': '|u1', 'fortran_order': False, 'shape': (-1, 8, 8)}"), "no array of NumPy"),
        (_header("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", bytes(8)), "array of object is not allowed"),
        (_header("{'descr': '|V0', 'fortran_order': False, 'shape': (30, 5, 6)}"), "is not allowed"),
        (_header("__import__('os').system('touch escaped')"), "no array of NumPy"),
        (_header("(" * 9000), "no array of NumPy"),
        (_zipped(zipfile.ZIP_LZMA), "by other than deflate"),
        (_zipped(zipfile.ZIP_STORED, "../images.npy"), "leads out of the folder"),
    ],
)
def test_what_is_wrong_with_arrays_is_named(write: Callable[[], None], cause: str, tmp_path: Path) -> None:
    write()
    with pytest.raises(UserError, match=cause) as caught:
        dataset_spec("mine", {"kind": "npz", "path": "data.npz"})
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500
    assert not (tmp_path / "escaped").exists()


def test_a_zip_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snn2ann.data.own.npy._LARGEST_UNPACKED", 10_000)
    np.savez_compressed("data.npz", images=np.zeros((30, 100, 100), np.uint8), labels=LABELS)
    with pytest.raises(UserError, match="unpacks to more"):
        dataset_spec("mine", {"kind": "npz", "path": "data.npz"})


FRAMES = RANDOM.random((40, 4, 2, 5, 6)) < 0.3


def test_frames_come_in_time_steps() -> None:
    np.savez("data.npz", frames=FRAMES, labels=np.arange(40) % 2)
    spec = dataset_spec("mine", {"kind": "frames", "path": "data.npz"})
    assert (spec["shape"], spec["frames"]) == ([2, 5, 6], 4)
    prepared = made(spec)
    assert (prepared.shape, prepared.frames) == ((2, 5, 6), 4)
    train = prepared.indices["train"]
    np.testing.assert_allclose(prepared.std, FRAMES[train].sum(1).std(axis=(0, 2, 3)), rtol=1e-12)
    assert prepared.mean == [0, 0]
    images, labels = next(batches(prepared, "train", 100, shuffle=False, seed=0, epoch=0))
    assert images.shape == (4, len(train), 2, 5, 6)
    expected = FRAMES[train].swapaxes(0, 1) / np.reshape(prepared.std, (2, 1, 1))
    np.testing.assert_allclose(images.numpy(), expected, rtol=1e-6)
    np.testing.assert_array_equal(labels, train % 2)


def test_all_frames_of_a_sample_are_augmented_alike() -> None:
    equal = np.repeat(FRAMES[:, :1], 4, axis=1)
    np.savez("data.npz", frames=equal, labels=np.arange(40) % 2)
    prepared = made(dataset_spec("mine", {"kind": "frames", "path": "data.npz"}))
    options: dict[str, Any] = {"augmentation": {"crop_padding": 2, "horizontal_flip": True}}
    images, _ = next(batches(prepared, "train", 100, shuffle=True, seed=0, epoch=0, **options))
    plain, _ = next(batches(prepared, "train", 100, shuffle=True, seed=0, epoch=0))
    assert (images == images[:1]).all() and not (images == plain).all()


@pytest.mark.parametrize("shape", [(40, 4, 5, 6), (40, 5, 6)])
def test_frames_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    np.savez("data.npz", frames=np.zeros(shape, np.uint8), labels=np.arange(40) % 2)
    with pytest.raises(UserError, match=r"expected frames \[N, T, C, H, W\]"):
        dataset_spec("mine", {"kind": "frames", "path": "data.npz"})


def test_a_torchvision_data_set_is_that_of_torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its files are there, as they are after a download."""
    raw = Path("data/raw/mine/MNIST/raw")
    raw.mkdir(parents=True)
    for part, count in (("train", 60), ("t10k", 30)):
        for ending, values in (
            ("images-idx3-ubyte", RANDOM.integers(0, 256, (count, 28, 28), dtype=np.uint8)),
            ("labels-idx1-ubyte", np.arange(count) % 10),
        ):
            (raw / f"{part}-{ending}").write_bytes(idx(values))
    spec = dataset_spec("mine", {"kind": "torchvision", "class": "MNIST"})
    assert spec["parts"] == {"train": 60, "validation": 0, "test": 30}
    prepared = made(spec)
    readers = [MNIST("data/raw/mine", train=train) for train in (True, False)]
    np.testing.assert_array_equal(prepared.images[:, 0], np.concatenate([each.data.numpy() for each in readers]))
    np.testing.assert_array_equal(prepared.labels, np.concatenate([each.targets.numpy() for each in readers]))
    assert prepared.class_names == readers[0].classes
    smaller = dataset_spec("mine", {"kind": "torchvision", "class": "MNIST", "resize": 14})
    assert smaller["shape"] == [1, 14, 14] and smaller["digest"] != spec["digest"]
    # What was written once is not decoded again.
    monkeypatch.setattr(from_torchvision, "_write", lambda *_: pytest.fail("written again"))
    assert dataset_spec("mine", {"kind": "torchvision", "class": "MNIST"}) == spec


@pytest.fixture
def served_mnist(server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """MNIST's four files, of 60 and 30 images, on the server that torchvision is told of."""
    generator, resources = np.random.default_rng(1), []
    for name, _ in MNIST.resources:
        count = 60 if name.startswith("train") else 30
        pixels = generator.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        content = gzip.compress(idx(pixels if "images" in name else (np.arange(count) % 10).astype(np.uint8)))
        server.files[name] = content
        resources.append((name, hashlib.md5(content).hexdigest()))
    monkeypatch.setattr(MNIST, "mirrors", [server.url])
    monkeypatch.setattr(MNIST, "resources", resources)
    return server


def test_a_torchvision_data_set_is_downloaded_once(served_mnist: Server) -> None:
    options = {"kind": "torchvision", "class": "MNIST"}
    spec = dataset_spec("mine", options)
    assert spec["parts"] == {"train": 60, "validation": 0, "test": 30}
    asked = list(served_mnist.requests)
    assert {name for name, _ in asked} == set(served_mnist.files)
    prepared = made(spec)
    np.testing.assert_array_equal(prepared.images[:60, 0], MNIST("data/raw/mine", train=True).data.numpy())
    assert dataset_spec("mine", options) == spec and served_mnist.requests == asked


@pytest.mark.parametrize("fault", ["404", "other content"])
def test_a_torchvision_download_that_fails_is_named_and_leaves_nothing(served_mnist: Server, fault: str) -> None:
    name = "train-images-idx3-ubyte.gz"
    content = served_mnist.files.pop(name)
    if fault == "other content":
        served_mnist.files[name] = content[:-9] + bytes(9)
    with pytest.raises(
        UserError, match=r"^datasets\.mine\.class: torchvision\.datasets\.MNIST cannot be made \("
    ) as caught:
        dataset_spec("mine", {"kind": "torchvision", "class": "MNIST"})
    assert "\n" not in str(caught.value) and not list(Path("data/raw").glob("*mine-*"))
    # The same command goes on once the server is mended.
    served_mnist.files[name] = content
    assert dataset_spec("mine", {"kind": "torchvision", "class": "MNIST"})["parts"]["train"] == 60


@pytest.mark.parametrize(
    ("options", "cause"),
    [
        ({"class": "MNST"}, "'MNST' is not allowed; expected one of"),
        ({"class": "ImageFolder"}, "'ImageFolder' is not allowed"),
        ({"class": "MNIST", "arguments": {"colour": True}}, r"torchvision.datasets.MNIST cannot be made \(TypeError"),
        ({"class": "MNIST", "arguments": 3}, "datasets.mine.arguments: 3 is not allowed; expected a map"),
        ({}, "datasets.mine.class: missing"),
    ],
)
def test_a_wrong_torchvision_class_is_named(options: dict[str, Any], cause: str) -> None:
    with pytest.raises(UserError, match=cause):
        dataset_spec("mine", {"kind": "torchvision"} | options)
    assert not list(Path("data/raw").glob("*mine-*"))


def test_a_channel_that_is_the_same_everywhere_is_normalised_to_nothing() -> None:
    images = np.stack([IMAGES, np.full_like(IMAGES, 7), IMAGES], axis=1)
    np.savez("data.npz", images=images, labels=LABELS)
    prepared = made(dataset_spec("mine", {"kind": "npz", "path": "data.npz"}))
    given, _ = next(batches(prepared, "train", 100, shuffle=False, seed=0, epoch=0))
    assert abs(float(given[:, 1].max())) < 1e-6 and prepared.std[1] == 1


def _filtered(row: np.ndarray, above: np.ndarray, kind: int, size: int) -> bytes:
    """A line of a PNG by one of its five filters (PNG specification, 9.2)."""
    left, corner = (np.concatenate([np.zeros(size, np.int64), each[:-size]]) for each in (row, above))
    guess = left + above - corner
    away = [np.abs(guess - each) for each in (left, above, corner)]
    nearest = np.where((away[0] <= away[1]) & (away[0] <= away[2]), left, np.where(away[1] <= away[2], above, corner))
    expected = (np.zeros_like(row), left, above, (left + above) // 2, nearest)[kind]
    return bytes([kind]) + ((row - expected) % 256).astype(np.uint8).tobytes()


def _deep_png(values: np.ndarray) -> bytes:
    """A PNG of 16 bits, [H, W, 2 to 4], with every kind of filter."""
    height, width, channels = values.shape
    rows = values.astype(">u2").view(np.uint8).reshape(height, -1).astype(np.int64)
    above = [np.zeros_like(rows[0]), *rows[:-1]]
    lines = [
        _filtered(row, up, number % 5, 2 * channels) for number, (row, up) in enumerate(zip(rows, above, strict=True))
    ]

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    colour = {2: 4, 3: 2, 4: 6}[channels]
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"".join(lines))) + chunk(b"IEND", b"")


def _deep_tiff(values: np.ndarray, order: str) -> bytes:
    """An uncompressed TIFF of 16 bits, [H, W, 3], in one strip."""
    height, width, _ = values.shape
    pixels = values.astype(f"{order}u2").tobytes()
    bits = 8 + 2 + 9 * 12 + 4
    tags = [
        (256, 1, width),
        (257, 1, height),
        (258, 3, bits),
        (259, 1, 1),
        (262, 1, 2),
        (273, 1, bits + 6),
        (277, 1, 3),
    ]
    tags += [(278, 1, height), (279, 1, len(pixels))]
    wide = {258: 3}
    entries = b"".join(struct.pack(f"{order}HHII", tag, wide.get(tag, 4), count, value) for tag, count, value in tags)
    head = {"<": b"II", ">": b"MM"}[order] + struct.pack(f"{order}HI", 42, 8) + struct.pack(f"{order}H", len(tags))
    return head + entries + bytes(4) + struct.pack(f"{order}3H", 16, 16, 16) + pixels


DEEP = RANDOM.integers(0, 65_536, (2, 12, 16, 4), dtype=np.uint16)


@pytest.mark.parametrize(
    ("ending", "write", "channels"),
    [
        ("png", _deep_png, 3),
        ("png", _deep_png, 4),
        ("tif", partial(_deep_tiff, order="<"), 3),
        ("tif", partial(_deep_tiff, order=">"), 3),
    ],
    ids=["png", "png with transparency", "tiff", "tiff, high bytes first"],
)
def test_16_bits_of_colour_are_read_whole(ending: str, write: Callable[..., bytes], channels: int) -> None:
    for name in ("bird", "cat"):
        Path("pictures", name).mkdir(parents=True)
        for number in range(10):
            content = write(np.roll(DEEP[int(name == "cat")], number, axis=0)[..., :channels])
            Path("pictures", name, f"{number}.{ending}").write_bytes(content)
    Path("pictures/cat/grey.png").write_bytes(_png(16, 12, "I;16"))
    spec = dataset_spec("mine", FOLDER)
    prepared = made(spec)
    assert prepared.images.dtype == np.uint16 and prepared.maximum_value == 65_535
    for name, first in (("bird", 0), ("cat", 10)):
        for number in range(10):
            expected = np.moveaxis(np.roll(DEEP[int(name == "cat")], number, axis=0)[..., :3], 2, 0)
            np.testing.assert_array_equal(prepared.images[first + number], expected)
    assert dataset_spec("mine", FOLDER | {"resize": 6})["shape"] == [3, 6, 6]


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("x.ppm", b"P6 16 12 65535\n" + DEEP[0, ..., :3].astype(">u2").tobytes()),
        ("x.png", _deep_png(DEEP[0, ..., :2])),
    ],
)
def test_16_bits_of_colour_in_other_files_are_refused(file: str, content: bytes) -> None:
    _with(f"flower/{file}", content)()
    with pytest.raises(
        UserError, match=rf"flower/{file}: 16 bits of .* are not read whole; save it as PNG or TIFF in RGB"
    ):
        dataset_spec("mine", FOLDER)
