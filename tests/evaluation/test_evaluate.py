"""Evaluation: one pass says what separate runs of each T would say; calibration reaches its target."""

from collections.abc import Iterator
from dataclasses import asdict
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from snn2ann.engine.signals import Observation
from snn2ann.evaluation.calibrate import calibrate_thresholds
from snn2ann.evaluation.census import AgreementCensus
from snn2ann.evaluation.evaluate import evaluate_split
from snn2ann.methods import METHODS
from snn2ann.methods.build import build_model
from snn2ann.methods.model import Model
from snn2ann.options import RELEASED
from tests.stages import layers_of, norm_of, of_layers

VGG = {"kind": "vgg", "blocks": [[6], [8]], "pooled_blocks": [2], "dropout": [0, 0]}
DATASET = {"shape": (1, 8, 8), "classes": 4}


def build(name: str) -> Model:
    torch.manual_seed(0)
    options = asdict(RELEASED) if name == "snn2ann" else METHODS[name].defaults
    steps = 3 if METHODS[name].time_steps else None
    return build_model(
        {"dataset": DATASET, "network": VGG, "method": {"name": name, "time_steps": steps, "options": options}}
    ).eval()


def batches() -> Iterator[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    for size in (5, 3):
        yield torch.rand(size, 1, 8, 8, generator=generator), torch.randint(4, (size,), generator=generator)


@pytest.mark.parametrize("name", ["snn2ann", "stbp"])
def test_one_pass_equals_a_run_for_each_t(name: str) -> None:
    model = build(name)
    entry = evaluate_split(model, batches, 6, 3)
    assert entry["time_steps"] == [1, 2, 3, 4, 5, 6] and entry["images"] == 8
    for index, time_steps in enumerate(entry["time_steps"]):
        correct, spikes = 0, 0.0
        for images, labels in batches():
            seen: list[float] = []

            def observe(shown: Observation, seen: list[float] = seen) -> None:
                seen.append(float(shown.outgoing.value.sum()))

            logits = model.spiking_forward(images, time_steps, of_layers(observe))
            correct += int((logits[-1].argmax(1) == labels).sum())
            spikes += sum(seen)
        assert entry["accuracy"][index] == correct / 8
        assert entry["spikes_per_image"][index] == pytest.approx(spikes / 8)
        neurons = sum(layer["neurons"] for layer in entry["layers"])
        assert entry["firing_rate"][index] == pytest.approx(spikes / 8 / neurons / time_steps)


def test_a_conversion_is_compared_with_the_ann_that_it_repeats() -> None:
    model = build("qcfs")
    entry = evaluate_split(model, batches, 6, 3)
    hits = [(model.ann_forward(images).argmax(1) == labels).sum() for images, labels in batches()]
    assert entry["ann_accuracy"] == int(sum(hits)) / 8
    assert evaluate_split(build("stbp"), batches, 6, 3)["ann_accuracy"] is None


def test_operations_and_energy_of_a_small_network_by_hand() -> None:
    model = build("snn2ann")
    entry = evaluate_split(model, batches, 2, 3)
    shown: list[Tensor] = []
    for images, _ in batches():
        model.spiking_forward(images, 2, of_layers(lambda seen: shown.append(seen.outgoing.value)))
    first, second = torch.cat(shown[0::2], 1), torch.cat(shown[1::2], 1)
    counted = torch.nn.functional.conv2d(first.flatten(0, 1), torch.ones(8, 6, 3, 3), padding=1).sum()
    expected = (float(counted) + float(second.sum()) * 4) / 8
    assert entry["synaptic_operations"][1] == pytest.approx(expected)
    assert entry["multiply_accumulates"] == 9 * 6 * 64
    assert entry["energy"][1] == pytest.approx(9 * 6 * 64 * 4.6e-12 + expected * 0.9e-12)


def test_a_plain_ann_has_multiply_accumulates_and_no_time() -> None:
    entry = evaluate_split(build("ann"), batches, 6, 3)
    macs = 9 * 6 * 64 + 9 * 6 * 8 * 64 + 8 * 16 * 4
    assert entry["multiply_accumulates"] == macs
    assert entry["ann_energy"] == pytest.approx(macs * 4.6e-12)
    assert entry["time_steps"] == entry["accuracy"] == []


def test_agreement_equals_pearsons_correlation() -> None:
    model = build("snn2ann")
    entry = evaluate_split(model, batches, 3, 3)
    pairs: list[tuple[Tensor, Tensor]] = []

    def observe(seen: Observation) -> None:
        assert seen.pre_activation is not None
        pairs.append((seen.pre_activation.relu(), seen.outgoing.value.sum(0)))

    for images, _ in batches():
        model.coupled_forward(images, 3, of_layers(observe))
    for index, layer in enumerate(entry["layers"]):
        x, y = (torch.cat([pair[side] for pair in pairs[index::2]]).flatten() for side in (0, 1))
        assert layer["agreement"] == pytest.approx(float(torch.corrcoef(torch.stack([x, y]))[0, 1]), abs=1e-5)
        assert layer["noisy_spike_rate"] == pytest.approx(float(((x == 0) & (y > 0)).float().mean()), abs=1e-6)


def test_agreement_of_weak_activations_is_one_and_of_a_constant_none() -> None:
    census = AgreementCensus()
    # x = 0 and 0.1 beside y = 0 and 1; then x = 0.1 twice.
    census.sums["weak"] = torch.tensor([2, 0.1, 1, 0.01, 1, 0.1, 0], dtype=torch.float64)
    census.sums["constant"] = torch.tensor([2, 0.5, 1, 0.125, 1, 0.25, 0], dtype=torch.float64)
    assert census.correlations() == {"weak": pytest.approx(1.0), "constant": None}


def noisy_model() -> Model:
    model = build("snn2ann")
    for layer in layers_of(model):
        layer.fire.neurons.threshold.mul_(0.02)
        # Currents that come and go: negative totals with positive steps.
        norm_of(layer).bias.data.sub_(0.4)
    return model


def training_images() -> Iterator[Tensor]:
    return (images for images, _ in batches())


def test_calibration_reaches_its_target_and_leaves_the_weights() -> None:
    model = noisy_model()
    before = {name: value.clone() for name, value in model.named_parameters()}
    rows = list(calibrate_thresholds(model, training_images, time_steps=3, target=0.02, step=0.2, passes=200))
    assert max(rows[0]["noisy_spike_rate"].values()) > 0.02 >= max(rows[-1]["noisy_spike_rate"].values())
    assert all(torch.equal(value, before[name]) for name, value in model.named_parameters())
    means = [row["threshold_mean"] for row in rows]
    assert all(later[name] >= sooner[name] for sooner, later in pairwise(means) for name in later)


def test_calibration_raises_a_layer_by_a_share_of_its_mean_threshold() -> None:
    model = noisy_model()
    layers = model.network.by_label()
    for layer in layers.values():
        # Far from symmetric, so that a mean is no median.
        layer.threshold.copy_(layer.threshold**4)
    before = {name: layer.threshold.clone() for name, layer in layers.items()}
    first, second = calibrate_thresholds(model, training_images, time_steps=3, target=0.02, step=0.2, passes=1)
    raised = [name for name, rate in first["noisy_spike_rate"].items() if rate > 0.02]
    assert raised
    for name, layer in layers.items():
        share = 0.2 if name in raised else 0.0
        torch.testing.assert_close(layer.threshold, before[name] + share * before[name].mean())
        assert second["threshold_mean"][name] == pytest.approx(float(layer.threshold.mean()), rel=1e-5)


def test_calibration_stops_at_its_limit_of_passes() -> None:
    rows = list(calibrate_thresholds(noisy_model(), training_images, time_steps=3, target=0.0, step=0.01, passes=2))
    assert [row["pass"] for row in rows] == [0, 1, 2]


def test_calibration_touches_nothing_where_the_target_is_met() -> None:
    model = noisy_model()
    thresholds = [layer.fire.neurons.threshold.clone() for layer in layers_of(model)]
    rows = list(calibrate_thresholds(model, training_images, time_steps=3, target=1.0, step=0.1, passes=5))
    assert len(rows) == 1
    after = [layer.fire.neurons.threshold for layer in layers_of(model)]
    assert all(torch.equal(one, other) for one, other in zip(thresholds, after, strict=True))
