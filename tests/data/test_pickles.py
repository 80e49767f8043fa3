"""CIFAR's pickles: read as Python reads them, and nothing else is built."""

import pickle
import resource
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snn2ann.data import unpickling
from snn2ann.data.unpickling import PickleError, read_pickle
from tests.data.conftest import cifar_batch, python2_pickle

BATCH = cifar_batch(20, 10, "labels", 1)


def assert_same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(found[key], value)
            assert found[key].dtype == np.uint8
        else:
            assert found[key] == value


@pytest.mark.parametrize("protocol", range(1, 6))
@pytest.mark.parametrize("keys", ["texts", "bytes"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_what_python_3_writes_is_read(protocol: int, keys: str, order: Any) -> None:
    batch = BATCH | {"data": np.asarray(BATCH["data"], order=order)}
    written = {key.encode(): value for key, value in batch.items()} if keys == "bytes" else batch
    assert_same(read_pickle(pickle.dumps(written, protocol)), BATCH)


@pytest.mark.parametrize("protocol", range(2, 6))
def test_what_numpy_1_writes_is_read(protocol: int) -> None:
    content = pickle.dumps(BATCH, protocol)
    for module in (b"multiarray", b"numeric"):
        new, old = (name + module for name in (b"numpy._core.", b"numpy.core."))
        if protocol < 4:
            content = content.replace(b"c" + new, b"c" + old)
        else:
            content = content.replace(bytes([len(new)]) + new, bytes([len(old)]) + old)
    assert b"_core" not in content
    assert_same(read_pickle(content), BATCH)


def test_what_python_2_wrote_is_read() -> None:
    assert_same(read_pickle(python2_pickle(BATCH)), pickle.loads(python2_pickle(BATCH), encoding="latin1"))


def test_the_true_opcodes_of_cifars_batches_are_read() -> None:
    """The first bytes of the published data_batch_1, with four images of two bytes."""
    content = (
        b"\x80\x02}q\x01(U\x0bbatch_labelq\x02U\x15training batch 1 of 5q\x03U\x06labelsq\x04]q\x05(K\x06K\tK\x09K\x04e"
        b"U\x04dataq\x06cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08K\x00\x85q\tU\x01bq\n\x87q\x0bRq\x0c"
        b"(K\x01K\x04K\x02\x86q\rcnumpy\ndtype\nq\x0eU\x02u1q\x0fK\x00K\x01\x87q\x10Rq\x11(K\x03U\x01|q\x12NNNJ\xff\xff\xff\xff"
        b"J\xff\xff\xff\xffK\x00tq\x13b\x89T\x08\x00\x00\x00\x00\x01\x02\xff\xfe\x80\x06\x07tq\x14bU\tfilenamesq\x15]q\x16"
        b"(U\x05a.pngq\x17h\x17U\x05b.pngq\x18h\x18eu."
    )
    assert_same(read_pickle(content), pickle.loads(content, encoding="latin1"))


class Malicious:
    def __reduce__(self) -> Any:
        return Path.touch, (Path("escaped"),)


ARRAY = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n"
TYPE = b"cnumpy\ndtype\n(S'u1'\nI0\nI1\ntR"


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (pickle.dumps(Malicious()), "is not admitted"),
        (b"cos\nsystem\n(S'touch escaped'\ntR.", "os.system"),
        (b"cbuiltins\neval\n(S'1'\ntR.", "builtins.eval"),
        (b"cnumpy\nload\n(S'escaped'\ntR.", "numpy.load"),
        (pickle.dumps({"data": np.array([Malicious()], dtype=object)}), "another type|not admitted"),
        (pickle.dumps({"data": np.zeros(3)}, 2), "another type"),
        # These end a process with a segmentation fault where the names are looked up and called.
        (b"cnumpy\nndarray\n(I4\nctypes\nt.", "truncated"),
        (b"cnumpy\nndarray\n((I1\ntcnumpy\ndtype\n(S'O8'\ntRS'AAAAAAAA'\ntR.", "another type"),
        (b"cnumpy\nndarray\n((I9\nt" + TYPE + b"tR.", "calls ndarray"),
        (b"}(" + b")" + b"\x85" * 300_000 + b"NU\x01au.", "half a pair"),
        (b"}(" + b")" + b"\x85" * 300_000 + b"Nu.", "for a key"),
        (b"}(K\x01Nu.", "for a key"),
        # Claims that are not true.
        (b"T\xff\xff\xff\x7f.", "claims"),
        (b"T\xff\xff\xff\xff.", "claims"),
        (b"\x8e" + b"\xff" * 8 + b".", "claims"),
        (b"\x8b\xff\xff\xff\x7f.", "opcode LONG4"),
        (b"]r\xff\xff\xff\x7f.", "a list, a dict"),
        (b"I" + b"9" * 900 + b"\n.", "damaged"),
        (b"I" + b"9" * 9000 + b"\n.", "too long"),
        (ARRAY + b"(L1000000000000L\ntS'b'\ntR.", "an? array, a dict"),
        (b"}U\x01a" + ARRAY + b"(I0\ntS'b'\ntRs.", "without values"),
        (b"}U\x01a" + ARRAY + b"(I0\ntS'b'\ntR(I1\n(I9\nt" + TYPE + b"I00\nS'abc'\ntbs.", "shape is not that"),
        (b"}U\x01a" + ARRAY + b"(I0\ntS'b'\ntR(I1\n(I-3\nI-1\nt" + TYPE + b"I00\nS'abc'\ntbs.", "shape is not that"),
        (b"}U\x01a" + ARRAY + b"(I0\ntS'b'\ntR(I1\n(I3\ntNI00\nS'abc'\ntbs.", "without type"),
        # Damage.
        (b"", "truncated"),
        (b".", "damaged"),
        (b"K", "truncated"),
        (b"e.", "damaged"),
        (b"R.", "damaged"),
        (b"\x86.", "damaged"),
        (b"h\x05.", "damaged"),
        (b"\x80\x05\x95", "truncated"),
        (b"\xff.", "no opcode 255"),
        (b"X\x02\x00\x00\x00\xe4\xbd.", "beyond Latin-1"),
        (b"X\x01\x00\x00\x00\xc3.", "damaged"),
        (b"(i__main__\nX\n.", "opcode INST"),
        (b"\x82\x01.", "opcode EXT1"),
        (b"P1\n.", "opcode PERSID"),
        (b")\x81.", "opcode NEWOBJ"),
    ],
)
def test_everything_else_is_refused(
    content: bytes, cause: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PickleError, match=cause) as caught:
        read_pickle(content)
    assert len(str(caught.value)) < 200
    assert not list(tmp_path.iterdir())


