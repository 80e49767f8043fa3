"""The paper's networks, VGG-13 and ResNet-17, and smaller ones of their kind. One line a kind; loaded when built."""

from dataclasses import dataclass


@dataclass(frozen=True)
class NetworkEntry:
    """A kind of network.

    Attributes:
        path: "module:Class" of what is built of an image's shape, the number of classes and the kind's parameters.
        label: its name in tables and legends.
    """

    path: str
    label: str


NETWORKS: dict[str, NetworkEntry] = {
    "vgg": NetworkEntry("snn2ann.models.vgg:VGG", "VGG"),
    "resnet": NetworkEntry("snn2ann.models.resnet:ResNet", "ResNet"),
}
