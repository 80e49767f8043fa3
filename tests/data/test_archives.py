"""Bad archives: refused with the cause, nothing written."""

import gzip
import hashlib
import io
import pickle
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snn2ann.data import cifar
from snn2ann.data.archives import _Bounded, open_zip, read_gzip, read_member, read_tar
from snn2ann.data.fashion_mnist import read_idx
from snn2ann.data.prepare import fetch_and_prepare
from snn2ann.errors import UserError

Files = dict[str, bytes]
LIMIT = 2**16
FOLDER = "cifar-10-batches-py"


def tar_with(change: Callable[[tarfile.TarInfo], None], content: bytes = b"hello") -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name in ("good", "bad"):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            if name == "bad":
                change(member)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def named(name: str) -> Callable[[tarfile.TarInfo], None]:
    return lambda member: setattr(member, "name", name)


def typed(kind: bytes, target: str = "") -> Callable[[tarfile.TarInfo], None]:
    def change(member: tarfile.TarInfo) -> None:
        member.type, member.linkname, member.size = kind, target, 0

    return change


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "inner"
    folder.mkdir()
    return folder / "archive"


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (named("/tmp/snn2ann-escaped"), "leads out"),
        (named("../escaped"), "leads out"),
        (named("a/../../escaped"), "leads out"),
        (named("C:\\escaped"), "leads out"),
        (typed(tarfile.SYMTYPE, "/etc/passwd"), "a link"),
        (typed(tarfile.SYMTYPE, "good"), "a link"),
        (typed(tarfile.LNKTYPE, "../escaped"), "a link"),
        (typed(tarfile.CHRTYPE), "a device"),
        (typed(tarfile.BLKTYPE), "a device"),
        (typed(tarfile.FIFOTYPE), "a device"),
    ],
)
def test_an_unsafe_tar_is_refused_as_a_whole(change: Callable[[tarfile.TarInfo], None], cause: str, path: Path) -> None:
    path.write_bytes(tar_with(change))
    with pytest.raises(UserError, match=cause):
        read_tar(path, ["good"], LIMIT)
    assert [file.name for file in path.parent.parent.rglob("*")] == ["inner", "archive"]


def test_a_good_tar_is_read(path: Path) -> None:
    path.write_bytes(tar_with(lambda member: None))
    assert read_tar(path, ["good"], LIMIT) == {"good": b"hello"}
    with pytest.raises(UserError, match="other, third not in the archive"):
        read_tar(path, ["good", "other", "third"], LIMIT)


def test_a_tar_that_declares_a_huge_member_is_refused(path: Path) -> None:
    header = tarfile.TarInfo("bad")
    header.size = 10**12
    path.write_bytes(gzip.compress(header.tobuf() + bytes(1024)))
    with pytest.raises(UserError, match="unpacks to more"):
        read_tar(path, ["bad"], LIMIT)


def test_a_tar_that_is_huge_is_refused(path: Path) -> None:
    # Many small members, and one long header: no single declared size gives it away.
    one = tarfile.TarInfo("bad")
    one.size = 512
    path.write_bytes(gzip.compress((one.tobuf() + bytes(512)) * 1000))
    with pytest.raises(UserError, match="unpacks to more"):
        read_tar(path, ["good"], LIMIT)
    long = tarfile.TarInfo("bad")
    long.type, long.size = tarfile.XHDTYPE, 2**30
    path.write_bytes(gzip.compress(long.tobuf() + bytes(2**20)))
    with pytest.raises(UserError, match="unpacks to more"):
        read_tar(path, ["good"], LIMIT)


def records(**pairs: str) -> bytes:
    text = b""
    for key, value in pairs.items():
        rest = f" {key}={value}\n".encode()
        length = next(n for n in range(len(rest), len(rest) + 9) if n == len(str(n)) + len(rest))
        text += str(length).encode() + rest
    return text


def extended(text: bytes, kind: bytes = tarfile.XHDTYPE) -> bytes:
    """A header that tells of the next member."""
    header = tarfile.TarInfo("PaxHeader")
    header.type, header.size = kind, len(text)
    return header.tobuf() + text + bytes(-len(text) % 512)


def member(name: str, content: bytes, kind: bytes = tarfile.REGTYPE) -> bytes:
    header = tarfile.TarInfo(name)
    header.type, header.size = kind, len(content)
    return header.tobuf(tarfile.GNU_FORMAT) + content + bytes(-len(content) % 512)


