"""A trained ANN as a spiking network, without training: SpikingJelly's converter beside a calibrated coupling.

`python -m benchmarks.from_trained` trains small ANNs, converts them both ways on the same images, and puts the means of what
it measured into docs/library.md. Fashion-MNIST is that of the Debian package dataset-fashion-mnist.
"""

import argparse
import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from spikingjelly.activation_based import ann2snn, functional
from tabulate import tabulate
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import snn2ann
from snn2ann.data.fashion_mnist import read_idx
from snn2ann.method.coupled_network import CoupledNetwork
from snn2ann.report import blocks

RESULTS, PAGE = Path("benchmarks/results/from_trained.csv"), Path("docs/library.md")
TIME_STEPS = (5, 8, 16)
# What SpikingJelly's recipe takes; its best is the best of them on the test images, which favours it.
MODES = ("Max", "99.9%", 0.5, 0.33, 0.25, 0.2)
CHANNELWISE = {"channel_wise": True, "half_threshold": True, "pre_spike_maxpool": True}
CALIBRATION_IMAGES = 256
PART = 200
NAMES = {"vgg": "VGG", "resnet": "residual", "plain": "without BatchNorm"}
DATASETS = {"digits": "digits", "fashion-mnist": "Fashion-MNIST"}

Data = tuple[Tensor, Tensor, Tensor, Tensor]


class Block(nn.Module):
    """A residual block whose shortcut is a convolution where the width changes."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        stride = 1 if inputs == outputs else 2
        self.first = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
        )
        self.second = nn.Sequential(nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs))
        self.side = nn.Sequential()
        if stride == 2:
            self.side = nn.Sequential(nn.Conv2d(inputs, outputs, 1, 2, bias=False), nn.BatchNorm2d(outputs))
        self.relu = nn.ReLU()

    def forward(self, images: Tensor) -> Tensor:
        return self.relu(self.second(self.first(images)) + self.side(images))


def network(name: str, size: int) -> nn.Module:
    """Build a small network for grey images of size × size."""
    if name == "resnet":
        stem = [nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU()]
        return nn.Sequential(
            *stem, Block(8, 8), Block(8, 16), Block(16, 16), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(64, 10)
        )
    layers: list[nn.Module] = []
    for inputs, outputs, last in ((1, 8, False), (8, 8, True), (8, 16, False), (16, 16, True)):
        if name == "vgg":
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU()]
            layers += [nn.MaxPool2d(2)] if last else []
        else:
            layers += [nn.Conv2d(inputs, outputs, 3, 2 if last else 1, 1), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(16 * (size // 4) ** 2, 10))


def digits() -> Data:
    from sklearn.datasets import load_digits

    images, labels = (torch.from_numpy(value) for value in load_digits(return_X_y=True))
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    images, labels = images.float().view(-1, 1, 8, 8)[order] / 16, labels[order]
    return images[400:], labels[400:], images[:400], labels[:400]


def fashion_mnist(folder: Path, train: int = 6000, test: int = 1000) -> Data:
    def part(name: str, count: int) -> tuple[Tensor, Tensor]:
        images = torch.from_numpy(read_idx(folder / f"{name}-images-idx3-ubyte.gz", 3)[:count])
        labels = torch.from_numpy(read_idx(folder / f"{name}-labels-idx1-ubyte.gz", 1)[:count])
        return images[:, None].float() / 255, labels.long()

    return (*part("train", train), *part("t10k", test))


def backward(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Go backward from a batch's loss, and from the price of its spikes where they have one; give the loss."""
    loss = cross_entropy(model(images), labels)
    (loss + model.price if isinstance(model, CoupledNetwork) else loss).backward()
    return loss.detach()


def train(model: nn.Module, data: Data, epochs: int, rate: float = 2e-3) -> None:
    images, labels, *_ = data
    optimiser = torch.optim.Adam(model.parameters(), rate)
    steps = epochs * -(-len(images) // 64)
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1, 0.01, steps)
    for epoch in range(epochs):
        model.train()
        if isinstance(model, CoupledNetwork):
            model.progress = epoch / epochs
        for batch in torch.randperm(len(images)).split(64):
            if len(batch) > 1:
                optimiser.zero_grad()
                backward(model, images[batch], labels[batch])
                optimiser.step()
                schedule.step()
    model.eval()


def accuracy(logits: Tensor, labels: Tensor) -> float:
    """Per cent of correct answers."""
    return 100 * (logits.argmax(1) == labels).float().mean().item()


