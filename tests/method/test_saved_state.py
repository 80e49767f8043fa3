"""What a saved state says of itself, copies before the first images, images of another size, and inference mode."""

import copy

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim.swa_utils import AveragedModel

import snn2ann
from snn2ann.errors import UserError
from snn2ann.method.coupled_network import CoupledNetwork

SHAPE = (2, 6, 6)


def plain() -> nn.Module:
    torch.manual_seed(0)
    layers = [nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3)]
    return nn.Sequential(*layers)


def coupled(
    time_steps: int = 4, variant: str = "refined", model: nn.Module | None = None, **options: object
) -> CoupledNetwork:
    return snn2ann.couple(model or plain(), time_steps, variant=variant, **options)  # type: ignore[arg-type]


@pytest.fixture
def images() -> Tensor:
    return torch.rand(5, *SHAPE, generator=torch.Generator().manual_seed(1))


def test_a_state_of_another_time_is_refused_before_anything_is_loaded(images: Tensor) -> None:
    saved, network = coupled(image_shape=SHAPE), coupled(5, image_shape=SHAPE)
    saved(images)
    before = copy.deepcopy(network.state_dict())
    said = r"was saved with time_steps=4 \(here 5\); couple the network so"
    with pytest.raises(UserError, match=said):
        network.load_state_dict(saved.state_dict())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    with pytest.raises(UserError, match=said):
        nn.Sequential(network).load_state_dict(nn.Sequential(saved).state_dict())
    state = saved.state_dict()
    del state["_extra_state"]
    network.load_state_dict(state)
    assert torch.equal(network.model[0].weight, saved.model[0].weight)  # type: ignore[index]


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"reset": "zero"}, r"reset='subtract' \(here 'zero'\)$"),
        ({"variant": "released"}, r"membrane_start=0.5 \(here 0.0\)"),
    ],
)
def test_a_state_of_other_options_is_loaded_and_they_are_named(other: dict[str, object], said: str) -> None:
    network = coupled(**{"image_shape": SHAPE, **other})  # type: ignore[arg-type]
    with pytest.warns(UserWarning, match=f"this state was saved with other options: .*{said}"):
        network.load_state_dict(coupled(image_shape=SHAPE).state_dict())


def test_a_state_goes_through_safetensors_and_one_that_does_not_say_is_taken(images: Tensor) -> None:
    saved = coupled()
    saved.train()(images)
    state = load(save({name: value.contiguous() for name, value in saved.state_dict().items()}))
    network = coupled()
    network.load_state_dict(state)
    assert torch.equal(network.eval()(images), saved.eval()(images))
    with pytest.raises(UserError, match="2: has neurons for 4×4×4, these images need 4×5×5"):
        network(torch.rand(1, 2, 7, 7))
    del state["_extra_state"]
    coupled(time_steps=7).load_state_dict(state)


def test_a_copy_before_the_first_images_is_refused_and_one_after_them_goes_the_same_way(images: Tensor) -> None:
    network = coupled(variant="released")
    for copied in (copy.deepcopy, AveragedModel):
        with pytest.raises(UserError, match=r"couple it with image_shape=\(C, H, W\), or give it images before"):
            copied(network)
    network.train()(images)
    average = AveragedModel(network, use_buffers=True)
    average.update_parameters(network)
    assert torch.equal(average.module.eval()(images), network.eval()(images))


def test_images_before_the_first_training_batch_do_not_say_for_ever_what_size_images_have(images: Tensor) -> None:
    network, straight = coupled(variant="released"), coupled(variant="released")
    network.eval()(torch.rand(5, 2, 7, 7))
    for each in (network, straight):
        torch.manual_seed(4)
        each.train()(images)
    assert torch.equal(network.thresholds()["2"], straight.thresholds()["2"])
    for train in (True, False):
        with pytest.raises(
            UserError, match="2: has neurons for 4×4×4, these images need 4×5×5; give images of the first"
        ):
            network.train(train)(torch.rand(5, 2, 7, 7))
    assert torch.isfinite(network.train()(images)).all()


def test_what_is_coupled_or_loaded_in_inference_mode_can_be_trained(images: Tensor) -> None:
    saved = coupled(variant="released")
    saved.train()(images)
    models = [plain() for _ in range(3)]
    with torch.inference_mode():
        first = coupled(4, "released", models[0], image_shape=SHAPE)
        second = coupled(4, "released", models[1])
        for network in (first, second):
            network.load_state_dict(saved.state_dict())
        third = coupled(4, "released", models[2]).eval()
        third(images)
    for network in (first, second, third):
        assert not any(value.is_inference() for value in network.thresholds().values())
        cross_entropy(network.train()(images), torch.arange(5) % 3).backward()
    with torch.inference_mode():
        made = plain()
    with pytest.raises(UserError, match=r"0\.weight: was made under torch.inference_mode\(\) and can't be trained"):
        snn2ann.couple(made, 4)
