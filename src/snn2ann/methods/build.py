"""Build the model that a run's specification names."""

from importlib import import_module
from typing import Any

from snn2ann.methods import METHODS
from snn2ann.methods.model import Model
from snn2ann.models.build import build_network


def build_model(spec: dict[str, Any]) -> Model:
    """Build a run's network and the method around it; seeds are the caller's.

    Args:
        spec: a run's specification with `dataset`, `network` and `method`.
    """
    channels, height, width = spec["dataset"]["shape"]
    network = build_network(spec["network"], (channels, height, width), spec["dataset"]["classes"])
    method = spec["method"]
    module, _, name = METHODS[method["name"]].path.partition(":")
    model: Model = getattr(import_module(module), name)(network, method["time_steps"] or 1, method["options"])
    return model
