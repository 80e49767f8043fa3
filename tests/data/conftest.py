"""Small archives of the true formats, and a server that can misbehave."""

import gzip
import hashlib
import io
import pickle
import struct
import tarfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from snn2ann.data import DATASETS, dataset_spec, download
from snn2ann.data.source import load_source

Files = dict[str, bytes]


def python2_pickle(value: Any) -> bytes:
    """Pickle as Python 2 wrote CIFAR's batches: byte strings, and NumPy's old module names."""
    return pickle.PROTO + b"\x02" + _python2_opcodes(value) + pickle.STOP


def _python2_opcodes(value: Any) -> bytes:
    if isinstance(value, dict):
        items = [_python2_opcodes(part) for pair in value.items() for part in pair]
        return pickle.EMPTY_DICT + pickle.MARK + b"".join(items) + pickle.SETITEMS
    if isinstance(value, list):
        return pickle.EMPTY_LIST + pickle.MARK + b"".join(map(_python2_opcodes, value)) + pickle.APPENDS
    if isinstance(value, int):
        return pickle.BININT + struct.pack("<i", value)
    if isinstance(value, str | bytes):
        content = value.encode() if isinstance(value, str) else value
        return pickle.BINSTRING + struct.pack("<i", len(content)) + content
    assert isinstance(value, np.ndarray)
    shape = b"".join(map(_python2_opcodes, value.shape)) + pickle.TUPLE2
    return (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n"
        + shape
        + b"cnumpy\ndtype\n(S'u1'\nI0\nI1\ntR(I3\nS'|'\nNNNI-1\nI-1\nI0\ntbI00\n"
        + _python2_opcodes(value.tobytes())
        + b"tb"
    )


def tar_of(members: Files) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def zip_of(members: Files) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def cifar_batch(count: int, classes: int, key: str, seed: int) -> dict[str, Any]:
    generator = np.random.default_rng(seed)
    data = generator.integers(0, 256, (count, 3072), dtype=np.uint8)
    labels = [int(label) for label in generator.permutation(count) % classes]
    return {"batch_label": f"batch {seed}", key: labels, "data": data, "filenames": ["a.png"] * count}


def cifar10_members() -> Files:
    batches = {f"data_batch_{n}": cifar_batch(20, 10, "labels", n) for n in range(1, 6)}
    batches["test_batch"] = cifar_batch(20, 10, "labels", 6)
    batches["batches.meta"] = {"num_vis": 3072, "label_names": [f"kind {n}" for n in range(10)]}
    return {f"cifar-10-batches-py/{name}": python2_pickle(b) for name, b in batches.items()}


def cifar100_members() -> Files:
    batches = {"train": cifar_batch(400, 100, "fine_labels", 1), "test": cifar_batch(100, 100, "fine_labels", 2)}
    batches["meta"] = {"fine_label_names": [f"kind {n}" for n in range(100)], "coarse_label_names": ["all"]}
    return {f"cifar-100-python/{name}": python2_pickle(b) for name, b in batches.items()}


