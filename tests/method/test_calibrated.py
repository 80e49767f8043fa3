"""A calibrated start: counts stand for the activations of a trained ANN, by thresholds from data."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import snn2ann
from benchmarks import from_trained
from snn2ann.engine.firing import NeuronSettings
from snn2ann.engine.neuron import integrate_and_fire
from snn2ann.errors import UserError
from snn2ann.method import calibration
from snn2ann.options import VARIANTS
from tests.network.modules import Own, statistics_seen


@pytest.fixture
def images() -> Tensor:
    return torch.randn(32, 2, 8, 8, generator=torch.Generator().manual_seed(5))


def own() -> nn.Module:
    torch.manual_seed(0)
    return statistics_seen(Own()).eval()


def test_a_trained_network_starts_above_spikingjellys_converter_and_is_trained_from_there() -> None:
    images, labels, tested, tested_labels = from_trained.digits()
    data = images, labels, tested[:200], tested_labels[:200]
    torch.manual_seed(1)
    model = from_trained.network("vgg", 8)
    from_trained.train(model, data, epochs=8)
    theirs = [from_trained.spikingjelly(model, data, mode) for mode in from_trained.MODES]
    found = {}
    for steps in from_trained.TIME_STEPS:
        coupled = snn2ann.couple(copy.deepcopy(model), steps, calibrate=data[0].split(64))
        found[steps] = from_trained.accuracy(coupled(data[2]), data[3])
        assert found[steps] >= max(each[steps] for each in theirs)
    assert found[5] > 90
    trained = from_trained.trained_on(
        snn2ann.couple(copy.deepcopy(model), 5, calibrate=data[0]), "vgg", data, seed=0, epochs=1
    )
    assert trained["fine_tuned"] >= max(found[5] - 1, trained["from_scratch"])


@pytest.mark.parametrize("variant", VARIANTS)
def test_deployed_equals_branch(variant: str, images: Tensor) -> None:
    options: dict[str, Any] = {"input_coding": "direct"} if variant == "released" else {}
    coupled = snn2ann.couple(own(), 6, variant=variant, calibrate=images, **options)
    logits = coupled(images)
    assert len(logits.unique(dim=0)) > 16
    spiking = coupled.spiking()
    torch.testing.assert_close(spiking(images), logits)
    assert spiking.time_steps == 6 and spiking(images, 9, every_step=True).shape == (9, 32, 4)
    if variant == "refined":
        torch.testing.assert_close(coupled.branches(images)[0], logits)


class Kinds(nn.Module):
    """Channels of unlike size before every kind of weights: grouped, of one dimension, linear, and beside each other."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.grouped = nn.Conv2d(2, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1, groups=4)
        self.beside, self.rows = nn.Conv2d(16, 4, 1), nn.Conv1d(4, 6, 3, padding=1)
        self.norm, self.hidden, self.out = nn.BatchNorm2d(8), nn.Linear(6 * 64, 12), nn.Linear(12, 4)

    def forward(self, x: Tensor) -> Tensor:
        first = self.first(x).relu()
        second = self.norm(self.grouped(first)).relu()
        third = self.beside(torch.cat([first, second], 1)).relu()
        fourth = self.rows(third.flatten(2)).relu()
        return self.out(self.hidden(fourth.flatten(1)).relu())


def test_whatever_weights_take_a_channels_spikes_they_are_worth_the_same(images: Tensor) -> None:
    torch.manual_seed(0)
    model = statistics_seen(Kinds()).double().eval()
    with torch.no_grad():
        model.get_parameter("first.weight").mul_(torch.logspace(-1, 1, 8)[:, None, None, None])
    images = images.double()
    coupled = snn2ann.couple(model, 6, calibrate=images)
    logits = coupled(images)
    torch.testing.assert_close(coupled.spiking()(images), logits)
    torch.testing.assert_close(coupled.branches(images)[0], logits)
    # A spike is worth what its channel's activations need, which is a hundredfold here.
    worth = [layer.worth for layer in coupled.by_label().values()]
    assert worth[0] is not None and worth[0].shape == (1, 8, 1, 1) and float(worth[0].max() / worth[0].min()) > 20
    expected = model(images).detach()
    assert float((logits - expected).norm()) < 0.5 * float((expected - expected.mean(0)).norm())


def test_more_steps_come_nearer_to_the_ann(images: Tensor) -> None:
    model = own()
    expected = model(images).detach()
    errors = [
        float((snn2ann.couple(model, steps, calibrate=images)(images) - expected).norm()) for steps in (4, 16, 64)
    ]
    assert errors[0] > errors[1] > errors[2] and errors[2] < 0.2 * float((expected - expected.mean(0)).norm())


