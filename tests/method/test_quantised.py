"""The part of a training in which counts are a quantiser's, against PyTorch's quantisers and the neurons themselves."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from snn2ann import couple
from snn2ann.engine.neuron import integrate_and_fire
from snn2ann.errors import UserError
from snn2ann.method.coupled_network import CoupledNetwork
from snn2ann.method.quantised import quantised_count
from snn2ann.options import REFINED, RELEASED
from tests.method.test_bypass import FORWARDS, Parts

LABELS, STEPS = torch.arange(8) % 4, 3


@pytest.fixture
def images() -> Tensor:
    return torch.rand(8, 2, 8, 8, generator=torch.Generator().manual_seed(3))


def network() -> nn.Sequential:
    torch.manual_seed(0)
    layers = [nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4)]
    # Pooled before, so that there are no equal counts to choose from.
    return nn.Sequential(*layers, nn.MaxPool2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(16, 4)).train()


def coupled(**options: Any) -> CoupledNetwork:
    return couple(network(), STEPS, image_shape=(2, 8, 8), **{"quantised_share": 0.5, "spike_penalty": 0.0, **options})


def test_counts_are_those_that_pytorch_rounds_to() -> None:
    """Two halves are rounded otherwise: PyTorch's go to the even one, and a neuron fires above its threshold."""
    charge = 3 * torch.randn(4, 100, generator=torch.Generator().manual_seed(0))
    found = quantised_count(charge, torch.tensor(0.75), STEPS, 0.5) * 0.75
    torch.testing.assert_close(found, torch.fake_quantize_per_tensor_affine(charge, 0.75, 0, 0, STEPS))


@pytest.mark.parametrize("start", [0.0, 0.25, 0.5])
@pytest.mark.parametrize("time_steps", [1, 3, 300])
def test_counts_are_those_of_neurons_under_a_constant_current(start: float, time_steps: int) -> None:
    generator = torch.Generator().manual_seed(0)
    charge = time_steps * torch.randn(2, 5, generator=generator, dtype=torch.float64)
    threshold = torch.rand(1, 5, generator=generator, dtype=torch.float64) + 0.2
    current = (charge / time_steps).expand(time_steps, -1, -1)
    fired = integrate_and_fire(current, threshold, reset="subtract", membrane_start=start).sum(0)
    assert torch.equal(quantised_count(charge, threshold, time_steps, start).to(fired.dtype), fired)


class Quantised(nn.Module):
    """A ReLU's place in a network of floats: counts by PyTorch's quantiser, of a charge, straight through."""

    def __init__(self, threshold: Tensor, times: int) -> None:
        super().__init__()
        self.threshold, self.times = threshold, times

    def forward(self, value: Tensor) -> Tensor:
        count = torch.fake_quantize_per_tensor_affine(value.detach() * self.times, 0.75, 0, 0, STEPS) / 0.75
        inside = (value > 0) & (value < (STEPS + 0.5) * self.threshold)
        passed = value * inside / self.threshold
        return passed + (count - passed).detach()


class Scaled(nn.Linear):
    def forward(self, value: Tensor) -> Tensor:
        return super().forward(value / STEPS)


def test_a_batch_is_that_of_a_network_of_quantised_activations(images: Tensor) -> None:
    """Built of PyTorch alone: the same logits and the same gradients."""
    own, plain = coupled(), network()
    threshold = torch.tensor(0.75)
    plain[2], plain[6] = Quantised(threshold, STEPS), Quantised(threshold, 1)
    linear = plain[8]
    plain[8] = Scaled(16, 4)
    plain[8].load_state_dict(linear.state_dict())
    own.progress = 0.2
    logits, expected = own(images), plain(images)
    torch.testing.assert_close(logits, expected)
    for found in (logits, expected):
        cross_entropy(found, LABELS).backward()
    for one, other in zip(own.model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)


def test_neurons_are_run_from_the_share_on(images: Tensor) -> None:
    first, spikes = coupled(), coupled(quantised_share=None)
    spikes.progress = first.progress = 0.4999
    assert not torch.equal(first(images), spikes(images))
    first, spikes = coupled(), coupled(quantised_share=None)
    spikes.progress = first.progress = 0.5
    assert torch.equal(first(images), spikes(images))
    first.progress = 0.0
    for each in (first, spikes):
        each.eval()
    assert torch.equal(first(images), spikes(images))


