"""The spiking network as a graph of NIR, run by simulators that no one here wrote."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nir
import pytest
import torch
from norse.torch import from_nir as norse_from_nir
from sklearn.datasets import load_digits
from spikingjelly.activation_based.nir_exchange import import_from_nir
from torch import Tensor, nn

import snn2ann
from snn2ann.errors import UserError
from snn2ann.method.spiking_network import SpikingNetwork

SHAPE = (1, 8, 8)
STEPS = 6


class Shortcut(nn.Module):
    """Strided convolutions with BatchNorm, shortcuts with and without a convolution, a hidden linear layer."""

    def __init__(self, last: nn.Module, sides: bool) -> None:
        super().__init__()
        self.sides = sides
        self.conv1, self.norm1 = nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.conv2, self.norm2 = nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.conv3, self.side = nn.Conv2d(8, 12, 3, 2, 1), nn.Conv2d(8, 12, 1, 2)
        self.hidden, self.output, self.last = nn.Linear(12 * 16, 20, bias=False), nn.Linear(20, 10), last

    def forward(self, x: Tensor) -> Tensor:
        first = self.norm1(self.conv1(x)).relu()
        second = (self.norm2(self.conv2(first)) + first).relu()
        third = self.conv3(second)
        third = (third + self.side(second) if self.sides else third).relu()
        return self.last(self.output(self.hidden(third.flatten(1)).relu()))


class Averages(nn.Module):
    """Every average that NIR can express."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(1, 12, 3, padding="same"), nn.BatchNorm2d(12)
        self.conv2, self.norm2 = nn.Conv2d(12, 16, 3), nn.BatchNorm2d(16)
        self.conv3, self.out = nn.Conv2d(16, 16, 3, padding=1), nn.Linear(16, 10)
        self.pool, self.adaptive = nn.AvgPool2d(3, 1, 1), nn.AdaptiveAvgPool2d((3, None))

    def forward(self, x: Tensor) -> Tensor:
        first = self.pool(self.norm1(self.conv1(x))).relu()
        second = self.adaptive(self.norm2(self.conv2(first))).relu()
        return self.out(self.conv3(second).relu().mean((2, 3)))


class Rows(nn.Module):
    """Convolutions in one dimension, over the rows of an image, and numbers that are multiplied with and added."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv1d(8, 16, 3, padding=1), nn.Conv1d(16, 12, 3, stride=2)
        self.norm, self.out = nn.BatchNorm1d(16), nn.Linear(36, 10)

    def forward(self, x: Tensor) -> Tensor:
        first = (self.norm(self.conv1(x.flatten(1, 2))) * 1.5 - 0.25).relu()
        return self.out(self.conv2(first).relu().flatten(1)) * 0.5


class Numbers(nn.Module):
    """A chain with a BatchNorm of spikes, and numbers that are multiplied with and added."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.norm, self.conv2 = nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3)
        self.out = nn.Linear(8 * 16, 10)

    def forward(self, x: Tensor) -> Tensor:
        first = (2 * self.conv1(x) - 0.1).relu()
        return self.out(self.conv2(self.norm(first)).relu().flatten(1)) * 0.5


