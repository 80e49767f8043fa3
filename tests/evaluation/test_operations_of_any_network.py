"""Operations of networks that are not made of whole layers: averages, hidden linear layers, groups, shortcuts."""

from collections.abc import Iterator
from dataclasses import asdict

import pytest
import torch
from spikingjelly.activation_based.op_counter import DispatchCounterMode, SynOpCounter
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from snn2ann.engine.network import Network
from snn2ann.engine.signals import Observation
from snn2ann.engine.stages import firing
from snn2ann.evaluation.arithmetic import image_operations
from snn2ann.evaluation.evaluate import evaluate_split
from snn2ann.methods import METHODS
from snn2ann.methods.model import Model
from snn2ann.methods.snn2ann import Snn2Ann
from snn2ann.methods.stbp import SpikeBasedBackpropagation
from snn2ann.options import REFINED
from tests.stages import of_layers

IMAGES, STEPS = 3, 4


class Heads(nn.Module):
    """Two hidden linear layers of spikes, a grouped convolution, and an identity shortcut around it."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
        self.grouped, self.norm = nn.Conv2d(4, 4, 3, padding=1, groups=2), nn.BatchNorm2d(4)
        self.hidden, self.last = nn.Linear(4 * 36, 10), nn.Linear(10, 5)

    def forward(self, images: Tensor) -> Tensor:
        first = self.first(images)
        second = torch.relu(self.norm(self.grouped(first)) + first)
        return self.last(torch.relu(self.hidden(second.flatten(1))))


class Averages(nn.Module):
    """What an average gives is no spike, and is multiplied."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.AvgPool2d(2))
        self.second = nn.Sequential(nn.Conv2d(4, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU())
        self.last = nn.Linear(6, 5)

    def forward(self, images: Tensor) -> Tensor:
        return self.last(self.second(self.first(images)).mean((2, 3)))


def images() -> Tensor:
    return torch.rand(IMAGES, 2, 6, 6, generator=torch.Generator().manual_seed(1))


def batches() -> Iterator[tuple[Tensor, Tensor]]:
    yield images(), torch.zeros(IMAGES, dtype=torch.int64)


def build(name: str, module: nn.Module) -> Model:
    network = Network(module, (2, 6, 6))
    if name == "snn2ann":
        return Snn2Ann(network, STEPS, asdict(REFINED) | {"threshold_start": 0.1}).eval()
    return SpikeBasedBackpropagation(network, STEPS, dict(METHODS["stbp"].defaults) | {"threshold": 0.1}).eval()


@pytest.mark.parametrize("name", ["snn2ann", "stbp"])
def test_spikes_through_any_weights_as_spikingjelly_counts_them(name: str) -> None:
    torch.manual_seed(0)
    model = build(name, Heads())
    entry = evaluate_split(model, batches, STEPS, STEPS)
    seen: list[Observation] = []
    model.spiking_forward(images(), STEPS, seen.append)
    by_label = {fire.neurons.label: each.outgoing.value for each in seen if (fire := firing(each.stage))}
    first, second, third = (by_label[label].float() for label in ("first.2", "relu", "relu_1"))
    assert all(float(spikes.mean()) > 0 for spikes in (first, second, third))
    heads = model.network.model
    assert isinstance(heads, Heads)
    counter = SynOpCounter()
    with DispatchCounterMode([counter]), torch.no_grad():
        heads.grouped(first.flatten(0, 1))
        heads.hidden(second.flatten(0, 1).flatten(1))
        heads.last(third.flatten(0, 1))
    # SpikingJelly leaves out additions: a spike of the first layer is added once by the shortcut.
    expected = counter.get_total() + float(first.sum())
    assert entry["synaptic_operations"][-1] * IMAGES == pytest.approx(expected)
    analog = 2 * 9 * 4 * 36
    assert entry["multiply_accumulates"] == analog
    assert entry["energy"][-1] * IMAGES == pytest.approx(analog * IMAGES * 4.6e-12 + expected * 0.9e-12)


@pytest.mark.parametrize("name", ["snn2ann", "stbp"])
def test_what_an_average_gives_is_multiplied(name: str) -> None:
    torch.manual_seed(0)
    model = build(name, Averages())
    entry = evaluate_split(model, batches, STEPS, STEPS)
    seen: list[Observation] = []
    model.spiking_forward(images(), STEPS, of_layers(seen.append))
    spikes = [each.outgoing.value.float() for each in seen]
    fed = [nn.functional.avg_pool2d(spikes[0].flatten(0, 1), 2), spikes[1]]
    there = (fed[0] != 0).float()
    products = float(nn.functional.conv2d(there, torch.ones(6, 4, 3, 3), padding=1).sum())
    # The readout's averages: each channel that had a spike in a step is weighed once.
    readout = float((fed[1].sum((3, 4)) > 0).sum()) * 5
    assert products > 0 and readout > 0
    assert entry["synaptic_operations"][-1] * IMAGES == pytest.approx(products + readout)
    analog = 2 * 9 * 4 * 36 * IMAGES
    energy = (analog + products) * 4.6e-12 + readout * 0.9e-12
    assert entry["energy"][-1] * IMAGES == pytest.approx(energy)


@pytest.mark.parametrize("module", [Heads(), Averages()], ids=["heads", "averages"])
def test_the_ann_as_torch_counts_it(module: nn.Module) -> None:
    network = Network(module.eval(), (2, 6, 6))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(images())
    assert image_operations(network).all * IMAGES * 2 == counter.get_total_flops()
