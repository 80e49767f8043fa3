"""The price on spikes is a part of the loss like any other: scaled, accumulated and shared out with it, and seen."""

import copy
import pickle
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import snn2ann
from snn2ann.errors import UserError
from snn2ann.method.coupled_network import CoupledNetwork

LABELS = torch.arange(8) % 4


@pytest.fixture
def images() -> Tensor:
    return torch.rand(8, 2, 6, 6, generator=torch.Generator().manual_seed(3))


def coupled(**options: Any) -> CoupledNetwork:
    """Without BatchNorm, whose statistics are a whole batch's."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 4)]
    chosen: dict[str, Any] = {"spike_penalty": 3.0, "threshold_start": 0.25, "ata": False, **options}
    return snn2ann.couple(nn.Sequential(*layers).train(), 4, image_shape=(2, 6, 6), **chosen)


def gradients(network: CoupledNetwork) -> list[Tensor]:
    return [value.grad for value in network.parameters() if value.grad is not None]


def step(network: CoupledNetwork, images: Tensor, labels: Tensor, scale: float = 1.0) -> None:
    ((cross_entropy(network(images), labels) + network.price) * scale).backward()


def test_the_price_is_what_the_options_say(images: Tensor) -> None:
    network = coupled(spike_penalty=3.0, spike_penalty_end=0.5)
    network.progress = 0.5
    network(images)
    neurons = sum(layer.neurons for layer in network.layers())
    spikes = sum(layer.spikes_per_image for layer in network.layers())
    assert network.price.item() == pytest.approx(3.0 * 0.75 * spikes / neurons) and spikes > 0


def test_a_scaled_loss_has_a_scaled_price(images: Tensor) -> None:
    plain, scaled = coupled(), coupled()
    step(plain, images, LABELS)
    step(scaled, images, LABELS, scale=2.0**16)
    assert all(map(torch.equal, gradients(plain), (each / 2**16 for each in gradients(scaled))))
    without = coupled(spike_penalty=0.0)
    step(without, images, LABELS)
    assert without.price.item() == 0 and not torch.allclose(gradients(plain)[0], gradients(without)[0])


def test_a_grad_scaler_leaves_the_step_as_it_is(images: Tensor) -> None:
    plain, scaled = coupled(), coupled()
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**12)
    for network in (plain, scaled):
        optimiser = torch.optim.SGD(network.parameters(), 0.5)
        loss = cross_entropy(network(images), LABELS) + network.price
        if network is scaled:
            scaler.scale(loss).backward()
            scaler.step(optimiser)
        else:
            loss.backward()
            optimiser.step()
    assert all(map(torch.equal, plain.parameters(), scaled.parameters()))


@pytest.mark.parametrize("parts", [2, 4])
def test_accumulation_and_processes_share_the_price_out(images: Tensor, parts: int) -> None:
    whole, shared = coupled(), coupled()
    step(whole, images, LABELS)
    for some, labels in zip(images.chunk(parts), LABELS.chunk(parts), strict=True):
        step(shared, some, labels, scale=1 / parts)
    for one, other in zip(gradients(whole), gradients(shared), strict=True):
        torch.testing.assert_close(one, other)


def test_a_gradient_of_the_logits_is_without_the_price_and_it_is_said(images: Tensor) -> None:
    found: list[Tensor] = []
    for penalty in (0.0, 3.0):
        network, given = coupled(spike_penalty=penalty), images.clone().requires_grad_()
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            network(given).sum().backward()
        assert bool(warned) == (penalty > 0)
        assert all("add `coupled.price` to the loss" in str(each.message) for each in warned)
        assert given.grad is not None
        found.append(given.grad)
    assert torch.equal(found[0], found[1])


def test_the_price_alone_has_a_gradient(images: Tensor) -> None:
    network = coupled()
    network(images)
    network.price.backward()
    reached = [name for name, value in network.named_parameters() if value.grad is not None and value.grad.any()]
    assert reached == ["model.0.weight", "model.0.bias", "model.2.weight", "model.2.bias"]


def test_a_copy_has_no_price_of_a_batch_that_it_has_not_seen(images: Tensor) -> None:
    network = coupled()
    network(images)
    for copied in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        assert copied.price.item() == 0 and network.price.item() > 0


@pytest.mark.parametrize("share", [-0.01, 1.01, float("nan"), float("inf")])
def test_progress_is_a_share(share: float) -> None:
    with pytest.raises(UserError, match=r"progress: .* expected the share of the training, from 0 to 1"):
        coupled().progress = share


@pytest.mark.parametrize("option", ["spike_penalty", "threshold_start", "ata_step"])
def test_no_option_is_infinite(option: str) -> None:
    with pytest.raises(UserError, match=f"option {option}: inf is not allowed"):
        coupled(**{option: float("inf")})
