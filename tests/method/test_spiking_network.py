"""The plain spiking network: against neurons that no one here wrote, and as something to save, export and deploy."""

import copy
import io
import weakref
from typing import Any

import pytest
import torch
from norse.torch.functional.iaf import IAFFeedForwardState, IAFParameters, iaf_feed_forward_step
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

import snn2ann
from snn2ann.method.coupled_network import CoupledNetwork
from snn2ann.method.spiking_network import SpikingNetwork
from tests.network.modules import Own, statistics_seen


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


class NorseNeurons(TorchFunctionMode):
    """Within, every call of a ReLU is a layer of norse's neurons, by the thresholds in the order of the calls."""

    def __init__(self, thresholds: list[Tensor]) -> None:
        super().__init__()
        self.thresholds = thresholds
        self.states: dict[int, IAFFeedForwardState] = {}
        self.calls = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func not in (torch.relu, nn.functional.relu, Tensor.relu):
            return func(*args, **(kwargs or {}))
        number = self.calls % len(self.thresholds)
        state = self.states.get(number, IAFFeedForwardState(v=torch.zeros_like(args[0])))
        parameters = IAFParameters(v_th=self.thresholds[number])
        spikes, self.states[number] = iaf_feed_forward_step(args[0], state, parameters)
        self.calls += 1
        return spikes


def with_shares(model: nn.Module, time_steps: int, whole: list[str]) -> nn.Module:
    """Copy a network with every bias and running mean over T, but of the layers after the last neurons."""
    shared = copy.deepcopy(model)
    for name, value in [*shared.named_parameters(), *shared.named_buffers()]:
        owner, _, kind = name.rpartition(".")
        if kind in ("bias", "running_mean") and owner not in whole:
            value.data.div_(time_steps)
    return shared


class Small(nn.Module):
    """Layers without BatchNorm, and one without bias."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(2, 6, 3, bias=False), nn.Conv2d(6, 6, 3, padding=1)
        self.fc1, self.fc2 = nn.Linear(6 * 9, 20), nn.Linear(20, 3)
        self.relu, self.pool = nn.ReLU(), nn.MaxPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        first = self.relu(self.conv1(x))
        second = self.relu(self.pool(self.conv2(first) + first))
        return self.fc2(self.relu(self.fc1(second.flatten(1))))


@pytest.mark.parametrize(
    ("model", "readout"), [(Small(), ["fc2"]), (Own(pool_first=True), ["out", "out_norm"])], ids=["small", "own"]
)
def test_equals_ones_own_forward_run_step_by_step_with_norses_neurons(
    model: nn.Module, readout: list[str], images: Tensor
) -> None:
    torch.manual_seed(0)
    statistics_seen(model).eval().double()
    # Repeated images may not come round neurons.
    share, coding = (1 / 5, "divide") if isinstance(model, Own) else (1.0, "repeat")
    options: dict[str, Any] = {"variant": "released", "shortcut": "spikes", "input_coding": coding}
    coupled = snn2ann.couple(model, time_steps=5, image_shape=(2, 8, 8), **options)
    neurons = NorseNeurons(list(coupled.thresholds().values()))
    shared = with_shares(model, 5, readout)
    with torch.no_grad(), neurons:
        # What is read out is affine, so that the mean of its outputs is its output of the mean.
        steps = torch.stack([shared(images.double() * share) for _ in range(9)])
    expected = steps.cumsum(0) / torch.arange(1, 10).view(-1, 1, 1)
    found = coupled.spiking()(images.double(), 9, every_step=True)
    torch.testing.assert_close(found, expected)
    assert neurons.calls == 9 * len(coupled.neurons) and (found[0] - found[-1]).abs().max() > 0.01


def test_a_pooling_after_a_relu_is_that_before_it(images: Tensor) -> None:
    torch.manual_seed(0)
    before = snn2ann.couple(statistics_seen(Own(pool_first=True)), time_steps=5)
    after = snn2ann.couple(statistics_seen(Own(pool_first=False)), time_steps=5)
    after.model.load_state_dict(before.model.state_dict())
    for coupled in (before, after):
        torch.manual_seed(1)
        coupled(images).square().sum().backward()
    for one, other in zip(before.parameters(), after.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)
    torch.testing.assert_close(list(after.thresholds().values()), list(before.thresholds().values()))
    torch.testing.assert_close(after.eval()(images), before.eval()(images))


@pytest.mark.parametrize("last", [nn.ReLU(), nn.Identity()], ids=["neurons", "currents"])
def test_neurons_may_come_last_or_first(last: nn.Module, images: Tensor) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.ReLU(), nn.MaxPool2d(2), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8, 3), last)
    coupled = snn2ann.couple(model, time_steps=5, threshold_start=0.1)
    assert coupled(images).shape == (4, 3)
    assert {name: value.shape[1:] for name, value in coupled.thresholds().items()}["0"] == (2, 2, 2)
    torch.testing.assert_close(coupled.eval().spiking()(images), coupled(images))


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
