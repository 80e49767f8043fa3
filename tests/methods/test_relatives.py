"""Relatives of spike-based BP: what each is known to share with it, what it is known to save, and that it learns."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from sklearn.datasets import load_digits
from spikingjelly.activation_based import functional as spikingjelly
from spikingjelly.activation_based import neuron, surrogate
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from snn2ann.engine.pooling import pool
from snn2ann.engine.signals import Observation
from snn2ann.evaluation.memory import saved_for_backward
from snn2ann.methods import METHODS
from snn2ann.methods.build import build_model
from snn2ann.methods.model import Model
from tests.methods.building import build_relative
from tests.stages import classifier_of, layers_of, of_layers

NETWORKS: dict[str, dict[str, Any]] = {
    "vgg": {"kind": "vgg", "blocks": [[6, 6], [8]], "pooled_blocks": [1], "dropout": [0, 0]},
    "resnet": {"kind": "resnet", "channels": [4, 4, 6], "strides": [1, 1, 2], "blocks_per_stage": 1, "dropout": 0.2},
}
LABELS = torch.tensor([0, 1, 2, 3, 4])
FLAT = ("sltt", "ottt", "rate_based", "tandem")
KINDS = pytest.mark.parametrize("kind", NETWORKS)


@pytest.fixture
def images() -> Tensor:
    return torch.randn(5, 2, 8, 8, generator=torch.Generator().manual_seed(1))


def build(name: str, kind: str, time_steps: int) -> Model:
    return build_relative(name, NETWORKS[kind], time_steps)


def trained(name: str, kind: str, time_steps: int, images: Tensor) -> Model:
    model = build(name, kind, time_steps)
    torch.manual_seed(2)
    model.training_step(images, LABELS, cross_entropy).loss.backward()
    return model


def assert_trained_alike(one: Model, other: Model) -> None:
    for (name, ours), theirs in zip(one.network.named_parameters(), other.network.parameters(), strict=True):
        assert theirs.grad.abs().sum() > 0 or name.endswith("convolution.bias")  # type: ignore[union-attr]
        torch.testing.assert_close(ours.grad, theirs.grad, msg=name)
    for ours, theirs in zip(one.network.buffers(), other.network.buffers(), strict=True):  # type: ignore[assignment]
        torch.testing.assert_close(ours, theirs)


@KINDS
def test_checkpoints_change_no_gradient_and_no_running_statistic(kind: str, images: Tensor) -> None:
    assert_trained_alike(trained("checkpointed", kind, 4, images), trained("stbp", kind, 4, images))


@KINDS
def test_sltt_equals_spike_based_bp_where_there_is_no_time(kind: str, images: Tensor) -> None:
    assert_trained_alike(trained("sltt", kind, 1, images), trained("stbp", kind, 1, images))


@pytest.mark.parametrize(
    ("options", "made"),
    [
        ({}, lambda: neuron.IFNode(surrogate_function=surrogate.ATan(alpha=2.0), v_reset=0.0)),
        (
            {"tau": 1.1, "reset": "subtract", "surrogate": "triangle", "surrogate_width": 1.0},
            lambda: neuron.LIFNode(
                tau=1.1, decay_input=False, surrogate_function=surrogate.PiecewiseQuadratic(alpha=1.0), v_reset=None
            ),
        ),
    ],
    ids=["as spike-based BP", "as its authors"],
)
def test_sltts_gradient_is_spikingjellys_own_with_the_time_steps_cut_apart(
    options: dict[str, Any], made: Callable[[], nn.Module], images: Tensor
) -> None:
    """The reference cuts every membrane off the step before, and goes backward once from the mean loss."""
    model, again = (build_relative("sltt", NETWORKS["vgg"], 3, **options) for _ in range(2))
    layers = layers_of(model)
    neurons = [made() for _ in layers]
    total = torch.zeros(())
    for _ in range(3):
        value = images
        for layer, fired in zip(layers, neurons, strict=True):
            spikingjelly.detach_net(fired)
            value = fired(pool(layer.pool, layer.main.run(value)) if layer.pool else layer.main.run(value))
        total = total + cross_entropy(classifier_of(model)(value.flatten(1)), LABELS) / 3
    total.backward()
    again.training_step(images, LABELS, cross_entropy).loss.backward()
    for ours, theirs in zip(again.network.parameters(), model.network.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-6, rtol=1e-4)


@KINDS
def test_memory_is_flat_in_t_but_for_spike_based_bp_and_small_for_checkpoints(kind: str, images: Tensor) -> None:
    saved = {}
    for name in ("stbp", "checkpointed", *FLAT):
        for time_steps in (4, 8):
            model = build(name, kind, time_steps)

            def step(model: Model = model) -> None:
                model.training_step(images, LABELS, cross_entropy).loss.backward()

            saved[name, time_steps] = saved_for_backward(model, step)
    for name in FLAT:
        assert saved[name, 8] == saved[name, 4] < saved["stbp", 8] / 2
    assert saved["stbp", 8] > 1.8 * saved["stbp", 4]
    assert saved["checkpointed", 8] < 0.25 * saved["stbp", 8]


@KINDS
@pytest.mark.parametrize("name", ["sltt", "checkpointed", "rate_based"])
def test_the_deployed_network_is_that_of_spike_based_bp(name: str, kind: str, images: Tensor) -> None:
    seen: dict[str, list[float]] = {}
    found = {}
    for each in (name, "stbp"):
        model = build(each, kind, 4).eval()

        def observe(shown: Observation, spikes: list[float] = seen.setdefault(each, [])) -> None:  # noqa: B008
            spikes.append(float(shown.outgoing.value.sum()))

        found[each] = model.spiking_forward(images, 4, of_layers(observe))
    torch.testing.assert_close(found[name], found["stbp"])
    assert seen[name] == seen["stbp"] and sum(seen[name]) > 0


@pytest.mark.parametrize("name", ["stbp", "checkpointed", "qcfs", *FLAT])
def test_two_epochs_on_digits_teach_it_most_of_them(name: str) -> None:
    """Of 300 images that it has not seen, 30 would be right by chance; the spiking network is what is asked."""
    digits = load_digits()
    images, labels = torch.tensor(digits.images, dtype=torch.float32)[:, None] / 8 - 1, torch.tensor(digits.target)
    torch.manual_seed(0)
    # A ceiling for activations of unit size, which so few steps would not bring down from the default.
    options = METHODS[name].defaults | ({"ceiling": 2.0} if name == "qcfs" else {})
    method = {"name": name, "time_steps": 4 if METHODS[name].time_steps else None, "options": options}
    network = {"kind": "resnet", "channels": [8, 8, 16], "strides": [1, 2, 2], "blocks_per_stage": 1, "dropout": 0}
    model = build_model({"dataset": {"shape": (1, 8, 8), "classes": 10}, "network": network, "method": method})
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(2):
        for batch in torch.randperm(1497).split(64):
            optimiser.zero_grad()
            model.train().training_step(images[batch], labels[batch], cross_entropy).loss.backward()
            optimiser.step()
    answers = model.eval().spiking_forward(images[1497:], 8)[-1].argmax(1)
    assert int((answers == labels[1497:]).sum()) > 200