def test_every_cut_of_a_batch_is_refused_or_read() -> None:
    """Bytes that are changed or missing raise one kind of error."""
    content = pickle.dumps(cifar_batch(2, 2, "labels", 0), 2)
    positions = np.random.default_rng(0).integers(0, 400, 300)
    for position in positions:
        for damaged in (content[:position], content[:position] + b"\xa7" + content[position + 1 :]):
            try:
                read_pickle(damaged)
            except PickleError:
                continue


GREEDY = {
    # A text of a megabyte, made bytes again and again.
    "copies": b"}(" + b"X" + struct.pack("<I", 10**6) + b"a" * 10**6 + b"q\x01"
    b"c_codecs\nencode\nq\x02" + b"h\x02h\x01U\x06latin1\x86R" * 5000 + b"u.",
    "memo": b"]r\xff\xff\xff\xff0.",
    "lists": b"(" + b"]" * 10**7 + b"l.",
    "marks": b"(" * 10**7 + b".",
}
JOB = "import sys; from snn2ann.data.unpickling import read_pickle; read_pickle(open(sys.argv[1], 'rb').read())"


@pytest.mark.parametrize("name", GREEDY)
def test_memory_is_bounded(name: str, tmp_path: Path) -> None:
    (tmp_path / "pickle").write_bytes(GREEDY[name])

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))

    done = subprocess.run(
        [sys.executable, "-c", JOB, str(tmp_path / "pickle")], preexec_fn=limit, capture_output=True, text=True
    )
    assert "PickleError" in done.stderr.splitlines()[-1], done.stderr


def test_work_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpickling, "MOST_OPCODES", 100)
    with pytest.raises(PickleError, match="more than 100 opcodes"):
        read_pickle(pickle.dumps(BATCH, 2))
