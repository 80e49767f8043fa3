"""A network that is changed after it was coupled is refused by name; what a plan looks up anew may be replaced."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune

import snn2ann
from snn2ann.errors import UserError

SHAPE = (2, 6, 6)


@pytest.fixture
def images() -> Tensor:
    return torch.randn(5, *SHAPE, generator=torch.Generator().manual_seed(2))


def network() -> nn.Sequential:
    torch.manual_seed(0)
    layers = [nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.1)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(36, 3))


def _at(place: int, module: nn.Module) -> Callable[[nn.Sequential], Any]:
    return lambda net: net.__setitem__(place, module)


def _of_class(kind: type[nn.Module]) -> Callable[[nn.Sequential], Any]:
    return lambda net: setattr(net[2], "__class__", kind)


CHANGES: dict[str, tuple[Callable[[nn.Sequential], Any], str]] = {
    "activation": (_at(2, nn.GELU()), r"2 \(GELU\): it was a ReLU when it was coupled"),
    "class": (_of_class(nn.SiLU), r"2 \(SiLU\): it was a ReLU when it was coupled"),
    "normalisation": (_at(1, nn.GroupNorm(2, 4)), r"1 \(GroupNorm\): it was a BatchNorm2d"),
    "no normalisation": (_at(1, nn.Identity()), r"1 \(Identity\): it was a BatchNorm2d"),
    "pooling": (_at(3, nn.MaxPool2d(2, 1)), r"3 \(MaxPool2d\): it was another MaxPool2d when it was coupled"),
    "groups": (_at(0, nn.Conv2d(2, 4, 3, padding=1, groups=2)), r"0 \(Conv2d\): it was another Conv2d"),
    "another layer": (lambda net: net.append(nn.Linear(3, 3)), r"7 \(Linear\): it was added, and would not be run"),
    "a layer less": (lambda net: net.__delitem__(6), "6: it is gone"),
    "low rank": (_at(6, nn.Sequential(nn.Linear(36, 2), nn.Linear(2, 3))), r"6 \(Sequential\): it was a Linear"),
}


@pytest.mark.parametrize("case", CHANGES)
def test_a_change_is_refused_by_name_wherever_the_network_is_run(case: str, images: Tensor) -> None:
    change, message = CHANGES[case]
    model = network()
    coupled = snn2ann.couple(model, time_steps=3, image_shape=SHAPE)
    coupled(images)
    change(model)
    for call in (coupled, coupled.branches, coupled.eval(), lambda _: coupled.spiking()):
        with pytest.raises(
            UserError, match=rf"(?s)^the network is not what was coupled; couple it anew:\n  .*{message}"
        ):
            call(images)


ALLOWED: dict[str, Callable[[nn.Sequential], Any]] = {
    "weights": _at(0, nn.Conv2d(2, 4, 5, padding=2, bias=False)),
    "statistics": _at(1, nn.SyncBatchNorm(4)),
    "dropout": _at(4, nn.Dropout(0.3)),
    "parametrized": lambda net: parametrizations.weight_norm(net[0]),
    "pruned": lambda net: prune.l1_unstructured(net[6], "weight", 0.5),
}


@pytest.mark.parametrize("case", ALLOWED)
def test_what_is_looked_up_anew_may_be_replaced(case: str, images: Tensor) -> None:
    model = network().eval()
    coupled = snn2ann.couple(model, time_steps=3, image_shape=SHAPE, threshold_start=0.2)
    ALLOWED[case](model)
    model.eval()
    expected = snn2ann.couple(model, time_steps=3, image_shape=SHAPE, threshold_start=0.2)
    assert torch.equal(coupled(images), expected(images)) and torch.equal(coupled.spiking()(images), expected(images))


def test_a_copy_is_held_against_what_it_is_a_copy_of(images: Tensor) -> None:
    copied = copy.deepcopy(snn2ann.couple(network(), time_steps=3, image_shape=SHAPE))
    copied(images)
    copied.model[3] = nn.MaxPool2d(2)  # type: ignore[operator]
    with pytest.raises(UserError, match="it was another MaxPool2d"):
        copied(images)


def test_a_dropout_that_drops_everything_is_refused(images: Tensor) -> None:
    model = network()
    coupled = snn2ann.couple(model, time_steps=3, image_shape=SHAPE)
    dropout = model[4]
    assert isinstance(dropout, nn.Dropout)
    dropout.p = 1.0
    with pytest.raises(UserError, match="drops everything"):
        coupled(images)
