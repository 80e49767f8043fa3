"""Small networks for the tests of the method."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest
import torch
from torch import nn

from snn2ann.methods.build import build_model
from snn2ann.methods.snn2ann import Snn2Ann
from snn2ann.options import VARIANTS

VGG: dict[str, Any] = {
    "kind": "vgg",
    "blocks": [[8, 8], [12]],
    "pooled_blocks": [1, 2],
    "dropout": [0, 0],
}
RESNET: dict[str, Any] = {
    "kind": "resnet",
    "channels": [8, 8, 12],
    "strides": [1, 1, 2],
    "blocks_per_stage": 2,
    "dropout": 0,
}
Build = Callable[..., Snn2Ann]


@pytest.fixture
def build() -> Build:
    """Builds a small coupled model with BatchNorms that have seen data."""

    def builder(kind: str, time_steps: int = 5, variant: str = "released", seed: int = 0, **options: Any) -> Snn2Ann:
        torch.manual_seed(seed)
        method = {
            "name": "snn2ann",
            "time_steps": time_steps,
            "options": asdict(VARIANTS[variant].with_options(options)),
        }
        network = {"vgg": VGG, "resnet": RESNET}[kind]
        model = build_model({"dataset": {"shape": (2, 8, 8), "classes": 5}, "network": network, "method": method})
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                assert module.running_mean is not None and module.running_var is not None
                module.running_mean.normal_(0, 0.2)
                module.running_var.uniform_(0.3, 1.5)
                nn.init.uniform_(module.weight, 0.5, 2)
                nn.init.normal_(module.bias, 0, 0.3)
        assert isinstance(model, Snn2Ann)
        return model

    return builder


@pytest.fixture
def images() -> torch.Tensor:
    """A batch [6, 2, 8, 8]."""
    return torch.randn(6, 2, 8, 8, generator=torch.Generator().manual_seed(3))
