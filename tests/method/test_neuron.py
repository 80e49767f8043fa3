"""The IF neuron against hand-computed values and against neurons that no one here wrote."""

from typing import Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from norse.torch.functional.iaf import IAFFeedForwardState, IAFParameters, iaf_feed_forward_step
from spikingjelly.activation_based import functional as spikingjelly
from spikingjelly.activation_based import neuron

from snn2ann.engine.neuron import integrate_and_fire, integrate_and_fire_step


def spikes_of(currents: list[float], threshold: float, **options: object) -> list[float]:
    current = torch.tensor(currents).reshape(-1, 1, 1)
    return integrate_and_fire(current, torch.full((1, 1), threshold), **options).flatten().tolist()  # type: ignore[arg-type]


def test_membrane_charges_fires_and_is_reset_to_zero() -> None:
    # 0.4, 0.8, 1.2 fires and forgets the 0.2; 0.4, 0.8
    assert spikes_of([0.4] * 5, 1.0) == [0, 0, 1, 0, 0]


def test_threshold_is_strict() -> None:
    assert spikes_of([1.0], 1.0) == [0]
    assert spikes_of([1.0 + 1e-6], 1.0) == [1]


def test_reset_by_subtraction_keeps_the_rest() -> None:
    # 0.75, 1.5 fires, 0.5, 1.25 fires, 0.25, 1.0 does not exceed 1
    assert spikes_of([0.75] * 4, 1.0, reset="subtract") == [0, 1, 1, 0]


def test_membrane_has_no_lower_clamp() -> None:
    assert spikes_of([-1.0, 1.5, 1.0], 1.0) == [0, 0, 1]


def test_membrane_starts_at_a_fraction_of_the_threshold() -> None:
    assert spikes_of([0.6], 1.0, membrane_start=0.5) == [1]
    assert spikes_of([0.4], 1.0, membrane_start=0.5) == [0]


def test_no_gradient_flows() -> None:
    current = torch.rand(3, 2, 4, requires_grad=True)
    assert not integrate_and_fire(current, torch.full((1, 4), 0.5)).requires_grad


def test_step_returns_bool_spikes_and_new_membrane() -> None:
    spikes, membrane = integrate_and_fire_step(
        torch.tensor([[0.5, 2.0]]), torch.tensor([[0.25, 0.0]]), torch.tensor([[1.0, 1.5]])
    )
    assert spikes.tolist() == [[False, True]]
    assert membrane.tolist() == [[0.75, 0.0]]


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**31), steps=st.integers(1, 12), batch=st.integers(1, 4), scale=st.floats(0.1, 5))
def test_equals_norse_integrate_and_fire(seed: int, steps: int, batch: int, scale: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    current = torch.randn(steps, batch, 3, 4, 4, generator=generator) * scale
    threshold = torch.rand(1, 3, 4, 4, generator=generator)
    state = IAFFeedForwardState(v=torch.zeros_like(current[0]))
    expected = []
    for step in range(steps):
        fired, state = iaf_feed_forward_step(current[step], state, IAFParameters(v_th=threshold))
        expected.append(fired)
    assert torch.equal(integrate_and_fire(current, threshold), torch.stack(expected))


@pytest.mark.parametrize(("reset", "v_reset"), [("zero", 0.0), ("subtract", None)])
def test_equals_spikingjelly_where_no_membrane_meets_the_threshold(
    reset: Literal["zero", "subtract"], v_reset: float | None
) -> None:
    # SpikingJelly fires at equality and takes one threshold a layer; random numbers never meet it exactly.
    current = torch.randn(12, 8, 50, generator=torch.Generator().manual_seed(0))
    node = neuron.IFNode(v_threshold=0.7, v_reset=v_reset, step_mode="m")
    spikingjelly.reset_net(node)
    assert torch.equal(integrate_and_fire(current, torch.full((1, 50), 0.7), reset=reset), node(current))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), cut=st.integers(1, 5))
def test_result_does_not_depend_on_how_a_batch_is_split(seed: int, cut: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    current, threshold = torch.randn(6, 6, 5, generator=generator), torch.rand(1, 5, generator=generator)
    parts = [integrate_and_fire(part, threshold) for part in (current[:, :cut], current[:, cut:])]
    assert torch.equal(torch.cat(parts, 1), integrate_and_fire(current, threshold))


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.9])
def test_membrane_dropout_zeroes_or_scales_what_is_left(probability: float) -> None:
    torch.manual_seed(0)
    # A membrane of 1 after step one; step two fires where it was kept: 1/(1-p) + 0 > 0.5.
    current = torch.stack([torch.ones(1, 100_000), torch.zeros(1, 100_000)])
    threshold = torch.full((1, 100_000), 1.0)
    fired = integrate_and_fire(current, threshold, membrane_dropout=probability)[1]
    assert fired.mean().item() == pytest.approx(1 - probability, abs=0.01)
    torch.manual_seed(0)
    scaled = torch.full((1, 100_000), 1 / (1 - probability) + 1e-4)
    high = torch.maximum(scaled, torch.tensor(1.0))
    assert integrate_and_fire(current, high, membrane_dropout=probability)[1].sum().item() == 0


def test_membrane_dropout_follows_the_seed() -> None:
    current, threshold = torch.rand(4, 2, 1000), torch.full((1, 1000), 0.9)
    results = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        results.append(integrate_and_fire(current, threshold, membrane_dropout=0.5))
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])
