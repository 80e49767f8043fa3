"""The usual ways of training, with a coupled network in the place of an ordinary one."""

from copy import deepcopy
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, update_bn
from torch.utils.checkpoint import checkpoint

from snn2ann import couple
from snn2ann.errors import UserError
from snn2ann.method.coupled_network import CoupledNetwork


def network(normalised: bool = True) -> nn.Module:
    """A small network; its images are [B, 1, 8, 8]."""
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(6) if normalised else nn.Identity()
    features = [nn.Conv2d(1, 6, 3, padding=1), norm, nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()]
    return nn.Sequential(*features, nn.Linear(96, 20), nn.ReLU(), nn.Linear(20, 4))


@pytest.fixture
def images() -> Tensor:
    """A batch."""
    return torch.rand(8, 1, 8, 8, generator=torch.Generator().manual_seed(1))


LABELS = torch.arange(8) % 4


def loss_of(coupled: CoupledNetwork, images: Tensor, labels: Tensor = LABELS) -> Tensor:
    """What is trained by."""
    return functional.cross_entropy(coupled(images), labels) + coupled.price


def gradients(coupled: CoupledNetwork) -> Tensor:
    """Of all parameters, in a row."""
    return torch.cat([each.grad.float().flatten() for each in coupled.parameters() if each.grad is not None])


def losses(variant: str, images: Tensor, low: bool) -> Tensor:
    """Of 80 steps, in bfloat16 or in single precision."""
    coupled = couple(network(), 4, variant=variant, image_shape=(1, 8, 8))
    optimiser = torch.optim.Adam(coupled.parameters(), lr=0.01)
    found = []
    for _ in range(80):
        optimiser.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=low):
            loss = loss_of(coupled, images)
        loss.backward()
        optimiser.step()
        found.append(loss.detach())
    state = [*coupled.parameters(), *coupled.thresholds().values()]
    assert all(each.dtype == torch.float32 for each in state)
    return torch.stack(found)


@pytest.mark.parametrize(("variant", "falls_to"), [("released", 0.9), ("refined", 0.5)])
def test_bfloat16_trains_as_single_precision_does(images: Tensor, variant: str, falls_to: float) -> None:
    # A bright corner for each class.
    corners = torch.eye(4).view(4, 1, 2, 2).repeat_interleave(4, 2).repeat_interleave(4, 3)
    images = images + 2 * corners[LABELS]
    low, plain = losses(variant, images, True), losses(variant, images, False)
    assert low[-20:].mean() < falls_to * low[:5].mean()
    assert abs(low[-20:].mean() - plain[-20:].mean()) < 0.15


@pytest.mark.parametrize("variant", ["released", "refined"])
def test_parts_of_a_batch_add_up_to_it(images: Tensor, variant: str) -> None:
    # Without BatchNorm and ATA, and with the same draws, images know nothing of each other.
    whole = couple(
        network(normalised=False), 4, variant=variant, image_shape=(1, 8, 8), ata=False, membrane_dropout=0.0
    )
    parts = deepcopy(whole)
    loss_of(whole, images).backward()
    for some, labels in zip(images.split(2), LABELS.split(2), strict=True):
        (loss_of(parts, some, labels) / 4).backward()
    torch.testing.assert_close(gradients(parts), gradients(whole), rtol=1e-4, atol=1e-6)


def test_gradients_are_clipped_to_their_norm(images: Tensor) -> None:
    coupled = couple(network(), time_steps=4)
    loss_of(coupled, images).backward()
    before = gradients(coupled).norm()
    torch.nn.utils.clip_grad_norm_(coupled.parameters(), float(before) / 2)
    assert gradients(coupled).norm().item() == pytest.approx(float(before) / 2, rel=1e-4)


def test_an_average_of_weights_is_a_coupled_network_of_them(images: Tensor) -> None:
    coupled = couple(network(), time_steps=4, image_shape=(1, 8, 8))
    averaged = AveragedModel(coupled, use_buffers=True)
    optimiser = torch.optim.SGD(coupled.parameters(), lr=0.1)
    seen = []
    for _ in range(3):
        optimiser.zero_grad()
        loss_of(coupled, images).backward()
        optimiser.step()
        averaged.update_parameters(coupled)
        seen.append({name: value.clone() for name, value in coupled.state_dict().items() if value.is_floating_point()})
    own = averaged.module
    for name, value in own.state_dict().items():
        if name in seen[0]:
            torch.testing.assert_close(value, torch.stack([each[name] for each in seen]).mean(0), msg=name)
    given = couple(network(), time_steps=4, image_shape=(1, 8, 8))
    given.load_state_dict(own.state_dict())
    assert torch.equal(given.eval()(images), own.eval()(images))


