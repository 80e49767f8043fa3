"""Online training through time against SpikingJelly's own layers, stepped one by one."""

from typing import Any

import pytest
import torch
from spikingjelly.activation_based import functional as spikingjelly
from spikingjelly.activation_based import layer, neuron, surrogate
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from snn2ann.errors import UserError
from snn2ann.methods.ottt import OnlineTrainingThroughTime
from tests.methods.building import build_relative
from tests.stages import classifier_of, layers_of, norm_of

NETWORKS: dict[str, dict[str, Any]] = {
    "vgg": {"kind": "vgg", "blocks": [[6, 6], [8]], "pooled_blocks": [1], "dropout": [0, 0]},
    "resnet": {"kind": "resnet", "channels": [4, 4, 6], "strides": [1, 1, 2], "blocks_per_stage": 1, "dropout": 0},
}
LABELS = torch.tensor([0, 1, 2, 3, 4])
OTHER = {"tau": 1.5, "threshold": 0.7, "surrogate": "atan", "surrogate_width": 3.0}


@pytest.fixture
def images() -> Tensor:
    return torch.randn(5, 2, 8, 8, generator=torch.Generator().manual_seed(1))


def build(kind: str, time_steps: int, **options: Any) -> OnlineTrainingThroughTime:
    model = build_relative("ottt", NETWORKS[kind], time_steps, **options)
    assert isinstance(model, OnlineTrainingThroughTime)
    return model


def twin_of(model: OnlineTrainingThroughTime, make: Any) -> nn.Sequential:
    """SpikingJelly's container around the very parameters of the model."""
    parts: list[nn.Module] = []
    for number, ours in enumerate(layers_of(model)):
        parts += [ours.main.convolution, norm_of(ours), *([nn.MaxPool2d(2)] if number == 1 else []), make()]
    return layer.OTTTSequential(*parts, nn.Flatten(), classifier_of(model))


@pytest.mark.parametrize("options", [{}, OTHER])
def test_gradients_are_spikingjellys_own(options: dict[str, Any], images: Tensor) -> None:
    def make() -> nn.Module:
        if not options:
            return neuron.OTTTLIFNode()
        return neuron.OTTTLIFNode(tau=1.5, v_threshold=0.7, surrogate_function=surrogate.ATan(alpha=3.0))

    model, reference = build("vgg", 4, **options), build("vgg", 4, **options)
    step = model.training_step(images, LABELS, cross_entropy)
    step.loss.backward()
    twin, logits = twin_of(reference, make), []
    for _ in range(4):
        logits.append(twin(images))
        (cross_entropy(logits[-1], LABELS) / 4).backward()
    torch.testing.assert_close(step.logits, torch.stack(logits).mean(0))
    for (name, ours), theirs in zip(model.network.named_parameters(), reference.network.parameters(), strict=True):
        assert theirs.grad.abs().sum() > 0 or name.endswith("convolution.bias")  # type: ignore[union-attr]
        torch.testing.assert_close(ours.grad, theirs.grad, msg=name)
    for ours, theirs in zip(model.network.buffers(), reference.network.buffers(), strict=True):  # type: ignore[assignment]
        torch.testing.assert_close(ours, theirs)


def test_traces_change_the_gradients_and_nothing_else(images: Tensor) -> None:
    """Beside the same neurons without traces, as spatial learning through time has them."""
    model, reference = build("vgg", 4), build("vgg", 4)
    step = model.training_step(images, LABELS, cross_entropy)
    step.loss.backward()
    parts = list(twin_of(reference, lambda: neuron.SLTTLIFNode(decay_input=False, v_reset=None)))
    twin, logits = nn.Sequential(*parts), []
    for _ in range(4):
        logits.append(twin(images))
        (cross_entropy(logits[-1], LABELS) / 4).backward()
    torch.testing.assert_close(step.logits, torch.stack(logits).mean(0))
    first, second, *_ = zip(layers_of(model), layers_of(reference), strict=True)
    # The first layer's input has no trace: its gradient is the same.
    torch.testing.assert_close(first[0].main.convolution.weight.grad, first[1].main.convolution.weight.grad)
    assert not torch.allclose(second[0].main.convolution.weight.grad, second[1].main.convolution.weight.grad)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", NETWORKS)
def test_it_is_spike_based_bp_where_there_is_no_time(kind: str, images: Tensor) -> None:
    model = build(kind, 1)
    model.training_step(images, LABELS, cross_entropy).loss.backward()
    other = build_relative("stbp", NETWORKS[kind], 1, surrogate="sigmoid", surrogate_width=4.0)
    other.training_step(images, LABELS, cross_entropy).loss.backward()
    for (name, ours), theirs in zip(model.network.named_parameters(), other.network.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, msg=name)


@pytest.mark.parametrize("training", [True, False])
def test_the_deployed_network_is_spikingjellys_leaky_one(training: bool, images: Tensor) -> None:
    """Layer by layer over all steps, as it is evaluated, equals step by step through all layers."""
    model, reference = build("vgg", 4, **OTHER), build("vgg", 4, **OTHER)
    model.eval(), reference.eval()
    twin = twin_of(reference, lambda: neuron.LIFNode(tau=1.5, decay_input=False, v_threshold=0.7, v_reset=None))
    expected = torch.stack([twin(images) for _ in range(4)])
    model.neurons.train(training)
    found = model.spiking_forward(images, 4)
    torch.testing.assert_close(found[-1], expected.mean(0))
    torch.testing.assert_close(found[0], expected[0])
    spikingjelly.reset_net(twin)


@pytest.mark.parametrize("option", [{"tau": 1.0}, {"tau": "slow"}, {"threshold": 0}, {"surrogate": "step"}])
def test_a_bad_option_is_named(option: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=f"option {next(iter(option))}"):
        build("vgg", 2, **option)
