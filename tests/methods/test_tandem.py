"""Tandem learning against a second implementation: SpikingJelly's neurons, autograd, and a straight-through count."""

from typing import Any

import pytest
import torch
from spikingjelly.activation_based import neuron
from torch import Tensor
from torch.nn.functional import conv2d, cross_entropy, max_pool2d, relu

from snn2ann.errors import UserError
from snn2ann.evaluation.memory import saved_for_backward
from snn2ann.methods.tandem import TandemLearning
from tests.methods.building import build_relative
from tests.stages import classifier_of, layers_of, norm_of

VGG = {"kind": "vgg", "blocks": [[6, 6], [8]], "pooled_blocks": [1], "dropout": [0, 0]}
LABELS = torch.tensor([0, 1, 2, 3, 4])
STEPS = 4


@pytest.fixture
def images() -> Tensor:
    return torch.randn(5, 2, 8, 8, generator=torch.Generator().manual_seed(1))


def build(time_steps: int = STEPS, **options: Any) -> TandemLearning:
    model = build_relative("tandem", VGG, time_steps, **options)
    assert isinstance(model, TandemLearning)
    for layer in layers_of(model):
        norm_of(layer).running_mean.normal_(std=0.1)  # type: ignore[union-attr]
        norm_of(layer).running_var.uniform_(0.2, 0.4)  # type: ignore[union-attr]
    return model


def reference_logits(model: TandemLearning, images: Tensor, threshold: float) -> Tensor:
    activation, spikes = images, images.expand(STEPS, *images.shape)
    for layer in layers_of(model):
        convolution, norm = layer.main.convolution, norm_of(layer)
        with torch.no_grad():
            scale = norm.weight / (norm.running_var + norm.eps).sqrt()  # type: ignore[operator, union-attr]
            weight = convolution.weight * scale.view(-1, 1, 1, 1)
            bias = (scale * (convolution.bias - norm.running_mean) + norm.bias) / STEPS  # type: ignore[operator]
            current = torch.stack([conv2d(each, weight, bias, padding=1) for each in spikes])
            current = torch.stack([max_pool2d(each, 2) for each in current]) if layer.pool else current
            spikes = neuron.IFNode(v_threshold=threshold, v_reset=None, step_mode="m")(current)
        analog = norm(convolution(activation))
        analog = relu(max_pool2d(analog, 2) if layer.pool else analog)
        activation = analog + (spikes.sum(0) - analog).detach()
    logits: Tensor = classifier_of(model)(activation.flatten(1) / STEPS)
    return logits


@pytest.mark.parametrize("threshold", [1.0, 0.5])
def test_a_step_equals_the_reference(threshold: float, images: Tensor) -> None:
    ours, theirs = build(threshold=threshold), build(threshold=threshold)
    step = ours.training_step(images, LABELS, cross_entropy)
    step.loss.backward()
    logits = reference_logits(theirs, images, threshold)
    cross_entropy(logits, LABELS).backward()
    torch.testing.assert_close(step.logits, logits)
    for (name, one), other in zip(ours.network.named_parameters(), theirs.network.parameters(), strict=True):
        assert name.endswith("convolution.bias") or other.grad.abs().sum() > 0  # type: ignore[union-attr]
        torch.testing.assert_close(one.grad, other.grad, msg=name, atol=1e-6, rtol=1e-4)


def test_thresholds_stay_and_the_deployed_network_is_the_snn_branch(images: Tensor) -> None:
    model = build(threshold=0.5)
    for _ in range(3):
        model.training_step(images, LABELS, cross_entropy).loss.backward()
    assert all(bool((layer.fire.neurons.threshold == 0.5).all()) for layer in layers_of(model))
    model.eval()
    _, branch = model.coupled_forward(images, STEPS)
    torch.testing.assert_close(model.spiking_forward(images, STEPS)[-1], branch)


def test_memory_is_flat_in_t(images: Tensor) -> None:
    def saved(time_steps: int) -> int:
        model = build(time_steps)
        return saved_for_backward(model, lambda: model.training_step(images, LABELS, cross_entropy).loss.backward())

    assert saved(16) == saved(4)


@pytest.mark.parametrize("threshold", [0, -1.0, True, "high"])
def test_a_threshold_that_makes_no_sense_is_named(threshold: Any) -> None:
    with pytest.raises(UserError, match=r"option threshold: .* expected .*a number above 0"):
        build(threshold=threshold)
