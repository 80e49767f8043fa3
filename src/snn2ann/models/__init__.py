"""The kinds of networks: the paper's VGG-13 and ResNet-17 and smaller ones, torchvision's, and the user's own.

One line a kind; loaded when built.
"""

NETWORKS: dict[str, str] = {
    "vgg": "snn2ann.models.vgg:VGG",
    "resnet": "snn2ann.models.resnet:ResNet",
    "torchvision": "snn2ann.models.from_torchvision:from_torchvision",
    "module": "snn2ann.models.own:from_path",
}
