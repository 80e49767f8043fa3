"""Fetching from a server that misbehaves."""

import errno
import gzip
import hashlib
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snn2ann.data import download as downloading
from snn2ann.data.download import ATTEMPTS, download
from snn2ann.data.identity import Identity
from snn2ann.data.loading import load, verify
from snn2ann.data.prepare import fetch_and_prepare
from snn2ann.errors import UserError

Files = dict[str, bytes]
NAME = "file.gz"
CONTENT = gzip.compress(np.random.default_rng(0).integers(0, 256, 300_000, dtype=np.uint8).tobytes())
IDENTITY = Identity(NAME, [f"md5:{hashlib.md5(CONTENT).hexdigest()}"], len(CONTENT))
WRONG = gzip.compress(np.random.default_rng(1).integers(0, 256, 300_000, dtype=np.uint8).tobytes())
PAGE = b"<!DOCTYPE html><html><body>Please log in</body></html>"
HALF = len(CONTENT) // 2


def fetched(server: Any, tmp_path: Path, *mirrors: str) -> str:
    """Download from `mirrors` of the server; the file has to be right and nothing else left."""
    path = tmp_path / NAME
    url = download(IDENTITY, [server.url + mirror for mirror in mirrors], path, "cifar10")
    assert path.read_bytes() == CONTENT
    assert [file.name for file in tmp_path.iterdir()] == [NAME]
    return url.removeprefix(server.url)


@pytest.mark.parametrize("mirror", ["", "folder/", "folder", f"folder/{NAME}"])
def test_a_mirror_is_a_folder_or_the_file(server: Any, tmp_path: Path, mirror: str) -> None:
    place = f"folder/{NAME}" if mirror else NAME
    server.files[place] = CONTENT
    assert fetched(server, tmp_path, mirror) == place
    assert server.requests == [(place, None)]


def test_redirects_are_followed(server: Any, tmp_path: Path) -> None:
    server.files["elsewhere"] = CONTENT
    server.redirects[NAME] = server.url + "elsewhere"
    assert fetched(server, tmp_path, "") == NAME


def test_slow_bytes_arrive(server: Any, tmp_path: Path) -> None:
    server.files[NAME], server.faults[NAME] = CONTENT, ["slow"]
    fetched(server, tmp_path, "")
    assert len(server.requests) == 1


@pytest.mark.parametrize("fault", ["cut", "short"])
def test_a_cut_connection_is_taken_up_again(server: Any, tmp_path: Path, fault: str) -> None:
    server.files[NAME], server.faults[NAME] = CONTENT, [fault, fault]
    fetched(server, tmp_path, "")
    starts = [0 if wanted is None else int(wanted[6:-1]) for _, wanted in server.requests]
    # Each request asks for what the ones before did not bring: all, a half, a quarter, save a chunk.
    assert np.allclose(starts, [0, len(CONTENT) / 2, len(CONTENT) * 3 / 4], atol=2**14)
    assert starts[1] > starts[0]


def test_many_cuts_are_survived_as_long_as_bytes_come(server: Any, tmp_path: Path) -> None:
    server.files[NAME], server.faults[NAME] = CONTENT, ["cut"] * (ATTEMPTS + 1)
    fetched(server, tmp_path, "")


@pytest.mark.parametrize("fault", ["ignore range", "refuse range", "other range"])
def test_a_server_without_ranges_sends_the_whole(server: Any, tmp_path: Path, fault: str) -> None:
    server.files[NAME], server.faults[NAME] = CONTENT, ["cut", fault]
    fetched(server, tmp_path, "")


def test_a_second_job_goes_on_where_the_first_was_killed(server: Any, tmp_path: Path) -> None:
    server.files[NAME], server.faults[NAME] = CONTENT, ["cut", "403"]
    with pytest.raises(UserError, match="403"):
        fetched(server, tmp_path, "")
    fetched(server, tmp_path, "")
    wanted = server.requests[-1][1]
    assert wanted is not None
    assert abs(int(wanted[6:-1]) - HALF) < 2**14