@torch.no_grad()
def spikingjelly(model: nn.Module, data: Data, mode: str | float, **recipe: bool) -> dict[int, float]:
    """Convert by SpikingJelly and give the accuracy at each T."""
    images, _, tested, labels = data
    batches = images[:CALIBRATION_IMAGES].split(64)
    converter = ann2snn.Converter(ann2snn.RateCodingRecipe(batches, mode=mode, **recipe))
    snn = converter.convert(copy.deepcopy(model)).eval()
    by_step: list[list[Tensor]] = []
    for part in tested.split(PART):
        functional.reset_net(snn)
        by_step.append(list(torch.stack([snn(part) for _ in range(max(TIME_STEPS))]).cumsum(0)))
    totals = [torch.cat(parts) for parts in zip(*by_step, strict=True)]
    return {step: accuracy(totals[step - 1], labels) for step in TIME_STEPS}


@torch.no_grad()
def of_network(model: nn.Module, data: Data) -> float:
    """Accuracy on the test images."""
    return accuracy(torch.cat([model.eval()(part) for part in data[2].split(PART)]), data[3])


def rows(name: str, dataset: str, data: Data, seed: int, epochs: int) -> Iterator[dict[str, Any]]:
    """Train one ANN and measure it both ways at every T."""
    images = data[0]
    torch.manual_seed(seed)
    model = network(name, images.shape[-1])
    train(model, data, epochs)
    ann = of_network(model, data)
    layerwise = [spikingjelly(model, data, mode) for mode in MODES]
    channelwise = [spikingjelly(model, data, mode, **CHANNELWISE) for mode in MODES[:2]]
    for steps in TIME_STEPS:
        mine = {
            variant: snn2ann.couple(copy.deepcopy(model), steps, variant=variant, calibrate=images[:CALIBRATION_IMAGES])
            for variant in ("refined", "released")
        }
        at_once = snn2ann.couple(copy.deepcopy(model), steps)
        yield {
            "network": name,
            "dataset": dataset,
            "time_steps": steps,
            "seed": seed,
            "ann": ann,
            "spikingjelly": max(found[steps] for found in layerwise),
            "spikingjelly_channelwise": max(found[steps] for found in channelwise),
            "uncalibrated": of_network(at_once, data),
            "calibrated": of_network(mine["refined"], data),
            "calibrated_released": of_network(mine["released"], data),
            **(trained_on(mine["refined"], name, data, seed) if (dataset, steps) == ("digits", 5) else {}),
        }


def trained_on(calibrated: CoupledNetwork, name: str, data: Data, seed: int, epochs: int = 4) -> dict[str, float]:
    """Train a calibrated network, and one from scratch, for a few epochs by SNN2ANN."""
    torch.manual_seed(seed)
    scratch = snn2ann.couple(network(name, data[0].shape[-1]), calibrated.time_steps)
    for model in (calibrated, scratch):
        train(model, data, epochs)
    return {
        "fine_tuned": of_network(calibrated, data),
        "from_scratch": of_network(scratch, data),
    }


def table(path: Path) -> str:
    """Means over seeds, in Markdown."""
    data = pd.read_csv(path)
    columns = ["ann", "spikingjelly", "spikingjelly_channelwise", "uncalibrated", "calibrated", "calibrated_released"]
    places = data.groupby(["dataset", "network", "time_steps"], sort=False)
    means = places[[*columns, "fine_tuned", "from_scratch"]].mean()
    shown = [
        [DATASETS[dataset], NAMES[name], steps, seeds, *("–" if value != value else f"{value:.1f}" for value in row)]
        for (dataset, name, steps), seeds, row in zip(means.index, places.size(), means.to_numpy(), strict=True)
    ]
    head = [
        "Images",
        "Network",
        "T",
        "Seeds",
        "ANN",
        "SpikingJelly",
        "by channel",
        "coupled",
        "calibrated",
        "`released`",
    ]
    return tabulate(shown, [*head, "fine-tuned", "from scratch"], tablefmt="github", disable_numparse=True)


def main() -> None:
    """Measure what the file does not have, write it and fill the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--fashion-mnist", type=Path, default=Path("/usr/share/datasets/fashion-mnist"), metavar="FOLDER"
    )
    parser.add_argument("--images", nargs="+", choices=DATASETS, default=list(DATASETS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--table", action="store_true", help="only fill the table from the file")
    options = parser.parse_args()
    measured: list[Any] = pd.read_csv(RESULTS).to_dict("records") if RESULTS.exists() else []
    there = {(row["dataset"], row["network"], row["seed"]) for row in measured}
    if not options.table:
        for dataset in options.images:
            data = digits() if dataset == "digits" else fashion_mnist(options.fashion_mnist)
            epochs = 12 if dataset == "digits" else 2
            for seed in range(options.seeds):
                for name in NAMES:
                    if (dataset, name, seed) in there:
                        continue
                    measured += rows(name, dataset, data, seed, epochs)
                    pd.DataFrame(measured).to_csv(RESULTS, index=False, float_format="%.2f", lineterminator="\n")
    blocks.fill(PAGE, {"from trained": table(RESULTS)})


if __name__ == "__main__":
    main()
