"""QCFS: the activation is PyTorch's fake quantisation, and a constant current gives it as a rate at T = L."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import cross_entropy

from snn2ann.engine.neuron import integrate_and_fire
from snn2ann.engine.signals import Observation
from snn2ann.engine.stages import firing
from snn2ann.errors import UserError
from snn2ann.methods.qcfs import QuantisedConversion, qcfs
from tests.methods.building import build_relative
from tests.stages import of_layers

NETWORKS: dict[str, dict[str, Any]] = {
    "vgg": {"kind": "vgg", "blocks": [[6, 6], [8]], "pooled_blocks": [1], "dropout": [0, 0]},
    "plain": {"kind": "vgg", "blocks": [[6, 6], [8]], "pooled_blocks": [], "dropout": [0, 0]},
    "resnet": {"kind": "resnet", "channels": [6, 6, 8], "strides": [1, 1, 2], "blocks_per_stage": 2, "dropout": 0},
}
LABELS = torch.arange(32) % 5


def build(kind: str = "vgg", **options: Any) -> QuantisedConversion:
    model = build_relative("qcfs", NETWORKS[kind], None, **options)
    assert isinstance(model, QuantisedConversion)
    return model


def lived_in(kind: str, **options: Any) -> tuple[QuantisedConversion, Tensor]:
    """A model after some training steps: every ceiling is another, and so are its BatchNorms' statistics."""
    model = build(kind, **options)
    images = torch.rand(32, 2, 8, 8)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(15):
        optimiser.zero_grad()
        model.training_step(images, LABELS, cross_entropy).loss.backward()
        optimiser.step()
    return model.eval(), images


@given(st.integers(1, 16), st.floats(0.1, 10), st.integers(0, 1000))
@settings(max_examples=50, deadline=None)
def test_values_are_those_of_fake_quantisation(levels: int, ceiling: float, seed: int) -> None:
    value = torch.randn(200, generator=torch.Generator().manual_seed(seed)) * ceiling
    expected = torch.fake_quantize_per_tensor_affine(value, ceiling / levels, 0, 0, levels)
    torch.testing.assert_close(qcfs(value, torch.tensor(ceiling), levels), expected)


def test_gradients_are_a_clips_and_the_ceiling_has_the_rest() -> None:
    value = torch.tensor([-1.0, 0.3, 1.0, 1.9, 3.0], requires_grad=True)
    ceiling = torch.tensor(2.0, requires_grad=True)
    out = qcfs(value, ceiling, 4)
    torch.testing.assert_close(out, torch.tensor([0.0, 0.5, 1.0, 2.0, 2.0]))
    out.sum().backward()
    torch.testing.assert_close(value.grad, torch.tensor([0.0, 1.0, 1.0, 1.0, 0.0]))
    # Beyond the ceiling it is the ceiling; inside, it is what rounding put on, as a share of the ceiling.
    torch.testing.assert_close(ceiling.grad, torch.tensor(1.0 + (0.2 + 0.0 + 0.1) / 2))


@given(st.integers(1, 12), st.floats(0.1, 10), st.integers(0, 1000))
@settings(max_examples=50, deadline=None)
def test_a_constant_current_gives_the_activation_as_a_rate_at_t_equal_to_levels(
    levels: int, ceiling: float, seed: int
) -> None:
    """Bu et al. 2022, theorem 2 and what follows it: the error of the conversion is zero."""
    draw = torch.Generator().manual_seed(seed)
    # Half-way points between levels, where rounding would decide, are left out.
    place = torch.randint(-levels, 2 * levels, (200,), generator=draw) + 0.9 * (torch.rand(200, generator=draw) - 0.5)
    current, threshold = place * ceiling / levels, torch.tensor(ceiling)
    spikes = integrate_and_fire(
        current.expand(levels, -1), threshold, reset="subtract", membrane_start=0.5, membrane_dropout=0.0
    )
    torch.testing.assert_close(spikes.mean(0) * ceiling, qcfs(current, threshold, levels))


@pytest.mark.parametrize("levels", [4, 8])
@pytest.mark.parametrize("kind", NETWORKS)
def test_the_first_layers_rate_is_the_anns_activation(kind: str, levels: int) -> None:
    model, images = lived_in(kind, levels=levels)
    activations: dict[str, Tensor] = {}
    spikes: dict[str, Tensor] = {}
    with torch.no_grad():
        model.ann_forward(images, lambda label, activation: activations.update({label: activation}))

    def observe(seen: Observation) -> None:
        fire = firing(seen.stage)
        assert fire is not None
        spikes[fire.neurons.label] = seen.outgoing.value

    model.spiking_forward(images, levels, of_layers(observe))
    first = next(iter(activations))
    found = spikes[first].mean(0) * model.network.by_label()[first].threshold
    assert found.count_nonzero() > 0
    # A current that falls on a threshold but for rounding may go either way.
    assert float(torch.isclose(found, activations[first], atol=1e-5).float().mean()) > 0.999
    assert set(spikes[first].unique().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("kind", ["plain", "resnet"])
def test_logits_approach_those_of_an_ann_of_many_levels_as_t_grows(kind: str) -> None:
    """Rates tend to the clipped activation itself; without max pooling, so do all layers'."""
    model, images = lived_in(kind, levels=4096, ceiling=3.0)
    with torch.no_grad():
        expected = model.ann_forward(images)
    logits = model.spiking_forward(images, 512)
    errors = [float((logits[step - 1] - expected).abs().mean() / expected.std()) for step in (4, 32, 512)]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.05


def test_ceilings_are_learned_and_are_the_thresholds_of_the_deployed_network() -> None:
    model, images = lived_in("vgg", ceiling=2.0)
    ceilings = [float(layer.get_parameter("ceiling").detach()) for layer in model.network.by_label().values()]
    assert len({round(each, 4) for each in [*ceilings, 2.0]}) == len(ceilings) + 1
    for layer in model.network.by_label().values():
        assert bool((layer.threshold == layer.get_parameter("ceiling")).all())
    again = build("vgg").eval()
    again.network.load_state_dict(model.network.state_dict())
    torch.testing.assert_close(again.eval().spiking_forward(images, 5), model.spiking_forward(images, 5))


@pytest.mark.parametrize("option", [{"levels": 0}, {"levels": 2.5}, {"ceiling": 0.0}, {"ceiling": "high"}])
def test_a_bad_option_is_named(option: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=f"option {next(iter(option))}"):
        build(**option)