def test_a_file_that_changed_between_two_parts_is_fetched_afresh(server: Any, tmp_path: Path) -> None:
    server.files[NAME], server.faults[NAME] = WRONG, ["cut", "403"]
    with pytest.raises(UserError, match="403"):
        fetched(server, tmp_path, "")
    server.files[NAME] = CONTENT
    fetched(server, tmp_path, "")
    assert server.requests[-1] == (NAME, None)


@pytest.mark.parametrize("status", ["404", "403", "410"])
def test_a_mirror_without_the_file_is_skipped_at_once(server: Any, tmp_path: Path, status: str) -> None:
    server.files |= {f"a/{NAME}": CONTENT, f"b/{NAME}": CONTENT}
    server.faults[f"a/{NAME}"] = [status]
    assert fetched(server, tmp_path, "a/", "b/") == f"b/{NAME}"
    assert len(server.requests) == 2


@pytest.mark.parametrize("status", ["500", "503", "429"])
def test_a_busy_mirror_is_asked_again(server: Any, tmp_path: Path, status: str) -> None:
    server.files[NAME], server.faults[NAME] = CONTENT, [status] * (ATTEMPTS - 1)
    fetched(server, tmp_path, "")
    assert len(server.requests) == ATTEMPTS


def test_a_mirror_that_stays_busy_is_skipped(server: Any, tmp_path: Path) -> None:
    server.files |= {f"a/{NAME}": CONTENT, f"b/{NAME}": CONTENT}
    server.faults[f"a/{NAME}"] = ["500"] * ATTEMPTS
    assert fetched(server, tmp_path, "a/", "b/") == f"b/{NAME}"


def test_pauses_grow(server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("snn2ann.data.download.time.sleep", pauses.append)
    server.files[NAME], server.faults[NAME] = CONTENT, ["500"] * (ATTEMPTS - 1)
    fetched(server, tmp_path, "")
    assert pauses == [pauses[0] * 2**step for step in range(ATTEMPTS - 1)]


@pytest.mark.parametrize(
    ("lie", "cause"),
    [
        (WRONG[: len(CONTENT)].ljust(len(CONTENT), b"\0"), "wrong checksum"),
        (bytes([CONTENT[0], CONTENT[1], CONTENT[2] ^ 1]) + CONTENT[3:], "wrong checksum"),
        (PAGE, "web page"),
        (b"", "empty file"),
        (b"PK\x03\x04" + bytes(100), "not a .gz file"),
        (CONTENT + b"more", "longer than the expected"),
        (CONTENT[:-1000], "ended after"),
    ],
)
def test_a_mirror_that_lies_is_skipped_with_a_line(
    server: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], lie: bytes, cause: str
) -> None:
    server.files |= {f"a/{NAME}": lie, f"b/{NAME}": CONTENT}
    assert fetched(server, tmp_path, "a/", "b/") == f"b/{NAME}"
    lines = [line for line in capsys.readouterr().err.splitlines() if line.endswith("skipped")]
    assert len(lines) == 1
    assert f"a/{NAME}" in lines[0]
    assert cause in lines[0]