END = bytes(1024)


@pytest.mark.parametrize(
    ("before", "cause"),
    [
        (extended(records(**{"GNU.sparse.map": "0,5", "GNU.sparse.size": "5"})), "a sparse file"),
        (extended(records(**{"GNU.sparse.major": "1", "GNU.sparse.minor": "0"})), "a sparse file"),
        (extended(b"9 x\n"), "damaged"),
        (extended(b"no number"), "damaged"),
        (extended(b"-5 path=x\n" * 9), "damaged"),
        (extended(records(size="many")), "damaged"),
        (extended(records(size="-5")), "of -5 bytes"),
        (extended(records(size="999999999999")), "unpacks to more"),
        (extended(records(path="../escaped")), "leads out"),
        (member("other", bytes(5), tarfile.GNUTYPE_SPARSE), "a sparse file"),
        (member("../" * 50 + "x", b""), "leads out"),
        (member("folder", b"five!", tarfile.DIRTYPE), "of 5 bytes"),
        (bytes(range(256)) * 2, "damaged"),
    ],
)
def test_headers_that_mislead_are_refused(before: bytes, cause: str, path: Path) -> None:
    path.write_bytes(gzip.compress(before + member("good", b"hello") + END))
    with pytest.raises(UserError, match=cause) as caught:
        read_tar(path, ["good"], LIMIT)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_tars_of_every_writer_are_read(form: int, path: Path) -> None:
    stream, name = io.BytesIO(), "a" * 60 + "/" + "b" * 80
    with tarfile.open(fileobj=stream, mode="w:gz", format=form, pax_headers={"comment": "made by hand"}) as archive:
        for each in ("folder", name):
            info = tarfile.TarInfo(each)
            info.type = tarfile.DIRTYPE if each == "folder" else tarfile.REGTYPE
            info.mtime, info.size = 1.5 if form == tarfile.PAX_FORMAT else 1, 5 * (each == name)
            archive.addfile(info, io.BytesIO(b"hello"))
    path.write_bytes(stream.getvalue())
    assert read_tar(path, [name], LIMIT) == {name: b"hello"}


def test_a_tar_of_very_many_members_is_refused(path: Path) -> None:
    path.write_bytes(gzip.compress(member("a", b"") * 20_000 + END))
    with pytest.raises(UserError, match="more than 10,000 members"):
        read_tar(path, ["a"], 2**30)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_of_other_compression_is_refused(method: int, path: Path) -> None:
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("good", b"hello")
    with pytest.raises(UserError, match="by other than deflate"), open_zip(path, LIMIT):
        pass


def test_no_more_than_the_bound_is_unpacked_at_once(path: Path) -> None:
    stream = io.BytesIO(bytes(1000))
    with pytest.raises(UserError, match="unpacks to more"):
        _Bounded(stream, path, 10).read(1000)
    assert stream.tell() == 11


def damaged(content: bytes) -> dict[str, bytes]:
    middle = len(content) // 2
    return {
        "truncated": content[:middle],
        "truncated a little": content[:-1],
        "flipped": content[:middle] + bytes([content[middle] ^ 16]) + content[middle + 1 :],
        "empty": b"",
        "page": b"<html>not found</html>",
        "other type": b"\x89PNG\r\n" + bytes(600),
    }


DAMAGES = sorted(damaged(b"ab"))


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_tar_is_refused(damage: str, path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, 5000, dtype=np.uint8).tobytes()
    path.write_bytes(damaged(tar_with(lambda member: None, noise))[damage])
    with pytest.raises(UserError, match="archive"):
        # Its end is read as well: what follows the wanted member is part of the file.
        read_tar(path, ["good", "bad"], LIMIT)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_zip_is_refused(damage: str, path: Path, archives: dict[str, Files]) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("good", np.random.default_rng(0).bytes(5000))
    path.write_bytes(damaged(stream.getvalue())[damage])
    with pytest.raises(UserError, match="damaged or truncated"), open_zip(path, LIMIT) as opened:
        read_member(opened, path, "good")


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_gzip_is_refused(damage: str, path: Path) -> None:
    path.write_bytes(damaged(gzip.compress(np.random.default_rng(0).bytes(5000)))[damage])
    if damage == "empty":
        # Gzip reads an empty file as no members; the reader of what it holds has to object.
        with pytest.raises(UserError, match="not an idx file"):
            read_idx(path, 1)
    else:
        with pytest.raises(UserError, match="damaged or truncated"):
            read_gzip(path, LIMIT)


