"""Small models of the relatives, built as a run builds them."""

from typing import Any

import torch

from snn2ann.methods import METHODS
from snn2ann.methods.build import build_model
from snn2ann.methods.model import Model


def build_relative(name: str, network: dict[str, Any], time_steps: int | None, **options: Any) -> Model:
    """A method in training mode, for images [B, 2, 8, 8] of five classes; the weights are the same at every call."""
    torch.manual_seed(0)
    method = {"name": name, "time_steps": time_steps, "options": METHODS[name].defaults | options}
    return build_model({"dataset": {"shape": (2, 8, 8), "classes": 5}, "network": network, "method": method}).train()
