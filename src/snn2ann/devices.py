"""The GPUs of this machine, each for one job at a time."""

import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

VISIBLE = "CUDA_VISIBLE_DEVICES"
# One place for all users of the machine: a GPU is taken, whoever took it.
LOCKS = Path(tempfile.gettempdir())
POLL_SECONDS = 1.0
# Open files that hold a GPU; a lock ends with its process, however that ends.
_held: dict[str, int] = {}
_said: set[str] = set()


def gpus() -> dict[str, str]:
    """The NVIDIA GPUs, or their MIG parts, that this process may use.

    Returns:
        For each the unique name (UUID), by what CUDA_VISIBLE_DEVICES calls it; empty where there is none, or no
        `nvidia-smi` to tell.
    """
    visible = os.environ.get(VISIBLE)
    if visible == "" or shutil.which("nvidia-smi") is None:
        return {}
    try:
        listed = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return {}
    found = re.findall(r"UUID: ((?:GPU|MIG)-[^)\s]+)\)", listed.stdout)
    # A card in parts can't be used as a whole.
    names = [name for name in found if name.startswith("MIG-")] or found
    entries = names if visible is None else [entry.strip() for entry in visible.split(",")]
    named = {entry: _name(entry, names) for entry in entries}
    return {entry: name for entry, name in named.items() if name}


def gpu_memory() -> int | None:
    """Bytes of memory of the smallest whole GPU that this process may use; None where there is none, or it is not told."""
    names = set(gpus().values())
    if not names:
        return None
    words = ["nvidia-smi", "--query-gpu=uuid,memory.total", "--format=csv,noheader,nounits"]
    try:
        listed = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.findall(r"^(\S+), *(\d+)", listed, re.MULTILINE)
    return min((int(mebibytes) << 20 for name, mebibytes in found if name in names), default=None)


def claim_gpus(number: int = 1) -> list[str]:
    """Take free GPUs for this process and those that it starts, and let CUDA see no others; wait where too few are free.

    To be called before CUDA is used. A second call keeps the first one's GPUs.

    Args:
        number: how many, of as many at least.

    Returns:
        The GPUs' unique names; none where `gpus` finds none.
    """
    found = {} if _held else gpus()
    if not found:
        return list(_held)
    taken: list[str] = []
    with _in_turn(number):
        while len(taken) < number:
            entry = next((entry for entry, name in found.items() if entry not in taken and _take(name)), None)
            if entry is None:
                _wait(f"waiting for a free GPU: {len(found)} of {len(found)} are taken")
            else:
                taken.append(entry)
    os.environ[VISIBLE] = ",".join(taken)
    return list(_held)


@contextmanager
def _in_turn(number: int) -> Iterator[None]:
    """Two that take several, each with a part of them in hand, would wait for each other for ever."""
    if number == 1:
        yield
        return
    while (handle := _lock("several")) is None:
        _wait("waiting for another job, which waits for several GPUs")
    try:
        yield
    finally:
        if handle >= 0:
            os.close(handle)


def _wait(why: str) -> None:
    if why not in _said:
        print(why, file=sys.stderr, flush=True)
    _said.add(why)
    time.sleep(POLL_SECONDS)


def _take(name: str) -> bool:
    handle = _lock(name)
    if handle is None:
        return False
    _held[name] = handle
    return True


def _lock(name: str) -> int | None:
    """Try to take a lock: its open file, or -1 where locks can't be had, or None where another has it."""
    path = LOCKS / f"snn2ann-{name.replace('/', '-')}.lock"
    try:
        # Another user's file can be locked, yet neither written nor opened to be made.
        handle = os.open(path, os.O_RDONLY) if path.exists() else os.open(path, os.O_CREAT | os.O_RDONLY, 0o644)
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    except OSError as error:
        print(f"warning: {path}: no lock ({error.strerror}); other jobs may use this GPU", file=sys.stderr, flush=True)
        handle = -1
    return handle


def _name(entry: str, names: list[str]) -> str | None:
    """The GPU that an entry of CUDA_VISIBLE_DEVICES means: a number, or the beginning of a unique name."""
    if entry.isdigit():
        return names[int(entry)] if int(entry) < len(names) else None
    return next((name for name in names if entry and name.startswith(entry)), None)
