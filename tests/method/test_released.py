"""Variant `released` equals the demo's behaviour: forward, gradients, threshold updates and BatchNorm statistics."""

import copy
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy

import snn2ann
from snn2ann.engine import events
from snn2ann.method.coupling import CoupledInterpreter
from snn2ann.method.spiking import SpikingInterpreter
from snn2ann.methods.snn2ann import Snn2Ann
from snn2ann.training.precision import single_precision
from tests.stages import classifier_of, layers_of, norm_of

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


@pytest.fixture(autouse=True)
def on_the_device() -> Iterator[None]:
    with DEVICE, single_precision("fp32"):
        yield


def labels() -> torch.Tensor:
    return torch.tensor([0, 1, 2, 3, 4, 0])


def _load_reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference", Path(__file__).with_name("reference.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


reference = _load_reference()


def units_of(model: Snn2Ann) -> list[Any]:
    units = []
    for layer in layers_of(model):
        pair = (layer.side.convolution, layer.side.norm) if layer.side else None
        threshold = layer.fire.neurons.threshold.clone()
        units.append(reference.Unit(layer.main.convolution, norm_of(layer), threshold, layer.halves, pair))
    return units


@pytest.mark.parametrize("kind", ["vgg", "resnet"])
@pytest.mark.parametrize("unit", ["resu", "stsu"])
@pytest.mark.parametrize("time_steps", [1, 4, 5])
def test_training_equals_the_description(
    kind: str, unit: str, time_steps: int, build: Any, images: torch.Tensor
) -> None:
    model = build(kind, time_steps, mapping_unit=unit, membrane_dropout=0.0)
    # Low thresholds and running means that lie below the batch's make enough noisy spikes for thresholds to move.
    for layer in layers_of(model):
        layer.fire.neurons.threshold.mul_(0.05)
        norm_of(layer).running_mean.sub_(2)  # type: ignore[union-attr]
    twin = copy.deepcopy(model)
    units = units_of(twin)
    for _ in range(2):
        model.zero_grad()
        twin.zero_grad()
        spiking = SpikingInterpreter(time_steps, time_steps, model.options, training=True)
        ann, snn = model.network.run_by(CoupledInterpreter(spiking, adjust=True), images)
        expected_ann, expected_snn = getattr(reference, kind)(
            units, classifier_of(twin), images, time_steps, unit == "resu", True
        )
        torch.testing.assert_close(ann, expected_ann)
        torch.testing.assert_close(snn, expected_snn.detach())
        cross_entropy(ann, labels()).backward()
        cross_entropy(expected_ann, labels()).backward()
        for unit_state in units:
            unit_state.membrane = unit_state.count = None
    moved = 0
    for (name, ours), theirs in zip(model.named_parameters(), twin.parameters(), strict=True):
        assert (ours.grad is None) == (theirs.grad is None), name
        if ours.grad is not None and theirs.grad is not None:
            torch.testing.assert_close(ours.grad, theirs.grad, msg=name)
    for layer, before, state in zip(layers_of(model), layers_of(twin), units, strict=True):
        torch.testing.assert_close(layer.fire.neurons.threshold, state.threshold)
        torch.testing.assert_close(norm_of(layer).running_var, norm_of(before).running_var)
        moved += int(not torch.allclose(layer.fire.neurons.threshold, before.fire.neurons.threshold))
    # At T = 1 a neuron fires only where its total charge is positive, so few spikes are noisy.
    assert moved > 0 or time_steps == 1, "no threshold moved, so their adjustment was not tested"


@pytest.mark.parametrize("kind", ["vgg", "resnet"])
@pytest.mark.parametrize("unit", ["resu", "stsu"])
@pytest.mark.parametrize("time_steps", [1, 5])
@pytest.mark.parametrize("by_events", [True, False])
def test_a_module_coupled_as_released_equals_the_description(
    kind: str,
    unit: str,
    time_steps: int,
    by_events: bool,
    build: Any,
    images: torch.Tensor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if by_events:
        monkeypatch.setattr(events, "FEWEST_CHANNELS", 1)
        monkeypatch.setattr(events, "FEWEST_POSITIONS", 1)
    twin = build(kind, time_steps)
    for layer in layers_of(twin):
        layer.fire.neurons.threshold.mul_(0.05)
        norm_of(layer).running_mean.sub_(2)  # type: ignore[union-attr]
    units, model = units_of(twin), copy.deepcopy(twin.network.model)
    coupled = snn2ann.couple(
        model, time_steps, variant="released", image_shape=(2, 8, 8), mapping_unit=unit, membrane_dropout=0.0
    ).train()
    for threshold, state in zip(coupled.thresholds().values(), units, strict=True):
        threshold.copy_(state.threshold)
    for _ in range(2):
        model.zero_grad()
        twin.zero_grad()
        ann, snn = coupled.branches(images)
        expected_ann, expected_snn = getattr(reference, kind)(
            units, classifier_of(twin), images, time_steps, unit == "resu", True
        )
        torch.testing.assert_close(ann, expected_ann)
        torch.testing.assert_close(snn, expected_snn.detach())
        cross_entropy(ann, labels()).backward()
        cross_entropy(expected_ann, labels()).backward()
        for state in units:
            state.membrane = state.count = None
    expected = {name: value.grad for name, value in twin.network.model.named_parameters() if value.grad is not None}
    largest = max(float(gradient.abs().max()) for gradient in expected.values())
    for name, value in model.named_parameters():
        assert value.grad is not None
        # Sums of events are in another order; what rounding leaves where terms cancel is in proportion to the terms.
        torch.testing.assert_close(value.grad, expected[name], atol=1e-5 * largest, rtol=1e-4)
    for threshold, state in zip(coupled.thresholds().values(), units, strict=True):
        torch.testing.assert_close(threshold, state.threshold)


def test_gradients_reach_every_parameter(build: Any, images: torch.Tensor) -> None:
    for kind in ("vgg", "resnet"):
        model = build(kind)
        model.training_step(images, labels(), cross_entropy).loss.backward()
        without = [name for name, value in model.named_parameters() if value.grad is None]
        assert without == []
