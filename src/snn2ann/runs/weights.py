"""A model's state as safetensors: weights in one file, thresholds in another. Nothing is unpickled."""

from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from snn2ann.engine.finite import check_finite
from snn2ann.errors import UserError
from snn2ann.files import write_bytes
from snn2ann.methods.model import Model
from snn2ann.runs.folder import RunFolder
from snn2ann.runs.packed import refuse_records_only

State = dict[str, Tensor]


def split_state(model: Model) -> tuple[State, State]:
    """Copy the network's state to the CPU: (weights, thresholds), named as `Network.named_state` says."""
    weights, thresholds = model.network.named_state()
    return _copied(weights), _copied(thresholds)


def _copied(state: State) -> State:
    return {name: value.detach().cpu().clone() for name, value in state.items()}


def save_state(run: RunFolder, weights: State, thresholds: State) -> None:
    """Write weights and thresholds into a run's folder."""
    save_tensors(run.weights, weights)
    save_tensors(run.thresholds, thresholds)


def save_tensors(path: Path, tensors: State) -> None:
    """Write a safetensors file, whole or not at all."""
    write_bytes(path, safetensors.torch.save({name: value.contiguous() for name, value in tensors.items()}))


def load_tensors(path: Path) -> State:
    """Read a safetensors file.

    Raises:
        UserError: missing or damaged; the message names the file.
    """
    refuse_records_only(RunFolder(path.parent))
    try:
        return safetensors.torch.load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise UserError(f"{path}: cannot be read as safetensors ({error}); remove it and make it again") from error


def load_state(model: Model, weights: Path, thresholds: Path | None = None) -> None:
    """Load weights, and thresholds if given, into the model's network.

    Raises:
        UserError: a file is missing, damaged, holds another network, or numbers that are not finite.
    """
    state = _without_scales(load_tensors(weights))
    own = split_state(model)
    state |= own[1] if thresholds is None else load_tensors(thresholds)
    if problem := difference(state, own[0] | own[1]):
        raise UserError(f"{weights}: holds another network than the run's ({problem})")
    check_finite(state, str(weights))
    with torch.no_grad():
        for label, layer in model.network.by_label().items():
            for name, value in layer.state_dict(keep_vars=True).items():
                value.copy_(state.pop(f"{label}.{name}"))
    model.network.model.load_state_dict(state)


def _without_scales(state: State) -> State:
    """Drop what files of earlier versions hold beside weights: identity shortcuts had a scale, 1 but in conversions."""
    scales = {name for name, value in state.items() if name.endswith(".shortcut.scale") and bool((value == 1).all())}
    return {name: value for name, value in state.items() if name not in scales}


def difference(found: State, own: State) -> str:
    """Say how tensors of a file differ from those that a network has, in names and sizes; "" where they do not."""
    words = [f"{name} is missing" for name in own if name not in found]
    words += [f"{name} is not the network's" for name in found if name not in own]
    words += [
        f"{name} is {list(found[name].shape)}, not {list(value.shape)}"
        for name, value in own.items()
        if name in found and found[name].shape != value.shape
    ]
    return ", ".join(words[:3]) + (f" and {len(words) - 3} more" if len(words) > 3 else "")
