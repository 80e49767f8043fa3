"""What must hold between the branches and ways of running a network, whatever the weights."""

from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from spikingjelly.activation_based import neuron
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from snn2ann.engine.counts import Counts
from snn2ann.engine.normalisation import Statistics, affine, normalise, scaled_weight
from snn2ann.engine.signals import Observation, Spikes
from snn2ann.engine.stages import Layer
from snn2ann.method.coupling import CoupledInterpreter
from snn2ann.method.spiking import SpikingInterpreter
from snn2ann.methods.model import Model
from snn2ann.models import layers
from tests.stages import layers_of, norm_of, of_layers

KINDS = ["vgg", "resnet"]


def folded(
    convolution: nn.Conv2d, norm: nn.BatchNorm2d, time_steps: int, statistics: Statistics | None = None
) -> tuple[Tensor, Tensor]:
    """Weight and bias of a step of the SNN branch."""
    scale, bias = affine(convolution, norm, time_steps, statistics)
    assert bias is not None
    return scaled_weight(convolution, scale), bias


def dropped(model: Model, probability: float) -> None:
    """Let every layer drop."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = probability


RELAXED = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@RELAXED
@given(seed=st.integers(0, 2**31), time_steps=st.integers(1, 9), stride=st.sampled_from([1, 2]))
def test_total_charge_equals_the_pre_activation_of_the_counts(seed: int, time_steps: int, stride: int) -> None:
    torch.manual_seed(seed)
    layer = layers.Layer(3, 4, stride=stride).eval()
    assert layer.norm.running_mean is not None and layer.norm.running_var is not None
    layer.norm.running_mean.normal_()
    layer.norm.running_var.uniform_(0.1, 2)
    spikes = torch.randint(0, 2, (time_steps, 2, 3, 8, 8)).float()
    weight, bias = folded(layer.convolution, layer.norm, time_steps)
    currents = torch.nn.functional.conv2d(spikes.flatten(0, 1), weight, bias, stride, 1)
    total = currents.unflatten(0, (time_steps, 2)).sum(0)
    torch.testing.assert_close(total, layer.norm(layer.convolution(spikes.sum(0))), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("variant", ["released", "refined"])
@pytest.mark.parametrize("time_steps", [1, 3, 8])
def test_the_snn_alone_equals_the_snn_branch_spike_for_spike(
    kind: str, variant: str, time_steps: int, build: Any, images: Tensor
) -> None:
    model = build(kind, time_steps, variant).eval()
    branch: list[Tensor] = []
    alone: list[Tensor] = []
    with torch.no_grad():
        _, coupled = model.coupled_forward(
            images, time_steps, of_layers(lambda seen: branch.append(seen.outgoing.value))
        )
        logits = model.spiking_forward(images, time_steps, of_layers(lambda seen: alone.append(seen.outgoing.value)))
    assert len(branch) == len(alone) > 0
    assert all(torch.equal(one, other) for one, other in zip(branch, alone, strict=True))
    assert sum(float(spikes.sum()) for spikes in alone) > 0
    torch.testing.assert_close(logits[-1], coupled)


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_steps_of_a_long_run_are_a_short_run(kind: str, build: Any, images: Tensor) -> None:
    model = build(kind).eval()
    long, short = model.spiking_forward(images, 9), model.spiking_forward(images, 4)
    torch.testing.assert_close(long[:4], short)


@pytest.mark.parametrize("kind", KINDS)
def test_results_do_not_depend_on_how_a_batch_is_split(kind: str, build: Any, images: Tensor) -> None:
    model = build(kind).eval()
    together = model.spiking_forward(images, 5)
    apart = torch.cat([model.spiking_forward(part, 5) for part in images.split([1, 2, 3])], 1)
    torch.testing.assert_close(together, apart)


@pytest.mark.parametrize("kind", KINDS)
def test_spikes_are_zero_or_one_and_only_spikes_pass_in_the_deployable_form(
    kind: str, build: Any, images: Tensor
) -> None:
    model = build(kind, variant="refined").eval()

    def observe(seen: Observation) -> None:
        assert set(seen.outgoing.value.unique().tolist()) <= {0.0, 1.0}
        assert seen.outgoing.current is None

    model.spiking_forward(images, 3, of_layers(observe))


def test_divided_input_makes_the_first_layers_totals_equal(build: Any, images: Tensor) -> None:
    model = build("vgg", 4, input_coding="divide").eval()
    first = layers_of(model)[0]
    encoded = SpikingInterpreter(4, 4, model.options).image(images)
    weight, bias = folded(first.main.convolution, norm_of(first), 4)
    total = 4 * torch.nn.functional.conv2d(encoded.value, weight, bias, padding=1)
    torch.testing.assert_close(total, first.main.run(images), atol=1e-5, rtol=1e-4)


def test_direct_input_gives_the_first_layer_what_spikingjelly_gives_its_own(build: Any, images: Tensor) -> None:
    """The whole pre-activation at every step, whatever T."""
    model = build("vgg", 4, input_coding="direct", reset="zero", membrane_start=0.0, threshold_start=0.3).eval()
    for layer in layers_of(model):
        norm_of(layer).bias.data.fill_(0.2)
    seen: list[Observation] = []
    model.spiking_forward(images, 6, of_layers(seen.append))
    neurons = neuron.IFNode(v_threshold=0.3, v_reset=0.0, step_mode="m")
    assert isinstance(seen[0].stage, Layer)
    current = seen[0].stage.main.run(images)
    expected = neurons(current.expand(6, *current.shape))
    torch.testing.assert_close(seen[0].outgoing.value, expected)
    assert 0 < expected.mean() < 1


def test_batch_statistics_make_the_branches_agree_in_training(build: Any, images: Tensor) -> None:
    """With the batch's own statistics the SNN's total charge is the ANN's pre-activation, running ones being far off."""
    differences = {}
    for statistics in ("running", "batch"):
        model = build("vgg", 4, statistics=statistics, membrane_dropout=0.0, input_coding="divide")
        layer = layers_of(model)[0]
        convolution, norm = layer.main.convolution, norm_of(layer)
        before = folded(convolution, norm, 4)
        value, taken = normalise(norm, convolution(images), "")
        main = folded(convolution, norm, 4, taken) if statistics == "batch" else before
        total = 4 * torch.nn.functional.conv2d(images / 4, *main, padding=1)
        differences[statistics] = (total - value).abs().max().item()
    assert differences["batch"] < 1e-4 < differences["running"]


