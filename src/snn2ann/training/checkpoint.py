"""Going on after a fault: the whole state of a training run, kept beside its outputs until it has finished."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from snn2ann.files import write_bytes


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write tensors, numbers and words, whole or not at all."""
    # By way of memory: PyTorch's own writer turns a full disk into an error without a cause.
    content = io.BytesIO()
    torch.save(state, content)
    write_bytes(path, content.getvalue())


def load_checkpoint(path: Path, identity: Mapping[str, Any]) -> dict[str, Any] | None:
    """Read the state that `save_checkpoint` wrote.

    Args:
        path: the file.
        identity: the run's specification; a checkpoint of another one is no use.

    Returns:
        The state, or None where there is none, it is damaged, or it belongs to another specification.
    """
    if not path.exists():
        return None
    try:
        # Our own file, yet nothing is unpickled but tensors, numbers and words.
        state: dict[str, Any] = torch.load(path, weights_only=True)
    except Exception:  # a damaged file can raise nearly anything; training then starts from the beginning
        return None
    return state if state.get("identity") == identity else None
