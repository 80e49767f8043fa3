"""A GPU for one job at a time, with pretended GPUs."""

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from select import select
from typing import Any

import pytest

from snn2ann import devices

NAMES = ["GPU-aaaa0000-1", "GPU-bbbb0000-2"]
CLAIM = """
import sys
from pathlib import Path
from snn2ann import devices
devices.LOCKS = Path(sys.argv[1])
devices.POLL_SECONDS = 0.05
name = ",".join(devices.claim_gpus(int(sys.argv[2]) if sys.argv[2:] else 1))
import os
print(name, os.environ.get("CUDA_VISIBLE_DEVICES"), flush=True)
sys.stdin.read()
"""


def pretend(folder: Path, listed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put an nvidia-smi before all else that lists these GPUs."""
    folder.mkdir(exist_ok=True)
    command = folder / "nvidia-smi"
    command.write_text(f"#!/bin/sh\ncat <<'END'\n{textwrap.dedent(listed)}\nEND\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = "\n".join(f"GPU {index}: A Card 80GB (UUID: {name})" for index, name in enumerate(NAMES))
    pretend(tmp_path / "bin", listed, monkeypatch)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.mark.parametrize(
    ("visible", "found"),
    [
        (None, dict(zip(NAMES, NAMES, strict=True))),
        ("", {}),
        ("1", {"1": NAMES[1]}),
        ("1, 0", {"1": NAMES[1], "0": NAMES[0]}),
        ("GPU-bbbb", {"GPU-bbbb": NAMES[1]}),
        ("7", {}),
        ("-1", {}),
    ],
)
def test_visible_devices_are_followed(
    two: None, monkeypatch: pytest.MonkeyPatch, visible: str | None, found: dict[str, str]
) -> None:
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert devices.gpus() == found and list(devices.gpus()) == list(found)


def test_parts_of_a_card_count_instead_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    listed = """\
        GPU 0: A Card 80GB (UUID: GPU-1)
          MIG 1g.10gb     Device  0: (UUID: MIG-2)
          MIG 1g.10gb     Device  1: (UUID: MIG-3)"""
    pretend(tmp_path / "bin", listed, monkeypatch)
    assert list(devices.gpus()) == ["MIG-2", "MIG-3"]


def test_no_gpu_no_claim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(tmp_path / "bin", "", monkeypatch)
    assert devices.gpus() == {} and devices.claim_gpus() == []
    (tmp_path / "bin/nvidia-smi").write_text("#!/bin/sh\nexit 9\n")
    assert devices.claim_gpus() == []


def test_of_two_jobs_that_want_both_one_waits_for_both(two: None, tmp_path: Path) -> None:
    def job(number: str) -> Any:
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        return subprocess.Popen([sys.executable, "-c", CLAIM, str(tmp_path), number], text=True, **pipes)  # type: ignore[call-overload]

    single = job("1")
    assert single.stdout.readline().split()[0] in NAMES
    both = [job("2"), job("2")]
    time.sleep(1)
    assert all(each.poll() is None for each in both)
    single.communicate("", timeout=20)
    # Neither holds one GPU while it waits for the other: each ends in its turn.
    for _ in both:
        while not (ready := [each for each in both if each.poll() is None and select([each.stdout], [], [], 0.1)[0]]):
            pass
        named, visible = ready[0].stdout.readline().split()
        assert named == visible and sorted(named.split(",")) == NAMES
        ready[0].communicate("", timeout=20)


def test_each_job_has_a_gpu_of_its_own_and_the_third_waits_for_one(two: None, tmp_path: Path) -> None:
    def job() -> subprocess.Popen[str]:
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        return subprocess.Popen([sys.executable, "-c", CLAIM, str(tmp_path)], text=True, **pipes)  # type: ignore[call-overload]

    def said(stream: object) -> str:
        return stream.readline().strip()  # type: ignore[attr-defined]

    first, second = job(), job()
    taken = {said(first.stdout), said(second.stdout)}
    assert taken == {f"{name} {name}" for name in NAMES}
    third = job()
    assert said(third.stderr) == "waiting for a free GPU: 2 of 2 are taken"
    time.sleep(0.2)
    assert third.poll() is None
    # However a job ends, its GPU is free.
    second.kill()
    second.wait()
    assert said(third.stdout) in taken
    for each in (first, third):
        each.communicate("", timeout=20)


def test_memory_of_the_gpus_that_may_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(tmp_path / "bin", "", monkeypatch)
    assert devices.gpu_memory() is None
    listed = "\n".join(f"echo 'GPU {index}: A Card (UUID: {name})'" for index, name in enumerate(NAMES))
    told = f"echo '{NAMES[0]}, 81559'; echo '{NAMES[1]}, 40960'"
    (tmp_path / "bin/nvidia-smi").write_text(f'#!/bin/sh\nif [ "$1" = --list-gpus ]; then {listed}\nelse {told}; fi\n')
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert devices.gpu_memory() == 40960 << 20
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert devices.gpu_memory() == 81559 << 20
