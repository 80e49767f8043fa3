"""What every network is: layers named once, a linear readout, and a forward that any view can run."""

import math
from abc import ABC, abstractmethod
from importlib import import_module
from typing import Any

from torch import Tensor, nn

from snn2ann.method.layers import SpikingLayer
from snn2ann.method.views import View
from snn2ann.models import NETWORKS


class Network(nn.Module, ABC):
    """A stack of spiking layers and a linear classifier."""

    classifier: nn.Linear

    @abstractmethod
    def forward(self, view: View, images: Tensor) -> Any:
        """Run the layers in order.

        Args:
            view: what a layer does with a signal.
            images: [B, C, H, W].

        Returns:
            What the view's readout gives.
        """

    def spiking_layers(self) -> dict[str, SpikingLayer]:
        """The layers by name, in the order in which they run."""
        return {name: module for name, module in self.named_modules() if isinstance(module, SpikingLayer)}

    def number_of_neurons(self) -> int:
        """Of all layers together."""
        return sum(layer.threshold.numel() for layer in self.spiking_layers().values())

    def initialise(self, scheme: str) -> None:
        """Draw the weights: PyTorch's "default", or "kaiming" (normal, fan-out) for convolutions (demo behaviour)."""
        if scheme == "kaiming":
            for module in self.modules():
                if isinstance(module, nn.Conv2d):
                    nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def halved(size: tuple[int, int], stride: int) -> tuple[int, int]:
    """Size after a 3×3 convolution with padding 1 and this stride."""
    return math.ceil(size[0] / stride), math.ceil(size[1] / stride)


def build_network(specification: dict[str, Any], image_shape: tuple[int, int, int], classes: int) -> Network:
    """Build the network that a run's specification names.

    Args:
        specification: kind and that kind's parameters, all resolved.
        image_shape: (C, H, W).
        classes: number of classes.
    """
    parameters = {key: value for key, value in specification.items() if key not in ("name", "kind")}
    module, _, name = NETWORKS[specification["kind"]].path.partition(":")
    network: Network = getattr(import_module(module), name)(image_shape, classes, **parameters)
    return network
