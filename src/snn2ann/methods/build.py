"""Build the model that a run's specification names."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import torch

from snn2ann.engine.network import Network
from snn2ann.methods import METHODS
from snn2ann.methods.model import Model
from snn2ann.models.building import build_network


def build_model(spec: Mapping[str, Any]) -> Model:
    """Build a run's network and the method around it; seeds are the caller's.

    Args:
        spec: a run's specification with `dataset`, `network` and `method`.

    Raises:
        UserError: the network cannot be coupled, or an option is not allowed.
    """
    channels, height, width = spec["dataset"]["shape"]
    shape = (channels, height, width)
    network = Network(build_network(spec["network"], shape, spec["dataset"]["classes"]), shape)
    method = spec["method"]
    path, _, name = METHODS[method["name"]].path.partition(":")
    model: Model = getattr(import_module(path), name)(network, method["time_steps"] or 1, method["options"])
    model.frames = "frames" in spec["dataset"]
    return model


def placed(model: Model, device: torch.device | str) -> Model:
    """Move a model to a device; on a GPU its weights, and what convolutions make, are channels last, as those like it."""
    moved = model.to(device)
    if torch.device(device).type == "cuda":
        moved = moved.to(memory_format=torch.channels_last)
    return moved
