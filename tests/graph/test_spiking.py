"""The plain spiking network: against neurons that no one here wrote, and as something to save, export and deploy."""

import copy
import io
import weakref

import pytest
import torch
from norse.torch.functional.iaf import IAFFeedForwardState, IAFParameters, iaf_feed_forward_step
from torch import Tensor, nn

import snn2ann
from snn2ann.graph.coupled import CoupledNetwork
from snn2ann.graph.spiking import SpikingNetwork
from tests.graph.networks import Own, statistics_seen


@pytest.fixture
def images() -> Tensor:
    return torch.randn(4, 2, 8, 8, generator=torch.Generator().manual_seed(5))


@pytest.fixture
def coupled(images: Tensor) -> CoupledNetwork:
    torch.manual_seed(0)
    model = statistics_seen(Own())
    coupled = snn2ann.couple(model, time_steps=4, image_shape=(2, 8, 8), threshold_start=0.3)
    coupled(images)
    return coupled.eval()


class OfNorse(nn.Module):
    """A network of two convolutions, a shortcut and two linear layers, step by step, with norse's neurons."""

    def __init__(self, model: "Small", thresholds: list[Tensor], time_steps: int) -> None:
        super().__init__()
        self.model, self.thresholds, self.time_steps = model, thresholds, time_steps

    def run(self, images: Tensor, steps: int) -> list[Tensor]:
        states: list[IAFFeedForwardState | None] = [None] * 3
        logits: list[Tensor] = []
        counts = torch.zeros(())

        def fire(number: int, current: Tensor) -> Tensor:
            state = states[number] or IAFFeedForwardState(v=torch.zeros_like(current))
            spikes, states[number] = iaf_feed_forward_step(current, state, IAFParameters(v_th=self.thresholds[number]))
            return spikes

        def share(layer: nn.Module, value: Tensor) -> Tensor:
            # Linear in evaluation: what zero gives is the bias, of which a step has its share.
            return layer(value) - layer(torch.zeros_like(value)) * (1 - 1 / self.time_steps)

        for _ in range(steps):
            first = fire(0, share(nn.Sequential(self.model.conv1, self.model.bn1), images))
            current = share(nn.Sequential(self.model.conv2, self.model.bn2), first) + first
            second = fire(1, nn.functional.max_pool2d(current, 2))
            third = fire(2, share(self.model.fc1, second.flatten(1)))
            counts = counts + third
            logits.append(self.model.fc2(counts / (len(logits) + 1)))
        return logits


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(2, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6)
        self.conv2, self.bn2 = nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.fc1, self.fc2 = nn.Linear(6 * 16, 20), nn.Linear(20, 3)
        self.relu, self.pool = nn.ReLU(), nn.MaxPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        first = self.relu(self.bn1(self.conv1(x)))
        second = self.pool(self.relu(self.bn2(self.conv2(first)) + first))
        return self.fc2(self.relu(self.fc1(second.flatten(1))))


def test_equals_the_same_network_of_norse_neurons(images: Tensor) -> None:
    torch.manual_seed(0)
    model = Small().eval().double()
    statistics_seen(model)
    coupled = snn2ann.couple(model, time_steps=5, image_shape=(2, 8, 8))
    thresholds = list(coupled.thresholds().values())
    assert [tuple(threshold.shape) for threshold in thresholds] == [(1, 6, 8, 8), (1, 6, 4, 4), (1, 20)]
    with torch.no_grad():
        expected = torch.stack(OfNorse(model, thresholds, 5).run(images.double(), 9))
    found = coupled.spiking()(images.double(), 9, every_step=True)
    torch.testing.assert_close(found, expected)
    assert (found[0] - found[-1]).abs().max() > 0.01


def test_equals_the_snn_branch_in_evaluation(coupled: CoupledNetwork, images: Tensor) -> None:
    snn = coupled.spiking()
    torch.testing.assert_close(snn(images), coupled(images))
    torch.testing.assert_close(snn(images), coupled.branches(images)[1])
    every = snn(images, 9, every_step=True)
    assert every.shape == (9, 4, 4)
    torch.testing.assert_close(every[3], snn(images))
    torch.testing.assert_close(every[6], snn(images, 7))


def test_has_no_batchnorm_no_gradient_and_nothing_of_the_training(coupled: CoupledNetwork, images: Tensor) -> None:
    snn = coupled.spiking()
    kinds = {type(module).__name__ for module in snn.modules()}
    assert not any("BatchNorm" in kind or kind in ("ReLU", "Dropout", "Neurons") for kind in kinds)
    assert not any(parameter.requires_grad for parameter in snn.parameters())
    assert not snn(images).requires_grad
    before = snn(images)
    for value in [*coupled.parameters(), *coupled.buffers()]:
        value.data.zero_()
    torch.testing.assert_close(snn(images), before, rtol=0, atol=0)
    mine = {value.data_ptr() for value in snn.state_dict().values()}
    assert mine.isdisjoint({value.data_ptr() for value in coupled.state_dict().values()})


def test_is_saved_copied_and_exported(coupled: CoupledNetwork, images: Tensor) -> None:
    snn = coupled.spiking()
    expected = snn(images)
    file = io.BytesIO()
    torch.save(snn, file)
    file.seek(0)
    loaded = torch.load(file, weights_only=False)
    assert isinstance(loaded, SpikingNetwork)
    batch = torch.export.Dim("batch", min=2, max=64)
    exported = torch.export.export(snn, (images,), dynamic_shapes={"images": {0: batch}})
    for copied in (loaded, copy.deepcopy(snn), exported.module()):
        torch.testing.assert_close(copied(images), expected)
    torch.testing.assert_close(exported.module()(images[:2]), snn(images[:2]))


def test_spikes_are_freed_when_no_later_layer_needs_them(images: Tensor) -> None:
    torch.manual_seed(0)
    deep = nn.Sequential(*[nn.Sequential(nn.Conv2d(2, 2, 3, padding=1), nn.ReLU()) for _ in range(9)], nn.Flatten())
    snn = snn2ann.couple(deep, 3, image_shape=(2, 8, 8)).spiking()
    alive: list[int] = []
    held: list[weakref.ref[Tensor]] = []

    def count(module: nn.Module, taken: object, result: Tensor) -> None:
        held.append(weakref.ref(result))
        alive.append(sum(reference() is not None for reference in held))

    for layer in snn.layers.values():
        layer.register_forward_hook(count)
    snn(images)
    assert len(alive) > 18 and max(alive) <= 3


def test_divided_input_is_an_images_share(images: Tensor) -> None:
    torch.manual_seed(0)
    coupled = snn2ann.couple(Small(), 5, image_shape=(2, 8, 8), input_coding="divide").eval()
    plain = snn2ann.couple(coupled.model, 5, image_shape=(2, 8, 8))
    plain.load_state_dict(coupled.state_dict())
    torch.testing.assert_close(coupled.spiking()(images), coupled(images))
    torch.testing.assert_close(plain.spiking()(images / 5), coupled(images))
