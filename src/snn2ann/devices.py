"""The GPUs of this machine, each for one job at a time."""

import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

VISIBLE = "CUDA_VISIBLE_DEVICES"
# One place for all users of the machine: a GPU is taken, whoever took it.
LOCKS = Path(tempfile.gettempdir())
POLL_SECONDS = 1.0
# Open files that hold a GPU; a lock ends with its process, however that ends.
_held: dict[str, int] = {}


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


def claim_gpu() -> str | None:
    """Take a free GPU for this process and let CUDA see no other; wait for one where all are taken.

    To be called before CUDA is used. A second call keeps the first one's GPU.

    Returns:
        The GPU's unique name; None where `gpus` finds none.
    """
    found = {} if _held else gpus()
    waiting = False
    while found and not _held:
        for entry, name in found.items():
            if _lock(name):
                os.environ[VISIBLE] = entry
                return name
        if not waiting:
            print(f"waiting for a free GPU: {len(found)} of {len(found)} are taken", file=sys.stderr, flush=True)
        waiting = True
        time.sleep(POLL_SECONDS)
    return next(iter(_held), None)


def _lock(name: str) -> bool:
    """Try to take a GPU; where locks can't be had, it is taken unlocked."""
    path = LOCKS / f"snn2ann-{name.replace('/', '-')}.lock"
    try:
        # Another user's file can be locked, yet neither written nor opened to be made.
        handle = os.open(path, os.O_RDONLY) if path.exists() else os.open(path, os.O_CREAT | os.O_RDONLY, 0o644)
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return False
    except OSError as error:
        print(f"warning: {path}: no lock ({error.strerror}); other jobs may use this GPU", file=sys.stderr, flush=True)
        handle = -1
    _held[name] = handle
    return True


def _name(entry: str, names: list[str]) -> str | None:
    """The GPU that an entry of CUDA_VISIBLE_DEVICES means: a number, or the beginning of a unique name."""
    if entry.isdigit():
        return names[int(entry)] if int(entry) < len(names) else None
    return next((name for name in names if entry and name.startswith(entry)), None)