@pytest.mark.parametrize("reentrant", [True, False])
def test_a_network_that_is_run_again_in_backward_is_refused(images: Tensor, reentrant: bool) -> None:
    coupled = couple(network(), time_steps=4)
    loss = checkpoint(coupled, images.requires_grad_(), use_reentrant=reentrant).sum()
    thresholds = {name: value.clone() for name, value in coupled.thresholds().items()}
    with pytest.raises(UserError, match="activation checkpointing runs a coupled network twice"):
        loss.backward()
    assert all(torch.equal(value, thresholds[name]) for name, value in coupled.thresholds().items())


WHOLE = torch.zeros(2, 1, 8, 8, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (WHOLE, r"the images are uint8; give .* images\.to\(torch\.float32\) / 255"),
        (WHOLE.double(), r"the images are float64 and the weights float32; give images\.to\(torch\.float32\)"),
        (WHOLE.numpy(), "the images are no tensor but ndarray"),
        (WHOLE[0].float(), r"give a batch \[B, ...\] of images of 1×8×8"),
        (WHOLE.float().expand(2, 3, 8, 8), "images of 2×3×8×8: give a batch"),
    ],
)
@pytest.mark.parametrize("call", ["training", "evaluation", "deployed"])
def test_what_is_no_batch_of_images_is_refused(given: Any, message: str, call: str) -> None:
    coupled = couple(network(), time_steps=4, image_shape=(1, 8, 8)).train(call == "training")
    run = coupled.spiking() if call == "deployed" else coupled
    with pytest.raises(UserError, match=message):
        run(given)


def test_a_batch_of_none_is_refused_in_training_only(images: Tensor) -> None:
    coupled = couple(network(normalised=False), time_steps=4, image_shape=(1, 8, 8))
    with pytest.raises(UserError, match="this training batch is empty"):
        coupled(images[:0])
    assert coupled.eval()(images[:0]).shape == (0, 4)


def test_gradients_of_gradients_are_refused(images: Tensor) -> None:
    images.requires_grad_()
    loss = loss_of(couple(network(), time_steps=4), images)
    with pytest.raises(UserError, match="a gradient of a gradient"):
        torch.autograd.grad(loss, images, create_graph=True)


def test_transforms_of_functions_are_refused(images: Tensor) -> None:
    coupled = couple(network(), time_steps=4, image_shape=(1, 8, 8))
    parameters = {name: value.detach() for name, value in coupled.named_parameters()}

    def loss(parameters: dict[str, Tensor]) -> Tensor:
        return functional.cross_entropy(torch.func.functional_call(coupled, parameters, (images,)), LABELS)

    with pytest.raises(UserError, match=r"torch\.func's transforms"):
        torch.func.grad(loss)(parameters)
    assert coupled.batches == 0


def test_statistics_are_made_anew_as_the_mean_of_all_batches(images: Tensor) -> None:
    coupled = couple(network(), time_steps=4, image_shape=(1, 8, 8), ata=False)
    first = cast(nn.Sequential, coupled.model)[0]
    update_bn([images[:4], images[4:]], coupled)
    means = torch.stack([first(part).mean((0, 2, 3)) for part in (images[:4], images[4:])])
    torch.testing.assert_close(coupled.state_dict()["model.1.running_mean"], means.mean(0))


def test_thresholds_of_a_step_that_the_scaler_skips_stay_in_bounds(images: Tensor) -> None:
    coupled = couple(network(), time_steps=4, image_shape=(1, 8, 8), threshold_start=0.05)
    before = deepcopy(coupled.state_dict())
    optimiser, scaler = torch.optim.SGD(coupled.parameters(), lr=0.1), torch.amp.GradScaler("cpu", init_scale=2.0**127)
    scaler.scale(1e9 * loss_of(coupled, images)).backward()
    scaler.step(optimiser)
    scaler.update()
    assert scaler.get_scale() == 2.0**126
    assert all(torch.equal(value, before[f"model.{name}"]) for name, value in coupled.model.named_parameters())
    for name, value in coupled.thresholds().items():
        assert value.min() > 0.0499 and value.max() <= 0.05 + coupled.options.ata_step, name


def test_a_frozen_part_changes_no_gradient_of_the_rest(images: Tensor) -> None:
    whole = couple(network(), time_steps=4, image_shape=(1, 8, 8))
    part = deepcopy(whole)
    frozen = [value.requires_grad_(False) for name, value in part.named_parameters() if name.startswith("model.0.")]
    for coupled in (whole, part):
        loss_of(coupled, images).backward()
    assert all(value.grad is None for value in frozen)
    for (name, one), other in zip(whole.named_parameters(), part.parameters(), strict=True):
        assert not other.requires_grad or torch.equal(one.grad, other.grad), name  # type: ignore[arg-type]


def test_a_coupled_network_is_not_coupled_again() -> None:
    with pytest.raises(UserError, match="it is coupled already; couple its `model`"):
        couple(couple(network(), time_steps=4), time_steps=4)