@pytest.mark.parametrize("fault", ["drip", "drip headers"])
def test_a_mirror_that_drips_is_left_for_the_next(
    server: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setattr(downloading, "WINDOW_SECONDS", 0.3)
    server.files |= {f"a/{NAME}": CONTENT, f"b/{NAME}": CONTENT}
    server.faults[f"a/{NAME}"] = [fault]
    assert fetched(server, tmp_path, "a/", "b/") == f"b/{NAME}"
    assert "slower than 200,000 bytes a second over 0.3 s; skipped" in capsys.readouterr().err
    assert [name for name, _ in server.requests] == [f"a/{NAME}", f"b/{NAME}"]


def test_a_mirror_that_is_fast_enough_is_kept(server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloading, "WINDOW_SECONDS", 0.05)
    monkeypatch.setattr(downloading, "LEAST_BYTES", 1)
    server.files[NAME], server.faults[NAME] = CONTENT, ["slow"]
    fetched(server, tmp_path, "")
    assert len(server.requests) == 1


def test_without_a_network_the_error_says_what_to_put_where(server: Any, tmp_path: Path) -> None:
    path = tmp_path / NAME
    with pytest.raises(UserError) as caught:
        # Nothing listens on the discard port.
        download(IDENTITY, ["http://127.0.0.1:9/", server.url + "none/"], path, "cifar10")
    for word in (str(path), IDENTITY.checksums[0], "datasets.cifar10.local", "127.0.0.1:9", "404"):
        assert word in str(caught.value)


def test_a_proxy_of_the_environment_is_used(server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    asked = f"http://data.invalid/{NAME}"
    server.files[asked] = CONTENT
    download(IDENTITY, [asked], tmp_path / NAME, "cifar10")
    assert (tmp_path / NAME).read_bytes() == CONTENT
    assert server.requests == [(asked, None)]


def test_what_was_downloaded_serves_the_next_preparation(
    server: Any,
    archives: dict[str, Files],
    declare: Callable[..., dict[str, Any]],
    tmp_path: Path,
) -> None:
    server.files |= archives["fashion-mnist"]
    for seed in (0, 1):
        spec = declare("fashion-mnist", archives["fashion-mnist"], mirrors=[server.url], split_seed=seed)
        fetch_and_prepare(spec, tmp_path / "raw", tmp_path / f"prepared-{seed}")
        verify(tmp_path / f"prepared-{seed}")
    assert sorted(name for name, _ in server.requests) == sorted(archives["fashion-mnist"])
    sources = [(tmp_path / f"prepared-{seed}" / "manifest.json").read_text() for seed in (0, 1)]
    assert all(server.url + "train-images-idx3-ubyte.gz" in text for text in sources)


def test_a_full_disk_in_a_download_leaves_the_previous_state(
    server: Any,
    archives: dict[str, Files],
    declare: Callable[..., dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (name,) = archives["cifar10"]
    server.files |= archives["cifar10"]
    output = tmp_path / "prepared"
    fetch_and_prepare(declare("cifar10", archives["cifar10"], mirrors=[server.url]), tmp_path / "raw", output)
    (tmp_path / "raw" / "cifar10" / name).unlink()
    other = declare("cifar10", archives["cifar10"], mirrors=[server.url], split_seed=1)

    def fill(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(downloading._Receiver, "write", fill)
        with pytest.raises(UserError, match="disk is full"):
            fetch_and_prepare(other, tmp_path / "raw", output)
    verify(output)
    fetch_and_prepare(other, tmp_path / "raw", output)
    assert load(output).digest == other["digest"]


def test_a_mirror_that_cuts_and_lies_is_given_up(server: Any, tmp_path: Path) -> None:
    server.files |= {f"a/{NAME}": WRONG, f"b/{NAME}": CONTENT}
    server.faults[f"a/{NAME}"] = ["cut", ""] * 20
    assert fetched(server, tmp_path, "a/", "b/") == f"b/{NAME}"
    assert len(server.requests) == 5


def test_a_damaged_earlier_download_is_fetched_again(
    server: Any,
    archives: dict[str, Files],
    declare: Callable[..., dict[str, Any]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (name,) = archives["cifar10"]
    server.files |= archives["cifar10"]
    damaged = tmp_path / "raw" / "cifar10" / name
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(archives["cifar10"][name][:-1])
    spec = declare("cifar10", archives["cifar10"], mirrors=[server.url])
    fetch_and_prepare(spec, tmp_path / "raw", tmp_path / "prepared")
    assert f"{damaged}: truncated" in capsys.readouterr().err
    assert damaged.read_bytes() == archives["cifar10"][name]


LOCAL_CASES = [(b"", "empty file"), (PAGE, "web page"), (b"text", "not a .gz file"), (b"\x1f\x8b", "truncated")]


@pytest.mark.parametrize(("content", "cause"), LOCAL_CASES)
@pytest.mark.parametrize("as_folder", [True, False])
def test_a_wrong_local_file_is_refused(
    content: bytes,
    cause: str,
    as_folder: bool,
    archives: dict[str, Files],
    declare: Callable[..., dict[str, Any]],
    tmp_path: Path,
) -> None:
    (name,) = archives["cifar10"]
    (tmp_path / name).write_bytes(content)
    local = str(tmp_path if as_folder else tmp_path / name)
    spec = declare("cifar10", archives["cifar10"], local=local)
    with pytest.raises(UserError, match=cause) as caught:
        fetch_and_prepare(spec, tmp_path / "raw", tmp_path / "prepared")
    assert str(tmp_path / name) in str(caught.value)
    assert not (tmp_path / "prepared").exists()


def test_a_missing_local_file_is_named(
    archives: dict[str, Files], declare: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    (name,) = archives["cifar10"]
    spec = declare("cifar10", archives["cifar10"], local=str(tmp_path))
    with pytest.raises(UserError, match=r"datasets\.cifar10\.local") as caught:
        fetch_and_prepare(spec, tmp_path / "raw", tmp_path / "prepared")
    assert str(tmp_path / name) in str(caught.value)


JOB = """
import sys
import time
from dataclasses import replace
from pathlib import Path
import snn2ann.data, snn2ann.data.cifar as cifar
from snn2ann.data.prepare import fetch_and_prepare
url, checksum, size, raw, output, seed = sys.argv[1:]
name = "cifar-10-python.tar.gz"
entry = replace(snn2ann.data.DATASETS["cifar10"], checksums={name: (checksum,)})
snn2ann.data.DATASETS["cifar10"] = entry
cifar.CIFAR10 = replace(cifar.CIFAR10, sizes={name: int(size)})
spec = snn2ann.data.dataset_spec("cifar10", {"mirrors": [url], "split_seed": int(seed)})
fetch_and_prepare(spec, Path(raw), Path(output))
"""


def test_a_killed_download_goes_on(
    server: Any, archives: dict[str, Files], declare: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    ((name, content),) = archives["cifar10"].items()
    server.files[name], server.faults[name] = content, ["stall"]
    spec = declare("cifar10", archives["cifar10"], mirrors=[server.url])
    output = tmp_path / "prepared"
    checksum = f"md5:{hashlib.md5(content).hexdigest()}"
    known = [server.url, checksum, str(len(content)), str(tmp_path / "raw"), str(output), "0"]
    job = subprocess.Popen([sys.executable, "-c", JOB, *known], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not any(part.stat().st_size for part in (tmp_path / "raw").glob("*/.*.part")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    job.kill()
    job.wait()
    assert not output.exists()
    fetch_and_prepare(spec, tmp_path / "raw", output)
    verify(output)
    assert [asked for asked, _ in server.requests] == [name, name]
    assert server.requests[1][1] is not None


@pytest.mark.parametrize("seeds", [(0, 0), (0, 1)])
def test_two_jobs_at_once_download_once(
    server: Any, archives: dict[str, Files], tmp_path: Path, seeds: tuple[int, int]
) -> None:
    ((name, content),) = archives["cifar10"].items()
    server.files[name], server.faults[name] = content, ["slow"]
    checksum = f"md5:{hashlib.md5(content).hexdigest()}"
    known = [server.url, checksum, str(len(content)), str(tmp_path / "raw")]
    jobs = [
        subprocess.Popen(
            [sys.executable, "-c", JOB, *known, str(tmp_path / f"prepared-{seed}"), str(seed)],
            stderr=subprocess.PIPE,
            text=True,
        )
        for seed in seeds
    ]
    for job in jobs:
        _, errors = job.communicate(timeout=60)
        assert job.returncode == 0, errors
    assert [asked for asked, _ in server.requests] == [name]
    for seed in seeds:
        verify(tmp_path / f"prepared-{seed}")