def test_what_a_layer_did_is_told(images: Tensor) -> None:
    own = coupled(ata_rate=0.0)
    before = [neurons.threshold.clone() for neurons in own.by_label().values()]
    own.progress = 0.0
    own(images)
    for neurons, threshold in zip(own.by_label().values(), before, strict=True):
        assert neurons.noisy_spike_rate == 0
        assert neurons.spikes_per_image is not None and neurons.spikes_per_image > 0
        assert "quantised" in neurons.way
        torch.testing.assert_close(neurons.threshold, threshold)


def test_spikes_are_paid_for_and_thresholds_are_learned(images: Tensor) -> None:
    own = coupled(spike_penalty=0.1, threshold_descent=0.02)
    before = {name: value.clone() for name, value in own.thresholds().items()}
    own.progress = 0.0
    (cross_entropy(own(images), LABELS) + own.price).backward()
    neurons = sum(value.numel() for value in before.values())
    given = [each.spikes_per_image for each in own.by_label().values()]
    spikes = sum(each.item() for each in given if each is not None)
    assert own.price.item() == pytest.approx(0.1 * spikes / neurons)
    for name, value in own.thresholds().items():
        assert (value - before[name]).square().mean().sqrt().item() == pytest.approx(0.02)


def test_a_loop_that_does_not_say_how_far_it_is_is_told_to(images: Tensor) -> None:
    own = coupled()
    with pytest.raises(UserError, match=r"quantised_share=0.5, set `coupled.progress`"):
        own(images)
    own.eval()(images)


def test_a_compiled_network_follows(images: Tensor) -> None:
    plain, own = coupled(), coupled()
    call = torch.compile(own, backend="eager")
    for share in (0.1, 0.2, 0.7):
        plain.progress = own.progress = share
        torch.testing.assert_close(call(images), plain(images))
    torch._dynamo.reset()


@pytest.mark.parametrize(
    ("changes", "named"), [({"reset": "zero"}, "reset"), ({"input_coding": "repeat"}, "input_coding")]
)
def test_neurons_that_are_no_quantisers_are_refused(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(UserError, match=f"quantised_share: it needs {named}"):
        REFINED.with_options({"quantised_share": 0.5, **changes})
    with pytest.raises(UserError, match="quantised_share"):
        RELEASED.with_options({"quantised_share": 0.5})
    # Of none nothing is asked.
    RELEASED.with_options({"quantised_share": 0.0})


def torchvision_network(name: str) -> nn.Module:
    return torchvision.models.get_model(name, num_classes=4)


# One step charges a neuron once, evenly, so that there is nothing between what it fires and what its charge comes to.
AT_ONE_STEP: dict[str, tuple[Callable[[], nn.Module], tuple[int, int, int]]] = {
    "plain": (network, (2, 8, 8)),
    **{forward.__name__: (partial(Parts, forward), (2, 6, 6)) for forward in FORWARDS},
    **{name: (partial(torchvision_network, name), (3, 32, 32)) for name in ("vgg11_bn", "resnet18", "densenet121")},
}


@pytest.mark.parametrize("name", AT_ONE_STEP)
def test_in_one_step_a_quantiser_counts_as_neurons_do(name: str) -> None:
    make, shape = AT_ONE_STEP[name]
    # In double precision, in which no count turns on the order of a sum.
    images = torch.rand(4, *shape, generator=torch.Generator().manual_seed(3)).double()
    labels = torch.arange(4) % 3
    found = []
    for share in (1.0, None):
        torch.manual_seed(0)
        own = couple(make().double(), 1, image_shape=shape, quantised_share=share).train()
        own.progress = 0.2
        torch.manual_seed(1)
        logits = own(images)
        (cross_entropy(logits, labels) + own.price).backward()
        found.append([logits, *(each.grad for each in own.model.parameters()), *own.thresholds().values()])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("time_steps", [1, 3])
def test_frames_charge_their_sum(time_steps: int) -> None:
    """At the first layer, and for all time steps where they are of one."""
    frames = torch.rand(time_steps, 8, 2, 8, 8, generator=torch.Generator().manual_seed(3))
    own, plain = (couple(network(), time_steps, image_shape=(2, 8, 8), quantised_share=each) for each in (1.0, None))
    own.progress = plain.progress = 0.2
    logits = own(frames), plain(frames)
    if time_steps == 1:
        torch.testing.assert_close(*logits)
    assert isinstance(own.model, nn.Sequential)
    value = nn.BatchNorm2d(4)(own.model[0](frames.sum(0)))
    expected = torch.fake_quantize_per_tensor_affine(value, 0.75, 0, 0, time_steps) / 0.75
    given = next(iter(own.by_label().values())).spikes_per_image
    assert given is not None and given.item() == pytest.approx(expected.sum().item() / 8)