def test_observer_sees_noisy_spike_rates(build: Any, images: Tensor) -> None:
    model = build("vgg").eval()
    rates: list[float] = []

    def observe(seen: Observation) -> None:
        assert seen.pre_activation is not None and seen.noisy_spike_rate is not None
        by_hand = ((seen.pre_activation <= 0) & (seen.outgoing.value.sum(0) > 0)).float().mean()
        assert seen.noisy_spike_rate.item() == by_hand.item()
        rates.append(by_hand.item())

    model.coupled_forward(images, 5, of_layers(observe))
    assert len(rates) == 3


def test_dropout_inflates_the_released_rate_only(build: Any, images: Tensor) -> None:
    rates = {}
    for measured in ("after_dropout", "before_dropout"):
        model = build("vgg", noisy_spikes=measured)
        dropped(model, 0.5)
        found: list[float] = []

        def observe(seen: Observation, found: list[float] = found) -> None:
            assert seen.noisy_spike_rate is not None
            found.append(seen.noisy_spike_rate.item())

        torch.manual_seed(0)
        model.training_step(images, torch.zeros(6, dtype=torch.long), cross_entropy, of_layers(observe))
        rates[measured] = found[0]
    assert rates["after_dropout"] > rates["before_dropout"]


def test_thresholds_take_no_gradient_and_are_saved_with_the_weights(build: Any) -> None:
    model = build("resnet")
    assert not any("threshold" in name for name, _ in model.named_parameters())
    assert sum(name.endswith(".threshold") for name in model.network.state_dict()) == 9


def test_thresholds_start_uniform_or_constant(build: Any) -> None:
    uniform = torch.cat([layer.fire.neurons.threshold.flatten() for layer in layers_of(build("vgg"))])
    assert 0 <= uniform.min() < 0.1 and 0.9 < uniform.max() < 1
    constant = layers_of(build("vgg", threshold_start=0.5))
    assert all(bool((layer.fire.neurons.threshold == 0.5).all()) for layer in constant)


def test_the_coupled_branches_scale_counts_where_t_is_not_the_biases(build: Any, images: Tensor) -> None:
    model = build("vgg", 5).eval()
    interpreter = CoupledInterpreter(SpikingInterpreter(10, 5, model.options))
    first = layers_of(model)[0]
    with torch.no_grad():
        signal = interpreter.layer(first, interpreter.image(images))
    assert isinstance(signal.spikes, Spikes)
    active = first.main.run(images) > 0
    assert isinstance(signal.activation, Counts)
    torch.testing.assert_close(signal.activation.dense(), signal.spikes.count * 0.5 * active)