class Differences(nn.Module):
    """A difference of signals, a BatchNorm of spikes, and numbers between them."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.norm = nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.conv2, self.side = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 1)
        self.hidden, self.out = nn.Linear(8 * 64, 24), nn.Linear(24, 10)

    def forward(self, x: Tensor) -> Tensor:
        first = self.conv1(2 * x - 1).relu()
        second = (self.conv2(self.norm(first)) - 0.5 * self.side(first)).relu()
        return self.out((self.hidden(second.flatten(1)) + 0.1).relu())


@pytest.fixture(scope="module")
def digits() -> tuple[Tensor, Tensor]:
    found = load_digits()
    return torch.tensor(found.images, dtype=torch.float32)[:, None] / 16, torch.tensor(found.target)


def trained(model: nn.Module, digits: tuple[Tensor, Tensor], **options: Any) -> SpikingNetwork:
    """Couple it by NIR's neurons and train it a little."""
    torch.manual_seed(0)
    coupled = snn2ann.couple(model, STEPS, image_shape=SHAPE, reset="zero", membrane_start=0, **options)
    optimiser = torch.optim.Adam(coupled.parameters(), 5e-3)
    batches, classes = (value[:1000].repeat(2, *[1] * (value.dim() - 1)).split(50) for value in digits)
    for images, labels in zip(batches, classes, strict=True):
        loss = nn.functional.cross_entropy(coupled(images), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return coupled.spiking()


def written_and_read(snn: SpikingNetwork, folder: Path) -> nir.NIRGraph:
    nir.write(folder / "snn.nir", snn2ann.to_nir(snn, SHAPE))
    return nir.read(folder / "snn.nir")


def run(simulator: Callable[[Tensor, Any], tuple[Tensor, Any]], images: Tensor) -> Tensor:
    """Give what a simulator gives after every step: [T, ...]."""
    state, given = None, []
    with torch.no_grad():
        for _ in range(STEPS):
            result, state = simulator(images, state)
            given.append(result)
    return torch.stack(given)


def one_by_one(simulator: nn.Module, images: Tensor) -> Tensor:
    """The same image by image: norse's Flatten takes the batch for a dimension of the image."""
    return torch.stack([run(simulator, image) for image in images], 1)


def means(steps: Tensor) -> Tensor:
    return steps.cumsum(0) / torch.arange(1, len(steps) + 1).view(-1, 1, 1)


@pytest.mark.parametrize("shortcut", ["spikes", "current"])
def test_norse_gives_every_steps_logits(shortcut: str, digits: tuple[Tensor, Tensor], tmp_path: Path) -> None:
    # It runs depth first, and would add a convolution's shortcut a step too late.
    model = Shortcut(nn.Identity(), sides=False)
    snn = trained(model, digits, variant="released", shortcut=shortcut, input_coding="direct")
    simulator = norse_from_nir(written_and_read(snn, tmp_path))
    images = digits[0][:20]
    expected = snn(images, every_step=True)
    torch.testing.assert_close(means(one_by_one(simulator, images)), expected)
    assert (expected[-1] - expected[0]).abs().max() > 0.05


def test_norse_gives_every_spike(digits: tuple[Tensor, Tensor], tmp_path: Path) -> None:
    snn = trained(Shortcut(nn.ReLU(), sides=False), digits, variant="released", input_coding="direct")
    simulator = norse_from_nir(written_and_read(snn, tmp_path))
    spikes = one_by_one(simulator, digits[0][:20])
    assert torch.equal(means(spikes), snn(digits[0][:20], every_step=True))
    assert 0.01 < spikes.mean() < 0.9


def test_norse_runs_numbers_and_normalised_spikes(digits: tuple[Tensor, Tensor], tmp_path: Path) -> None:
    snn = trained(Numbers(), digits)
    simulator = norse_from_nir(written_and_read(snn, tmp_path))
    expected = snn(digits[0][:20], every_step=True)
    torch.testing.assert_close(means(one_by_one(simulator, digits[0][:20])), expected)
    assert (expected[-1] - expected[0]).abs().max() > 0.05


@pytest.mark.parametrize(
    "model",
    [Averages, lambda: Shortcut(nn.ReLU(), sides=True), Rows, Differences],
    ids=["averages", "spikes", "rows", "differences"],
)
def test_spikingjelly_gives_every_steps_logits(
    model: Callable[[], nn.Module], digits: tuple[Tensor, Tensor], tmp_path: Path
) -> None:
    # Its neurons have one threshold a layer, as those have that start at a number.
    snn = trained(model(), digits, threshold_start=0.2)
    simulator = import_from_nir(written_and_read(snn, tmp_path), dt=1.0)
    expected = snn(digits[0][:100], every_step=True)
    torch.testing.assert_close(means(run(simulator, digits[0][:100])), expected)
    assert (expected[-1] - expected[0]).abs().max() > 0.05


def test_all_that_cannot_be_written_is_named_by_layer() -> None:
    model = nn.Sequential(
        *(nn.Conv2d(1, 4, 3, padding_mode="reflect", padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(4, 4, (1, 3), padding=(0, 1)), nn.ReLU(), nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Linear(36, 3)),
    )
    snn = snn2ann.couple(model, 4, image_shape=SHAPE).spiking()
    with pytest.raises(UserError) as caught:
        snn2ann.to_nir(snn, SHAPE)
    lines = str(caught.value).splitlines()
    assert len(lines) == 6 and lines[0] == "the network cannot be written as NIR:"
    for words in ("reset='zero'", "_0: NIR has no padding by 'reflect'", "nn.AvgPool2d", "a square one", "a divisor"):
        assert sum(words in line for line in lines) == 1, words


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"reset": "zero"}, "couple with membrane_start=0"),
        ({"reset": "zero", "membrane_start": 0, "input_coding": "divide"}, "couple with input_coding='direct'"),
    ],
)
def test_options_that_cannot_be_written_are_named(options: dict[str, Any], words: str) -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))
    with pytest.raises(UserError, match=words):
        snn2ann.to_nir(snn2ann.couple(model, 4, image_shape=SHAPE, **options).spiking(), SHAPE)


def test_images_of_another_size_are_refused() -> None:
    snn = snn2ann.couple(nn.Sequential(nn.Flatten(), nn.Linear(64, 3), nn.ReLU()), 4, image_shape=SHAPE).spiking()
    with pytest.raises(UserError, match="do not go through the network"):
        snn2ann.to_nir(snn, (1, 9, 9))


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nir", None)
    snn = snn2ann.couple(nn.Sequential(nn.Flatten(), nn.Linear(64, 3), nn.ReLU()), 4, image_shape=SHAPE).spiking()
    with pytest.raises(UserError, match="pip install nir"):
        snn2ann.to_nir(snn, SHAPE)
