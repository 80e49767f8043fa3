"""A model's state as safetensors: weights in one file, thresholds in another. Nothing is unpickled."""

from pathlib import Path

import safetensors
import safetensors.torch
from torch import Tensor

from snn2ann.errors import UserError
from snn2ann.files import atomic_path
from snn2ann.methods.model import Model

State = dict[str, Tensor]


def split_state(model: Model) -> tuple[State, State]:
    """Copy the network's state to the CPU: (weights, thresholds)."""
    state = {name: value.detach().cpu().clone() for name, value in model.network.state_dict().items()}
    thresholds = {name: state.pop(name) for name in list(state) if name.endswith(".threshold")}
    return state, thresholds


def save_state(folder: Path, weights: State, thresholds: State) -> None:
    """Write weights.safetensors and thresholds.safetensors into `folder`."""
    save_tensors(folder / "weights.safetensors", weights)
    save_tensors(folder / "thresholds.safetensors", thresholds)


def save_tensors(path: Path, tensors: State) -> None:
    """Write a safetensors file, whole or not at all."""
    with atomic_path(path) as aside:
        safetensors.torch.save_file({name: value.contiguous() for name, value in tensors.items()}, aside)


def load_tensors(path: Path) -> State:
    """Read a safetensors file.

    Raises:
        UserError: missing or damaged; the message names the file.
    """
    try:
        return safetensors.torch.load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise UserError(f"{path}: cannot be read as safetensors ({error}); remove it and make it again") from error


def load_state(model: Model, weights: Path, thresholds: Path | None = None) -> None:
    """Load weights, and thresholds if given, into the model's network.

    Raises:
        UserError: a file is missing, damaged, or holds another network.
    """
    state = load_tensors(weights)
    if thresholds is None:
        state |= {k: v for k, v in model.network.state_dict().items() if k.endswith(".threshold")}
    else:
        state |= load_tensors(thresholds)
    try:
        model.network.load_state_dict(state)
    except RuntimeError as error:
        raise UserError(f"{weights}: holds another network than the run's ({error})") from error
