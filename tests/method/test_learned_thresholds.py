"""Thresholds that are learned down their own gradient."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from snn2ann import couple
from snn2ann.method.coupled_network import CoupledNetwork
from snn2ann.method.mapping import map_spikes
from snn2ann.method.thresholds import LOWEST, learned_by
from snn2ann.options import VARIANTS

LABELS = torch.arange(8) % 4
STEP = 0.02


@pytest.fixture
def images() -> Tensor:
    return torch.rand(8, 2, 8, 8, generator=torch.Generator().manual_seed(3))


def coupled(**options: Any) -> CoupledNetwork:
    torch.manual_seed(0)
    layers = [nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4), nn.ReLU()]
    network = nn.Sequential(*layers, nn.Flatten(), nn.Linear(64, 4)).train()
    return couple(network, 3, image_shape=(2, 8, 8), **{"threshold_descent": STEP, "ata": False, **options})


def moved(network: CoupledNetwork, images: Tensor, scale: float = 1.0) -> list[Tensor]:
    """How far a step moves the thresholds of each layer."""
    before = deepcopy(network.thresholds())
    ((cross_entropy(network(images), LABELS) + network.price) * scale).backward()
    return [value - before[name] for name, value in network.thresholds().items()]


def test_where_counts_are_whole_multiples_the_gradient_is_that_of_a_learned_step_size() -> None:
    """Autograd's, of a straight-through quantiser (Esser et al. 2020, equations 1 and 3)."""
    most, generator = 3, torch.Generator().manual_seed(0)
    threshold = torch.rand(1, 2, 4, 4, generator=generator) + 0.2
    # The largest are beyond what T steps can say; at T itself the clamp has its corner.
    whole = torch.tensor([0.0, 1, 2, 4, 5])[torch.randint(0, 5, (16, 2, 4, 4), generator=generator)]
    outgoing = torch.randn(16, 2, 4, 4, generator=generator)

    size = threshold.clone().requires_grad_()
    scaled = (whole * threshold / size).clamp(max=most)
    count = scaled + (scaled.round() - scaled).detach()
    (count * outgoing).sum().backward()

    pre_activation = (whole * threshold).requires_grad_()
    zeros = torch.zeros_like(threshold).requires_grad_()
    counts = map_spikes(
        pre_activation, count.detach().to(torch.uint8), "stsu", window=(threshold, most), by_threshold=(zeros, most)
    )
    (counts.dense() * outgoing).sum().backward()
    assert size.grad is not None and zeros.grad is not None
    torch.testing.assert_close(zeros.grad, size.grad)


def test_thresholds_move_by_the_step_and_against_the_gradient(images: Tensor) -> None:
    for layer in moved(coupled(), images):
        # Half of the training is done where nobody says.
        assert layer.square().mean().sqrt().item() == pytest.approx(STEP / 2) and layer.min() < 0 < layer.max()
    threshold = torch.tensor([[0.5, 1.0, 0.05]])
    zeros = learned_by(threshold, 0.3)
    (zeros * torch.tensor([[-3.0, 1.0, 0.0]])).sum().backward()
    size = (10 / 3) ** 0.5
    torch.testing.assert_close(threshold, torch.tensor([[0.5 + 0.9 / size, 1.0 - 0.3 / size, 0.05]]))
    (learned_by(threshold, 5.0) * torch.ones(1, 3)).sum().backward()
    torch.testing.assert_close(threshold, torch.tensor([[LOWEST, LOWEST, 0.05]]))


def test_it_ends_with_the_training_and_does_not_begin_outside_of_it(images: Tensor) -> None:
    network = coupled()
    network.progress = 1.0
    assert not any(layer.any() for layer in moved(network, images))
    network.progress = 0.0
    before = deepcopy(network.thresholds())
    with torch.no_grad():
        network(images)
    network.eval()(images)
    for name, value in network.thresholds().items():
        assert torch.equal(value, before[name])
    assert not any(layer.any() for layer in moved(coupled(threshold_descent=None), images))


def test_the_losses_scale_is_none_of_it_and_an_overflow_moves_nothing(images: Tensor) -> None:
    for plain, scaled in zip(moved(coupled(), images), moved(coupled(), images, 2.0**16), strict=True):
        torch.testing.assert_close(plain, scaled)
    assert not any(layer.any() for layer in moved(coupled(), images, float("inf")))


@pytest.mark.parametrize("variant", VARIANTS)
def test_densely_and_by_events_they_move_alike(variant: str, images: Tensor) -> None:
    dense, events = (coupled(variant=variant, membrane_dropout=0.0) for _ in range(2))
    dense.event_driven = False
    found = [moved(network, images) for network in (dense, events)]
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_weights_learn_as_without(images: Tensor) -> None:
    learned, plain = coupled(), coupled(threshold_descent=None)
    for network in (learned, plain):
        moved(network, images)
    for one, other in zip(learned.parameters(), plain.parameters(), strict=True):
        assert one.grad is not None and other.grad is not None and torch.equal(one.grad, other.grad)


def test_compiled_in_parts_they_move_alike_and_as_one_graph_it_is_refused(images: Tensor) -> None:
    plain, parts, whole = (coupled(spike_penalty=0.0) for _ in range(3))
    call: Callable[[Tensor], Tensor] = torch.compile(parts, backend="eager")
    for network in (plain, call):
        cross_entropy(network(images), LABELS).backward()
    for (name, one), other in zip(plain.thresholds().items(), parts.thresholds().values(), strict=True):
        torch.testing.assert_close(one, other, msg=name)
    torch._dynamo.reset()
    with pytest.raises(Exception, match="threshold_descent"):
        torch.compile(whole, backend="eager", fullgraph=True)(images)
    torch._dynamo.reset()


def test_no_specification_has_what_is_off() -> None:
    for variant in VARIANTS.values():
        assert "threshold_descent" not in variant.named()
        assert variant.with_options({"threshold_descent": STEP}).named() == variant.named() | {
            "threshold_descent": STEP
        }
