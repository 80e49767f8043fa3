"""The paper's networks, VGG-13 and ResNet-17, and smaller ones of their kind. One line a kind; loaded when built."""

NETWORKS: dict[str, str] = {
    "vgg": "snn2ann.networks.vgg:VGG",
    "resnet": "snn2ann.networks.resnet:ResNet",
}
