"""The kinds of networks: the paper's VGG-13 and ResNet-17 and smaller ones, torchvision's, and the user's own.

One line a kind; loaded when built.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class NetworkEntry:
    """A kind of network.

    Attributes:
        path: "module:name" of what gives a `torch.nn.Module` for an image's shape, the number of classes and the kind's
            parameters.
        label: its name in tables and legends.
    """

    path: str
    label: str


NETWORKS: dict[str, NetworkEntry] = {
    "vgg": NetworkEntry("snn2ann.models.vgg:VGG", "VGG"),
    "resnet": NetworkEntry("snn2ann.models.resnet:ResNet", "ResNet"),
    "torchvision": NetworkEntry("snn2ann.models.from_torchvision:from_torchvision", "Torchvision"),
    "module": NetworkEntry("snn2ann.models.own:from_path", "Module"),
}

# Kinds that every method takes; others may turn out not to be couplable, or not to be what was traced.
PAPERS = ("vgg", "resnet")
