"""Train a network of one's own as a spiking network: scikit-learn's 8×8 digits, half a minute on one core.

Run it with `python examples/couple_own_network.py`.
"""

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

import snn2ann


class Network(nn.Module):
    """An ordinary network: nothing in it knows of spikes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16)
        self.conv2, self.bn2 = nn.Conv2d(16, 16, 3, padding=1), nn.BatchNorm2d(16)
        self.conv3, self.bn3 = nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32)
        self.relu, self.pool = nn.ReLU(), nn.MaxPool2d(2)
        self.classifier = nn.Linear(32 * 2 * 2, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Give logits [B, 10]."""
        x = self.pool(self.relu(self.bn1(self.conv1(images))))
        x = self.relu(self.bn2(self.conv2(x)) + x)
        x = self.pool(self.relu(self.bn3(self.conv3(x))))
        return self.classifier(x.flatten(1))


def digits() -> list[Tensor]:
    """Give images and labels to train on, then those to test on."""
    images, labels = load_digits(return_X_y=True)
    parts = train_test_split(images, labels, test_size=400, random_state=0, stratify=labels)
    train_images, test_images = (torch.from_numpy(part).float().view(-1, 1, 8, 8) / 16 for part in parts[:2])
    train_labels, test_labels = (torch.from_numpy(part) for part in parts[2:])
    return [train_images, train_labels, test_images, test_labels]


def accuracy(logits: Tensor, labels: Tensor) -> float:
    """Give the share of correct answers, in per cent."""
    return 100 * (logits.argmax(1) == labels).float().mean().item()


def main(epochs: int = 20) -> float:
    """Train, evaluate, and deploy; gives the spiking network's accuracy."""
    torch.manual_seed(0)
    images, labels, test_images, test_labels = digits()
    coupled = snn2ann.couple(Network(), time_steps=5)

    optimiser = torch.optim.Adam(coupled.parameters(), lr=2e-3)
    for epoch in range(epochs):
        coupled.train()
        coupled.progress = epoch / epochs  # the price of spikes falls with it
        for batch in torch.randperm(len(images)).split(64):
            optimiser.zero_grad()
            loss = nn.functional.cross_entropy(coupled(images[batch]), labels[batch]) + coupled.price
            loss.backward()
            optimiser.step()

    coupled.eval()
    with torch.no_grad():
        ann, snn = coupled.branches(test_images)
    print(f"accuracy: ANN branch {accuracy(ann, test_labels):.1f} %, SNN branch {accuracy(snn, test_labels):.1f} %")
    for layer in coupled.layers():
        print(
            f"{layer.name}: {layer.neurons} neurons, {layer.spikes_per_image:.0f} spikes per image, "
            f"{100 * (layer.noisy_spike_rate or 0):.1f} % noisy"
        )

    spiking = coupled.spiking()  # an ordinary nn.Module: IF neurons and weights, nothing of the ANN or the training
    for step, logits in enumerate(spiking(test_images, time_steps=8, every_step=True), start=1):
        print(f"spiking network after {step} steps: {accuracy(logits, test_labels):.1f} %")
    return accuracy(spiking(test_images), test_labels)


if __name__ == "__main__":
    main()
