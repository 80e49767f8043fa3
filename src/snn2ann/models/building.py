"""Builds the network that a run's specification names."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from torch import nn

from snn2ann.models import NETWORKS


def build_network(specification: Mapping[str, Any], image_shape: tuple[int, int, int], classes: int) -> nn.Module:
    """Build the network that a run's specification names: a module that takes images and gives logits.

    Args:
        specification: kind and that kind's parameters, all resolved.
        image_shape: (C, H, W).
        classes: number of classes.
    """
    parameters = {key: value for key, value in specification.items() if key not in ("name", "kind", "torchvision")}
    module, _, name = NETWORKS[specification["kind"]].path.partition(":")
    network: nn.Module = getattr(import_module(module), name)(image_shape, classes, **parameters)
    return network
