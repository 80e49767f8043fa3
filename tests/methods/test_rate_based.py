"""Rate-based backpropagation: equal to that through time where nothing is approximated, and as published elsewhere."""

from typing import Any

import pytest
import torch
from spikingjelly.activation_based import functional as spikingjelly
from spikingjelly.activation_based import neuron, surrogate
from torch import Tensor
from torch.nn.functional import cross_entropy

from snn2ann.errors import UserError
from snn2ann.methods.model import Model
from tests.methods.building import build_relative
from tests.stages import classifier_of, layers_of, norm_of

NETWORKS: dict[str, dict[str, Any]] = {
    "one layer": {"kind": "vgg", "blocks": [[6]], "pooled_blocks": [1], "dropout": [0.3]},
    "vgg": {"kind": "vgg", "blocks": [[6, 6], [8]], "pooled_blocks": [1], "dropout": [0, 0.2]},
    "resnet": {"kind": "resnet", "channels": [4, 4, 6], "strides": [1, 1, 2], "blocks_per_stage": 1, "dropout": 0.2},
    "plain": {"kind": "vgg", "blocks": [[6, 6], [8]], "pooled_blocks": [], "dropout": [0, 0]},
}
LABELS = torch.tensor([0, 1, 2, 3, 4])


@pytest.fixture
def images() -> Tensor:
    return torch.randn(5, 2, 8, 8, generator=torch.Generator().manual_seed(1))


def trained(name: str, kind: str, time_steps: int, images: Tensor, **options: Any) -> tuple[Model, Tensor]:
    model = build_relative(name, NETWORKS[kind], time_steps, **options)
    torch.manual_seed(2)
    step = model.training_step(images, LABELS, cross_entropy)
    step.loss.backward()
    return model, step.logits


def assert_alike(one: Model, other: Model, gradients: bool) -> None:
    for (name, ours), theirs in zip(one.network.named_parameters(), other.network.parameters(), strict=True):
        assert theirs.grad.abs().sum() > 0 or name.endswith("convolution.bias")  # type: ignore[union-attr]
        if gradients:
            torch.testing.assert_close(ours.grad, theirs.grad, msg=name, atol=1e-5, rtol=1e-4)
    for ours, theirs in zip(one.network.buffers(), other.network.buffers(), strict=True):  # type: ignore[assignment]
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(
    "membrane", [{}, {"tau": 1.8}, {"reset": "subtract"}, {"tau": 1.8, "reset": "subtract"}], ids=str
)
@pytest.mark.parametrize("detach_reset", [True, False])
@pytest.mark.parametrize(("shape", "width"), [("atan", 2.0), ("sigmoid", 4.0), ("triangle", 2.0), ("triangle", 4.0)])
def test_a_constant_current_has_the_gradient_through_time(
    shape: str, width: float, detach_reset: bool, membrane: dict[str, Any], images: Tensor
) -> None:
    """One layer under a constant image: the mean current is every step's, so that nothing is approximated."""
    options = {"surrogate": shape, "surrogate_width": width, "detach_reset": detach_reset, "threshold": 1.2, **membrane}
    rates, logits = trained("rate_based", "one layer", 6, images, **options)
    through_time, expected = trained("stbp", "one layer", 6, images, **options)
    assert_alike(rates, through_time, gradients=True)
    torch.testing.assert_close(logits, expected)


@pytest.mark.parametrize("kind", ["vgg", "resnet"])
def test_it_is_spike_based_bp_where_there_is_no_time(kind: str, images: Tensor) -> None:
    rates, _ = trained("rate_based", kind, 1, images)
    assert_alike(rates, trained("stbp", kind, 1, images)[0], gradients=True)


@pytest.mark.parametrize("kind", ["vgg", "resnet"])
def test_forward_pass_and_running_statistics_are_those_of_spike_based_bp(kind: str, images: Tensor) -> None:
    rates, logits = trained("rate_based", kind, 5, images)
    through_time, expected = trained("stbp", kind, 5, images)
    assert_alike(rates, through_time, gradients=False)
    torch.testing.assert_close(logits, expected)


def test_gradients_are_those_of_mean_rates_with_the_neurons_response_to_a_constant_current(images: Tensor) -> None:
    """The reference has SpikingJelly's autograd differentiate each layer's rate by a current that is added at every step."""
    steps = 4
    model, _ = trained("rate_based", "plain", steps, images)
    reference, _ = trained("rate_based", "plain", steps, images)
    reference.zero_grad()
    rate, spikes = images, images.expand(steps, *images.shape)
    for layer in layers_of(reference):
        merged = layer.main.convolution(spikes.flatten(0, 1)).detach()
        mean, variance = merged.mean((0, 2, 3), keepdim=True), merged.var((0, 2, 3), unbiased=False, keepdim=True)
        own = layer.main.convolution(rate)
        off = own - own.mean((0, 2, 3), keepdim=True)
        squares = (off**2).mean((0, 2, 3), keepdim=True)
        gamma, beta = norm_of(layer).weight.view(-1, 1, 1), norm_of(layer).bias.view(-1, 1, 1)
        current = gamma * off / (squares - squares.detach() + variance + norm_of(layer).eps).sqrt() + beta
        fed = gamma.detach() * (merged - mean) / (variance + norm_of(layer).eps).sqrt() + beta.detach()
        constant = torch.zeros_like(current, requires_grad=True)
        neurons = neuron.IFNode(1.0, 0.0, surrogate.ATan(alpha=2.0), detach_reset=True, step_mode="m")
        spikes = neurons(fed.unflatten(0, (steps, -1)) + constant)
        (slope,) = torch.autograd.grad(spikes.mean(0).sum(), constant)
        spikes = spikes.detach()
        rate = spikes.mean(0) + slope * (current - current.detach())
    cross_entropy(classifier_of(reference)(rate.flatten(1)), LABELS).backward()
    for (name, ours), theirs in zip(model.network.named_parameters(), reference.network.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, msg=name, atol=1e-6, rtol=1e-4)


def test_a_state_left_over_changes_nothing(images: Tensor) -> None:
    model, logits = trained("rate_based", "vgg", 4, images)
    torch.manual_seed(2)
    torch.testing.assert_close(model.training_step(images, LABELS, cross_entropy).logits, logits)
    spikingjelly.reset_net(model)


@pytest.mark.parametrize("option", [{"threshold": 0}, {"surrogate_width": -2.0}, {"surrogate": "step"}])
def test_a_bad_option_is_named(option: dict[str, Any], images: Tensor) -> None:
    with pytest.raises(UserError, match=f"option {next(iter(option))}"):
        trained("rate_based", "vgg", 2, images, **option)
