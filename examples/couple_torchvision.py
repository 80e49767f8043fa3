"""Couple torchvision's VGG-11 and ResNet-18, and take a training step of each.

Run it with `python examples/couple_torchvision.py`.
"""

import torch
from torch import nn
from torchvision.models import resnet18, vgg11_bn

import snn2ann


def networks() -> dict[str, nn.Module]:
    """Build both for ten classes of 32×32 images; VGG-11's own classifier is one for 224×224."""
    vgg = vgg11_bn(num_classes=10)
    vgg.avgpool, vgg.classifier = nn.Identity(), nn.Linear(512, 10)
    return {"VGG-11": vgg, "ResNet-18": resnet18(num_classes=10)}


def main() -> None:
    """Print, for each network, its layers of neurons and the spikes of an image."""
    torch.manual_seed(0)
    images, labels = torch.rand(4, 3, 32, 32), torch.arange(4)
    for name, model in networks().items():
        coupled = snn2ann.couple(model, time_steps=4)
        optimiser = torch.optim.SGD(coupled.parameters(), lr=0.01)
        loss = nn.functional.cross_entropy(coupled(images), labels) + coupled.price
        loss.backward()
        optimiser.step()
        layers = coupled.layers()
        logits = coupled.eval().spiking()(images)
        print(
            f"{name}: loss {loss.item():.2f}, {len(layers)} layers of neurons, "
            f"{sum(layer.spikes_per_image for layer in layers):.0f} spikes per image, logits {tuple(logits.shape)}"
        )


if __name__ == "__main__":
    main()