def test_gradients_are_those_of_the_ann_where_counts_are_its_activations(images: Tensor) -> None:
    def gradients(call: nn.Module) -> Tensor:
        model.zero_grad()
        cross_entropy(call(images), torch.arange(32) % 4).backward()
        return torch.cat([value.grad.flatten() for value in model.parameters() if value.grad is not None])

    for groups in (1, 2):  # run as layers, and operation by operation
        torch.manual_seed(0)
        layers = [nn.Sequential(nn.Conv2d(2, 2, 3, padding=1, groups=groups), nn.ReLU()) for _ in range(3)]
        model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(2 * 64, 4))
        expected = gradients(model)
        for gradient in ("window", "straight"):
            coupled = snn2ann.couple(
                model, 64, calibrate=images, gradient=gradient, spike_penalty=0.0, ata=False, pooling="charge"
            )
            found = gradients(coupled)
            assert float((found - expected).norm() / expected.norm()) < 0.2, (groups, gradient)


def test_the_network_is_as_it_was(images: Tensor) -> None:
    model = own().train()
    before, drawn = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    coupled = snn2ann.couple(model, 4, calibrate=images)
    assert torch.equal(drawn, torch.get_rng_state()) and coupled.training and model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_thresholds_and_worth_are_saved_and_loaded(images: Tensor) -> None:
    calibrated = snn2ann.couple(own(), 4, calibrate=images)
    state = calibrated.state_dict()
    names = [f"neurons.{name}.{kind}" for name in calibrated.neurons for kind in ("threshold", "worth")]
    assert set(names) <= state.keys()
    assert all(float(state[name].min()) > 0 for name in names)
    fresh = snn2ann.couple(own(), 4)
    assert not any(name.endswith("worth") for name in fresh.state_dict())
    fresh.load_state_dict(state)
    torch.testing.assert_close(fresh.eval()(images), calibrated(images), rtol=0, atol=0)


def test_a_layer_that_is_never_active_gets_a_threshold_of_one(images: Tensor) -> None:
    model = nn.Sequential(nn.Conv2d(2, 3, 1), nn.ReLU(), nn.Flatten())
    nn.init.constant_(model[0].bias, -100)  # type: ignore[arg-type]
    coupled = snn2ann.couple(model.eval(), 4, calibrate=images)
    assert coupled.thresholds()["1"].eq(1).all() and not coupled(images).any()


@pytest.mark.parametrize("start", [0.0, 0.5])
def test_of_what_counts_can_say_exactly_they_say_the_mean(start: float) -> None:
    # Three channels, each with a largest activation of its own, and one that is never active.
    activation = torch.tensor([3.0, 0.3, 20.0, 0.0]) * torch.arange(5).repeat(20)[:, None] / 4
    settings = NeuronSettings(4, "subtract", start, 0.0, "spikes")
    current = activation * 1.0003
    threshold, worth = calibration.nearest(current[None], activation, settings)
    assert threshold.shape == worth.shape == (1, 4) and threshold[0, 3] == worth[0, 3] == 1
    spikes = integrate_and_fire(current.expand(4, *activation.shape), threshold, reset="subtract", membrane_start=start)
    rates = spikes.mean(0) * worth
    torch.testing.assert_close(rates.mean(0), activation.mean(0))
    assert bool(((rates - activation).abs().amax(0) <= 0.14 * activation.amax(0)).all())


def nothing() -> Iterator[Tensor]:
    yield from ()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "there are no images"),
        (nothing(), "there are no images"),
        (torch.empty(0, 2, 8, 8), "there are no images"),
        (3, "int is not allowed"),
        (["image"], "a batch is str"),
        ([()], "a batch is tuple"),
        (torch.zeros(4, 2, 8, 8, dtype=torch.uint8), "torch.uint8 .* expected floating-point images"),
        ([torch.zeros(4, 2, 8, 8), torch.zeros(4, 2, 6, 6)], "expected one size"),
        (torch.zeros(4, 3, 8, 8), "do not go through the network"),
        (torch.zeros(4, 2, 12, 12), "give images of the first ones' size"),
        (torch.full((4, 2, 8, 8), float("nan")), "calibrate: not finite"),
    ],
)
def test_what_is_no_images_is_refused_in_a_line(given: Any, message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        snn2ann.couple(own(), 4, image_shape=(2, 8, 8), calibrate=given)
    assert "\n" not in str(error.value)


def test_labels_are_not_looked_at_and_no_more_images_than_needed(images: Tensor) -> None:
    def endless() -> Iterator[tuple[Tensor, str]]:
        while True:
            yield images, "labels"

    gathered = calibration.images_of(endless(), torch.empty(0, dtype=torch.float64))
    assert gathered.shape == (calibration.IMAGES, 2, 8, 8) and gathered.dtype == torch.float64
