"""Networks: parameter counts and multiply-accumulates against the figures known of the paper's."""

from pathlib import Path
from typing import Any

import pytest
import torch

from snn2ann.engine.network import Network
from snn2ann.engine.stages import Layer
from snn2ann.evaluation.arithmetic import image_operations
from snn2ann.methods.build import build_model
from snn2ann.models.building import build_network
from snn2ann.study import load_parameters, network_spec

PARAMETERS = load_parameters(Path(__file__).parents[2] / "params.yaml")


def spec(name: str, side: int) -> dict[str, Any]:
    return network_spec(PARAMETERS, name, [3, side, side], name)


@pytest.mark.parametrize(("side", "classes", "millions"), [(32, 10, 14.81), (32, 100, 15.54), (64, 200, 16.36)])
def test_vgg13_has_the_known_number_of_parameters(side: int, classes: int, millions: float) -> None:
    network = build_network(spec("vgg-13", side), (3, side, side), classes)
    found = sum(parameter.numel() for parameter in network.parameters()) / 1e6
    assert round(found, 2) == millions


@pytest.mark.parametrize(("name", "billions", "convolutions"), [("vgg-13", 3.74, 13), ("resnet-17", 1.77, 17)])
def test_multiply_accumulates_and_depth_are_the_known_ones(name: str, billions: float, convolutions: int) -> None:
    dataset = {"shape": (3, 32, 32), "classes": 10}
    method: dict[str, Any] = {"name": "ann", "time_steps": None, "options": {}}
    model = build_model({"dataset": dataset, "network": spec(name, 32), "method": method})
    assert image_operations(model.network).all / 1e9 == pytest.approx(billions, rel=0.005)
    assert len(model.network.by_label()) == convolutions


@pytest.mark.parametrize(
    ("name", "side", "sizes"),
    [
        ("vgg-13", 32, [32, 32, 32, 32, 32, 32, 16, 16, 16, 8, 8, 8, 4]),
        ("vgg-13", 64, [64, 64, 64, 32, 32, 32, 16, 16, 16, 8, 8, 8, 4]),
        ("resnet-17", 32, [32] * 9 + [16] * 4 + [8] * 4),
        ("resnet-17", 64, [64] * 5 + [32] * 4 + [16] * 4 + [8] * 4),
    ],
)
def test_sizes_of_the_neurons(name: str, side: int, sizes: list[int]) -> None:
    network = Network(build_network(spec(name, side), (3, side, side), 10), (3, side, side))
    assert [layer.threshold.shape[-1] for layer in network.by_label().values()] == sizes


@pytest.mark.parametrize("name", PARAMETERS["networks"])
def test_every_network_runs_on_every_side_it_names(name: str) -> None:
    sides = [list(value) for value in PARAMETERS["networks"][name].values() if isinstance(value, dict)]
    for side in map(int, sides[0] if sides else [8]):
        network = build_network(spec(name, side), (3, side, side), 7).eval()
        with torch.no_grad():
            assert network(torch.rand(1, 3, side, side)).shape == (1, 7)


def test_identity_shortcuts_and_initialisation_of_resnet17() -> None:
    model = build_network(spec("resnet-17", 32), (3, 32, 32), 10)
    layers = [stage for stage in Network(model).stages() if isinstance(stage, Layer)]
    taken = [layer.fire.neurons.label for layer in layers if layer.fire.feeds_identity]
    assert taken == ["stem", *(f"blocks.stage{stage}_1.second" for stage in (1, 2, 3, 4))]
    # Kaiming-normal with fan-out: variance 2 / (9 · outputs).
    weight = model.get_parameter("blocks.stage4_2.second.convolution.weight")
    assert weight.std().item() == pytest.approx((2 / (9 * 512)) ** 0.5, rel=0.01)