def idx(values: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
    return header + values.astype(np.uint8).tobytes()


def fashion_mnist_files() -> Files:
    generator = np.random.default_rng(0)
    files = {}
    for part, count in (("train", 100), ("t10k", 30)):
        images = generator.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        files[f"{part}-images-idx3-ubyte.gz"] = gzip.compress(idx(images))
        files[f"{part}-labels-idx1-ubyte.gz"] = gzip.compress(idx(generator.permutation(count) % 10))
    return files


def jpeg(generator: np.random.Generator, *, grey: bool = False, side: int = 64) -> bytes:
    pixels = generator.integers(0, 256, (side, side) if grey else (side, side, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=90)
    return stream.getvalue()


def tiny_imagenet_members() -> Files:
    generator = np.random.default_rng(0)
    top = "tiny-imagenet-200"
    classes = [f"n{number:08d}" for number in generator.permutation(200)]
    members = {
        f"{top}/wnids.txt": "\n".join(classes).encode(),
        f"{top}/words.txt": "\n".join(f"{name}\tthing {name}, it" for name in [*classes, "n99999999"]).encode(),
    }
    for name in classes:
        members[f"{top}/train/{name}/{name}_boxes.txt"] = b""
        for number in (0, 1, 10):
            grey = number == 1 and name.endswith("7")
            members[f"{top}/train/{name}/images/{name}_{number}.JPEG"] = jpeg(generator, grey=grey)
    lines = []
    for number, name in enumerate(generator.permutation(classes)):
        members[f"{top}/val/images/val_{number}.JPEG"] = jpeg(generator)
        lines.append(f"val_{number}.JPEG\t{name}\t0\t0\t62\t62")
    members[f"{top}/val/val_annotations.txt"] = "\n".join(lines).encode()
    members[f"{top}/test/images/test_0.JPEG"] = jpeg(generator)
    return members


@pytest.fixture(scope="session")
def archives() -> dict[str, Files]:
    """The files of each data set that has to be downloaded, small but true to the format."""
    return {
        "fashion-mnist": fashion_mnist_files(),
        "cifar10": {"cifar-10-python.tar.gz": tar_of(cifar10_members())},
        "cifar100": {"cifar-100-python.tar.gz": tar_of(cifar100_members())},
        "tiny-imagenet": {"tiny-imagenet-200.zip": zip_of(tiny_imagenet_members())},
    }


Declare = Callable[..., dict[str, Any]]


@pytest.fixture
def declare(monkeypatch: pytest.MonkeyPatch) -> Declare:
    """Make files the declared ones of a data set, found on no mirror but those of the parameters."""

    def declare(name: str, files: Files, **parameters: Any) -> dict[str, Any]:
        checksums = {file: (f"md5:{hashlib.md5(content).hexdigest()}",) for file, content in files.items()}
        entry = replace(DATASETS[name], checksums=checksums)
        source = load_source(DATASETS[name])
        sizes = {file: len(content) for file, content in files.items()}
        small = replace(source, sizes=sizes, mirrors=(), installed=list)
        module, attribute = entry.source.split(":")
        monkeypatch.setattr(f"{module}.{attribute}", small)
        monkeypatch.setitem(DATASETS, name, entry)
        return dataset_spec(name, parameters)

    return declare


@dataclass
class Server:
    """What is served, how the next requests for a path are answered, and what was asked for."""

    url: str
    files: Files = field(default_factory=dict)
    faults: dict[str, list[str]] = field(default_factory=dict)
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    redirects: dict[str, str] = field(default_factory=dict)


class Handler(BaseHTTPRequestHandler):
    served: Server

    def do_GET(self) -> None:
        name = self.path.lstrip("/")
        wanted = self.headers.get("Range")
        self.served.requests.append((name, wanted))
        faults = self.served.faults.get(name, [])
        fault = faults.pop(0) if faults else ""
        if name in self.served.redirects:
            self.send_response(302)
            self.send_header("Location", self.served.redirects[name])
            self.end_headers()
        elif fault == "drip headers":
            self.drip(b"HTTP/1.1 200 OK\r\nX-Never-Ending: " + b"a" * 400)
        elif fault.isdigit() or name not in self.served.files:
            self.send_error(int(fault or 404))
        elif wanted and fault == "refuse range":
            self.send_error(416)
        else:
            self.send_file(self.served.files[name], wanted, fault)

    def send_file(self, content: bytes, wanted: str | None, fault: str) -> None:
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and fault != "ignore range" else 0
        if fault == "other range":
            start = max(start - 1, 0)
        rest = content[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        if fault != "short":
            self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        if fault in ("cut", "short", "stall"):
            self.wfile.write(rest[: len(rest) // 2])
            self.wfile.flush()
            time.sleep(10 if fault == "stall" else 0)
        elif fault == "drip":
            self.drip(rest[:400])
        elif fault == "slow":
            for position in range(0, len(rest), len(rest) // 20 + 1):
                self.wfile.write(rest[position : position + len(rest) // 20 + 1])
                self.wfile.flush()
                time.sleep(0.01)
        else:
            self.wfile.write(rest)
        self.close_connection = True

    def drip(self, content: bytes) -> None:
        """A byte now and then, until whoever listens has gone."""
        with suppress(OSError):
            for byte in content:
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
                time.sleep(0.01)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the tests' output clean."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A local HTTP server; pauses between attempts are short."""
    monkeypatch.setattr(download, "BACKOFF_SECONDS", 0.001)
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served = Server(f"http://127.0.0.1:{listener.server_address[1]}/")
    listener.RequestHandlerClass = type("Bound", (Handler,), {"served": served})
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield served
    listener.shutdown()
    listener.server_close()


@pytest.fixture
def local(tmp_path: Path) -> Callable[[Files], str]:
    """Put files into a folder and give its path."""

    def write(files: Files) -> str:
        folder = tmp_path / "local"
        folder.mkdir()
        for name, content in files.items():
            (folder / name).write_bytes(content)
        return str(folder)

    return write
