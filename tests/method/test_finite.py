"""What is not finite is an error by name, where spikes and the loss would go on as if nothing were."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import snn2ann
from snn2ann.engine.finite import check_finite
from snn2ann.errors import UserError
from snn2ann.method.coupled_network import CoupledNetwork

LABELS = torch.arange(4) % 3


@pytest.fixture
def images() -> Tensor:
    return torch.randn(4, 2, 4, 4, generator=torch.Generator().manual_seed(1))


def coupled_network(variant: str = "refined") -> CoupledNetwork:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(2, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(128, 16),
        nn.ReLU(),
        nn.Linear(16, 3),
    )
    return snn2ann.couple(model, time_steps=3, variant=variant, image_shape=(2, 4, 4))


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("call", ["training", "evaluation", "deployed"])
def test_images_are_refused_and_nothing_changes(value: float, call: str, images: Tensor) -> None:
    coupled = coupled_network().train(call == "training")
    network = coupled.spiking() if call == "deployed" else coupled
    before = copy.deepcopy(coupled.state_dict())
    images[2, 1, 3, 3] = value
    with pytest.raises(UserError, match=r"not finite \(NaN, or infinite\): the images;"):
        network(images)
    assert all(torch.equal(one, before[name]) for name, one in coupled.state_dict().items())


@pytest.mark.parametrize("name", ["0.weight", "1.weight", "1.running_mean", "1.running_var", "6.bias", "2.threshold"])
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_any_part_of_the_state_is_named(name: str, value: float, images: Tensor) -> None:
    coupled = coupled_network()
    coupled(images)
    weights, thresholds = coupled.named_state()
    (weights | thresholds)[name].view(-1)[1] = value
    for call in (coupled, coupled.branches, coupled.eval(), lambda _: coupled.spiking()):
        with pytest.raises(UserError, match=rf"^after 1 training batches: not finite \(NaN, or infinite\): {name};"):
            call(images)


@pytest.mark.parametrize("variant", ["released", "refined"])
def test_a_loss_that_is_not_finite_is_said_by_the_next_call(variant: str, images: Tensor) -> None:
    coupled = coupled_network(variant)
    optimiser = torch.optim.Adam(coupled.parameters())
    for factor in (1.0, torch.nan):
        optimiser.zero_grad()
        (factor * cross_entropy(coupled(images), LABELS)).backward()
        optimiser.step()
    with pytest.raises(UserError, match=r"^after 2 training batches: .*: 0\.weight, 0\.bias, 1\.weight and \d more"):
        coupled(images)


def test_a_deployed_network_that_loads_what_is_not_finite_says_so(images: Tensor) -> None:
    snn = coupled_network().spiking()
    state = snn.state_dict()
    name = next(name for name in state if name.endswith("threshold"))
    state[name][0, 0] = torch.nan
    with pytest.raises(UserError, match=rf"^spiking network: .*: {name};"):
        snn(images)


def test_whole_numbers_empty_tensors_and_low_precision_are_looked_at_as_they_are() -> None:
    values = {"count": torch.tensor(3), "none": torch.empty(0), "half": torch.full((4,), 6e4, dtype=torch.bfloat16)}
    check_finite(values | {"double": torch.full((2,), 1e100, dtype=torch.float64)}, "now")
    with pytest.raises(UserError, match=r"^now: .*: half;"):
        check_finite(values | {"half": torch.tensor([torch.nan]).half()}, "now")
