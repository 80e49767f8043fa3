"""Networks for images of a side that params.yaml has no value for."""

from typing import Any

import pytest
import torch

from snn2ann.engine.network import Network
from snn2ann.models.building import build_network
from snn2ann.models.fitting import fitted
from snn2ann.study import load_parameters, network_spec

PARAMETERS = load_parameters("params.yaml")


@pytest.mark.parametrize(
    ("name", "size", "expected"),
    [
        ("vgg-13", (32, 32), [3, 4, 5]),
        ("vgg-13", (64, 64), [2, 3, 4, 5]),
        ("vgg-13", (224, 224), [1, 2, 3, 4, 5]),
        ("vgg-small", (8, 20), [3]),
        ("vgg-small", (4, 4), []),
        ("resnet-17", (32, 32), [1, 1, 2, 2, 2]),
        ("resnet-17", (224, 300), [2, 2, 2, 2, 2]),
        ("resnet-tiny", (8, 8), [1, 1, 1, 2]),
    ],
)
def test_maps_are_halved_as_often_as_fits(name: str, size: tuple[int, int], expected: list[int]) -> None:
    network = PARAMETERS["networks"][name]
    option = "pooled_blocks" if network["kind"] == "vgg" else "strides"
    assert fitted(network, option, size) == expected


@pytest.mark.parametrize("name", ["vgg-13", "vgg-tiny", "resnet-17", "resnet-small"])
@pytest.mark.parametrize("shape", [(1, 5, 5), (3, 48, 48), (2, 30, 41), (3, 100, 7)])
def test_fitted_networks_take_such_images(name: str, shape: tuple[int, int, int]) -> None:
    spec = network_spec(PARAMETERS, name, list(shape), "networks")
    with torch.device("meta"):
        network = Network(build_network(spec, shape, 7), shape)
    assert network.logits_shape == (1, 7)
    height, width = next(reversed(network.by_label().values())).threshold.shape[-2:]
    assert 1 <= min(height, width) <= 6


def test_a_value_of_the_side_goes_before_and_a_list_is_for_every_side() -> None:
    changed: dict[str, Any] = dict(PARAMETERS["networks"]["vgg-tiny"])
    assert network_spec(PARAMETERS, "vgg-tiny", [1, 8, 8], "networks")["pooled_blocks"] == [1, 2]
    parameters = {"networks": {"mine": changed | {"pooled_blocks": [1]}}}
    for shape in ([1, 8, 8], [1, 8, 12]):
        assert network_spec(parameters, "mine", shape, "networks")["pooled_blocks"] == [1]
