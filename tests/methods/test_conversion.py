"""Conversion: the spiking network's rates approach the ANN's activations as T grows.

Without max pooling, that is: it lets the largest current of each step pass, not the largest rate, and so keeps a bias.
"""

from pathlib import Path
from typing import Any

import pytest
import torch

import snn2ann
from snn2ann.methods import METHODS
from snn2ann.methods.build import build_model
from snn2ann.methods.conversion import Conversion
from snn2ann.methods.model import Model
from snn2ann.runs.folder import RunFolder
from snn2ann.runs.weights import load_state, save_state, split_state
from tests.stages import layers_of

NETWORKS: dict[str, dict[str, Any]] = {
    "vgg": {"kind": "vgg", "blocks": [[6, 6], [8]], "pooled_blocks": [], "dropout": [0, 0]},
    "resnet": {"kind": "resnet", "channels": [6, 6, 8], "strides": [1, 1, 2], "blocks_per_stage": 2, "dropout": 0},
}
DATASET = {"shape": (2, 8, 8), "classes": 5}


def pair(kind: str, percentile: float, **others: Any) -> tuple[Model, Conversion, torch.Tensor]:
    """A plain ANN with lived-in BatchNorms, its conversion, and the images that it was converted on."""
    torch.manual_seed(0)
    images = torch.rand(32, 2, 8, 8)
    spec = {"dataset": DATASET, "network": NETWORKS[kind], "method": {"name": "ann", "time_steps": None, "options": {}}}
    ann = build_model(spec)
    for _ in range(30):
        ann.ann_forward(torch.rand(32, 2, 8, 8))
    ann.eval()
    options = METHODS["conversion"].defaults | {"percentile": percentile} | others
    converted = build_model(spec | {"method": {"name": "conversion", "time_steps": None, "options": options}})
    assert isinstance(converted, Conversion)
    converted.network.model.load_state_dict(ann.network.model.state_dict())
    converted.convert([images[:16], images[16:]])
    return ann, converted, images


@pytest.mark.parametrize("kind", ["vgg", "resnet"])
def test_logits_approach_the_anns_as_t_grows(kind: str) -> None:
    ann, converted, images = pair(kind, 100.0)
    with torch.no_grad():
        expected = ann.ann_forward(images)
        logits = converted.spiking_forward(images, 256)
    scale = float(expected.std())
    errors = [float((logits[step - 1] - expected).abs().mean()) / scale for step in (4, 32, 256)]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.05


def test_thresholds_are_the_activations_percentile() -> None:
    _, converted, images = pair("vgg", 100.0)
    ann, *_ = pair("vgg", 100.0)
    largest: list[float] = []
    with torch.no_grad():
        for part in (images[:16], images[16:]):
            found: list[float] = []
            ann.ann_forward(part, lambda layer, activation, found=found: found.append(float(activation.max())))  # type: ignore[misc]
            largest = [a + b / 2 for a, b in zip(largest or [0.0] * len(found), found, strict=True)]
    thresholds = [float(layer.fire.neurons.threshold.mean()) for layer in layers_of(converted)]
    assert thresholds == pytest.approx(largest, rel=1e-5)


def test_a_spike_is_worth_its_threshold_and_the_anns_weights_stay() -> None:
    ann, converted, _ = pair("resnet", 99.0)
    for layer in converted.network.by_label().values():
        assert layer.worth is not None and bool((layer.threshold == layer.worth).all())
    theirs = ann.network.model.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in converted.network.model.state_dict().items())


def test_it_equals_a_network_whose_weights_are_scaled_by_what_spikes_are_worth() -> None:
    """Rueckauer et al. 2017, equation 6: in the place of spikes that are worth λ, the next layer's weights times λ."""
    _, converted, images = pair("vgg", 99.9)
    with torch.no_grad():
        scales, expected = [1.0], converted.spiking_forward(images, 16)
        for layer in layers_of(converted):
            layer.main.convolution.weight.mul_(scales[-1])
            # The bias and the mean stand after the scaled sum; a BatchNorm is the same at any scale of its input.
            worth = layer.fire.neurons.worth
            assert worth is not None
            scales.append(float(worth))
            worth.fill_(1)
        converted.network.model.get_submodule("classifier").get_parameter("weight").mul_(scales[-1])
        scaled = converted.spiking_forward(images, 16)
    assert expected.std() > 0
    # A current that falls on a threshold but for rounding may go either way.
    close = torch.isclose(scaled, expected, atol=1e-4, rtol=1e-4).float().mean()
    assert float(close) > 0.97


def test_a_lower_percentile_gives_lower_thresholds() -> None:
    high = pair("resnet", 100.0)[1].network.by_label()
    low = pair("resnet", 90.0)[1].network.by_label()
    assert all(low[name].threshold.mean() < high[name].threshold.mean() for name in high)


@pytest.mark.parametrize("kind", ["vgg", "resnet"])
def test_thresholds_for_some_t_are_the_librarys_and_come_nearer_to_the_ann(kind: str, tmp_path: Path) -> None:
    ann, nearest, images = pair(kind, 99.9, thresholds_for=5)
    expected = ann.ann_forward(images).detach()
    errors = {
        percentile: float((pair(kind, percentile)[1].spiking_forward(images, 5)[-1] - expected).norm())
        for percentile in (99.0, 99.9)
    }
    logits = nearest.spiking_forward(images, 5)[-1]
    assert float((logits - expected).norm()) < min(errors.values())
    coupled = snn2ann.couple(ann.network.model, 5, calibrate=images, membrane_dropout=0.0)
    torch.testing.assert_close(coupled(images), logits)
    # And they are saved and loaded, one a channel.
    save_state(RunFolder(tmp_path), *split_state(nearest))
    again = pair(kind, 99.9, thresholds_for=5)[1]
    for layer in again.network.by_label().values():
        layer.threshold.fill_(1)
        assert layer.worth is not None and layer.worth.numel() == layer.threshold.shape[1]
        layer.worth.fill_(1)
    load_state(again, RunFolder(tmp_path).weights, RunFolder(tmp_path).thresholds)
    assert torch.equal(again.spiking_forward(images, 5)[-1], logits)


def test_what_is_left_out_is_no_part_of_what_a_run_is_named_by() -> None:
    assert "thresholds_for" not in METHODS["conversion"].defaults