def zip_with(name: str, mode: int = 0, content: bytes = b"hello") -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        member = zipfile.ZipInfo(name)
        member.external_attr = mode << 16
        member.compress_type = zipfile.ZIP_DEFLATED
        archive.writestr(member, content)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (zip_with("/etc/escaped"), "leads out"),
        (zip_with("a/../../escaped"), "leads out"),
        (zip_with("bad", stat.S_IFLNK | 0o777), "a link"),
        (zip_with("bad", stat.S_IFCHR | 0o666), "a link or a device"),
        (zip_with("bad", content=bytes(LIMIT + 1)), "unpacks to more"),
    ],
)
def test_an_unsafe_zip_is_refused(content: bytes, cause: str, path: Path) -> None:
    path.write_bytes(content)
    with pytest.raises(UserError, match=cause), open_zip(path, LIMIT):
        pass


def test_a_zip_that_is_larger_than_it_declares_is_refused(path: Path) -> None:
    content = bytearray(zip_with("bad", content=bytes(10 * LIMIT)))
    declared = (10 * LIMIT).to_bytes(4, "little")
    assert content.count(declared) == 2
    path.write_bytes(bytes(content).replace(declared, (100).to_bytes(4, "little")))
    with pytest.raises(UserError, match="damaged"), open_zip(path, LIMIT) as archive:
        read_member(archive, path, "bad")


def test_a_gzip_bomb_is_refused(path: Path) -> None:
    path.write_bytes(gzip.compress(bytes(100 * LIMIT)))
    with pytest.raises(UserError, match="unpacks to more"):
        read_gzip(path, LIMIT)


def cifar_with(name: str, content: bytes, archives: dict[str, Files]) -> bytes:
    """The small CIFAR-10 archive with one member exchanged."""
    stream = io.BytesIO()
    original = io.BytesIO(archives["cifar10"]["cifar-10-python.tar.gz"])
    with tarfile.open(fileobj=original) as old, tarfile.open(fileobj=stream, mode="w:gz") as new:
        for member in old:
            file = old.extractfile(member)
            assert file is not None
            inside = content if member.name == f"{FOLDER}/{name}" else file.read()
            member.size = len(inside)
            new.addfile(member, io.BytesIO(inside))
    return stream.getvalue()


PIXELS = np.zeros((2, 3072), np.uint8)


@pytest.mark.parametrize(
    ("name", "content", "cause"),
    [
        ("data_batch_2", b"cos\nsystem\n(S'true'\ntR.", "os.system"),
        ("data_batch_2", b"", "truncated"),
        ("data_batch_2", b"\x80\x02}q", "refused"),
        ("data_batch_2", pickle.dumps([1, 2]), "a list, a dict was expected"),
        ("data_batch_2", pickle.dumps({"labels": [1, 2**70], "data": PIXELS}, 4), "does not hold"),
        ("data_batch_2", pickle.dumps({"labels": [1, -1], "data": PIXELS}, 4), "does not hold"),
        ("data_batch_2", pickle.dumps({"labels": [1]}, 2), "does not hold"),
        ("data_batch_2", pickle.dumps({"labels": [1], "data": PIXELS}, 4), "does not hold"),
        ("data_batch_2", pickle.dumps({"labels": ["1", "2"], "data": PIXELS}, 4), "does not hold"),
        ("data_batch_2", pickle.dumps({"labels": [1, 10], "data": PIXELS}, 4), "labels 0 to 9"),
        ("batches.meta", pickle.dumps({"label_names": "all"}), "label_names"),
        ("batches.meta", pickle.dumps({"label_names": ["a", "b"]}), "2 class names"),
    ],
)
def test_a_bad_batch_is_refused(
    name: str,
    content: bytes,
    cause: str,
    archives: dict[str, Files],
    declare: Callable[..., dict[str, Any]],
    local: Callable[[Files], str],
    tmp_path: Path,
) -> None:
    # Protocol 4 writes bytes as such; older ones need a global that CIFAR's files do not hold.
    files = {"cifar-10-python.tar.gz": cifar_with(name, content, archives)}
    spec = declare("cifar10", files, local=local(files))
    with pytest.raises(UserError, match=cause):
        fetch_and_prepare(spec, tmp_path / "raw", tmp_path / "data" / "prepared")
    assert not list((tmp_path / "data").glob("*"))


