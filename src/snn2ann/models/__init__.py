"""The paper's networks, VGG-13 and ResNet-17, and smaller ones of their kind. One line a kind; loaded when built."""

NETWORKS: dict[str, str] = {
    "vgg": "snn2ann.models.vgg:VGG",
    "resnet": "snn2ann.models.resnet:ResNet",
}
