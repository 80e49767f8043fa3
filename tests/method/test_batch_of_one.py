"""A training batch that BatchNorm cannot normalise is refused, as PyTorch refuses it, and no statistic turns NaN."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import snn2ann
from snn2ann.engine.network import Network
from snn2ann.errors import UserError
from snn2ann.methods import METHODS
from snn2ann.methods.rate_based import RateBasedBackpropagation

NETWORKS: dict[str, tuple[nn.Module, str]] = {
    "after a linear layer": (
        nn.Sequential(nn.Flatten(), nn.Linear(32, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)),
        "2: ",
    ),
    "of a 1×1 map, in a layer": (
        nn.Sequential(nn.Conv2d(2, 8, 4), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3)),
        "1: ",
    ),
    "alone": (
        nn.Sequential(nn.Conv2d(2, 8, 3), nn.ReLU(), nn.AvgPool2d(2), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten()),
        "3: ",
    ),
    "of the readout": (nn.Sequential(nn.Flatten(), nn.ReLU(), nn.Linear(32, 3), nn.BatchNorm1d(3)), "3: "),
}


@pytest.mark.parametrize("case", NETWORKS)
@pytest.mark.parametrize("statistics", ["running", "batch"])
def test_one_image_is_refused_by_name_and_changes_no_statistic(case: str, statistics: str) -> None:
    model, name = copy.deepcopy(NETWORKS[case][0]), NETWORKS[case][1]
    coupled = snn2ann.couple(model, time_steps=3, image_shape=(2, 4, 4), statistics=statistics)
    assert coupled.smallest_batch == 2
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(UserError, match=rf"^{name}there is no variance to normalise by.*drop_last=True"):
        coupled(torch.rand(1, 2, 4, 4))
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    coupled(torch.rand(2, 2, 4, 4))
    assert all(bool(value.isfinite().all()) for value in model.state_dict().values())
    assert coupled.eval()(torch.rand(1, 2, 4, 4)).shape[0] == 1


def test_a_batchnorm_in_evaluation_or_of_a_larger_map_takes_one_image() -> None:
    model = copy.deepcopy(NETWORKS["after a linear layer"][0])
    model[2].eval()  # type: ignore[index]
    assert snn2ann.couple(model, time_steps=3)(torch.rand(1, 2, 4, 4)).shape == (1, 3)
    large = nn.Sequential(nn.Conv2d(2, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(32, 3))
    coupled = snn2ann.couple(large, time_steps=3, image_shape=(2, 4, 4))
    assert coupled.smallest_batch == 1 and coupled(torch.rand(1, 2, 4, 4)).shape == (1, 3)


def test_another_method_that_takes_statistics_itself_refuses_it_too() -> None:
    network = Network(copy.deepcopy(NETWORKS["of a 1×1 map, in a layer"][0]), (2, 4, 4))
    model = RateBasedBackpropagation(network, 1, METHODS["rate_based"].defaults)
    with pytest.raises(UserError, match=r"^1: there is no variance"):
        model.training_step(torch.rand(1, 2, 4, 4), torch.zeros(1, dtype=torch.long), cross_entropy)