def test_a_bomb_with_a_right_checksum_is_refused(
    archives: dict[str, Files],
    declare: Callable[..., dict[str, Any]],
    local: Callable[[Files], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cifar, "_LARGEST_CONTENT", 10_000)
    spec = declare("cifar10", archives["cifar10"], local=local(archives["cifar10"]))
    with pytest.raises(UserError, match="unpacks to more"):
        fetch_and_prepare(spec, tmp_path / "raw", tmp_path / "data" / "prepared")


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (bytes([0, 0, 8, 3, 0, 0, 0, 2]) + b"ab", "not an idx file"),
        (bytes([0, 0, 13, 1, 0, 0, 0, 2]) + b"ab", "not an idx file"),
        (bytes([0, 0, 8, 1, 0, 0]), "not an idx file"),
        (bytes([0, 0, 8, 1, 0, 0, 0, 3]) + b"ab", r"2 values, its header says \[3\]"),
        (bytes([0, 0, 8, 1, 0, 0, 0, 1]) + b"ab", r"2 values, its header says \[1\]"),
        (bytes([0, 0, 8, 1]) + b"\xff" * 4 + bytes(70_000), "unpacks to more"),
        (bytes([0, 0, 8, 1]) + bytes(4), r"0 values, its header says \[0\]"),
    ],
)
def test_a_bad_idx_file_is_refused(content: bytes, cause: str, path: Path) -> None:
    path.write_bytes(gzip.compress(content))
    with pytest.raises(UserError, match=cause):
        read_idx(path, 1)


TOP = "tiny-imagenet-200"


@pytest.mark.parametrize(
    ("member", "change", "cause"),
    [
        ("val/images/val_7.JPEG", lambda old: old[: len(old) // 2], "not a whole JPEG"),
        ("val/images/val_7.JPEG", lambda old: b"<html></html>", "not a whole JPEG"),
        ("val/images/val_7.JPEG", lambda old: None, "not in the archive"),
        ("val/images/val_7.JPEG", lambda old: _png(), "not a whole JPEG"),
        ("val/images/val_7.JPEG", lambda old: _large(), "(128, 64)|was expected"),
        ("wnids.txt", lambda old: None, "wnids.txt not in the archive"),
        ("wnids.txt", lambda old: old[:500], "unknown class"),
        ("val/val_annotations.txt", lambda old: b"val_0.JPEG n0", "no tabulator"),
        ("words.txt", lambda old: b"\xff\xfe", "is not text"),
        ("val/images/val_7.JPEG", lambda old: _jpeg_of(65_500), "not a whole JPEG"),
    ],
)
def test_a_bad_tiny_imagenet_is_refused(
    member: str,
    change: Callable[[bytes], bytes | None],
    cause: str,
    archives: dict[str, Files],
    declare: Callable[..., dict[str, Any]],
    local: Callable[[Files], str],
    tmp_path: Path,
) -> None:
    (name,) = archives["tiny-imagenet"]
    stream = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(archives["tiny-imagenet"][name])) as old,
        zipfile.ZipFile(stream, "w") as new,
    ):
        for entry in old.namelist():
            content = old.read(entry)
            changed = change(content) if entry == f"{TOP}/{member}" else content
            if changed is not None:
                new.writestr(entry, changed)
    files = {name: stream.getvalue()}
    assert hashlib.md5(files[name]).digest() != hashlib.md5(archives["tiny-imagenet"][name]).digest()
    spec = declare("tiny-imagenet", files, local=local(files), validation=0.34)
    with pytest.raises(UserError, match=cause):
        fetch_and_prepare(spec, tmp_path / "raw", tmp_path / "data" / "prepared")
    assert not list((tmp_path / "data").glob("*"))


def _png() -> bytes:
    header = b"\x89PNG\r\n\x1a\n"
    body = b"IHDR" + (50_000).to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])
    return header + (13).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")


def _jpeg_of(side: int) -> bytes:
    """A small JPEG whose header claims a huge image."""
    size = (64).to_bytes(2, "big") * 2
    small = _large(64)
    assert small.count(size) == 1
    return small.replace(size, side.to_bytes(2, "big") * 2)


def _large(width: int = 128) -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    Image.new("RGB", (width, 64)).save(stream, "JPEG")
    return stream.getvalue()
