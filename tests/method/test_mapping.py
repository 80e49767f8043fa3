"""Spiking mapping units: values and gradients against their definition."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from snn2ann.method.mapping import map_spikes, noisy_spike_rate, resu, stsu

PRE = [-1.0, 0.0, 0.5, 2.0]
COUNT = [3.0, 2.0, 0.0, 4.0]


def test_resu_passes_counts_where_the_activation_is_positive() -> None:
    activation = torch.tensor(PRE).relu()
    assert resu(activation, torch.tensor(COUNT)).tolist() == [0, 0, 0, 4]


def test_stsu_passes_every_count() -> None:
    assert stsu(torch.tensor(PRE).relu(), torch.tensor(COUNT)).tolist() == COUNT


def test_both_have_slope_one_to_the_activation_and_none_to_the_count() -> None:
    for unit in (resu, stsu):
        activation = torch.tensor(PRE).relu().requires_grad_()
        count = torch.tensor(COUNT, requires_grad=True)
        unit(activation, count).backward(torch.tensor([1.0, 2.0, 3.0, 4.0]))
        assert activation.grad is not None
        assert activation.grad.tolist() == [1, 2, 3, 4]
        assert count.grad is None


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**31), name=st.sampled_from(["resu", "stsu"]))
def test_the_fused_form_equals_relu_then_unit(seed: int, name: str) -> None:
    generator = torch.Generator().manual_seed(seed)
    pre = torch.randn(4, 3, 5, 5, generator=generator).round(decimals=1).requires_grad_()
    twin = pre.detach().clone().requires_grad_()
    count = torch.randint(0, 6, pre.shape, generator=generator).float()
    upstream = torch.randn(pre.shape, generator=generator)
    fused, plain = map_spikes(pre, count, name).dense(), {"resu": resu, "stsu": stsu}[name](twin.relu(), count)
    assert torch.equal(fused, plain)
    fused.backward(upstream)
    plain.backward(upstream)
    assert pre.grad is not None and twin.grad is not None
    assert torch.equal(pre.grad, twin.grad)


def test_the_window_has_slope_one_over_threshold_below_saturation() -> None:
    # T = 2, V = 0.5: counts saturate from 1.25 on.
    pre = torch.tensor([-0.1, 0.1, 1.2, 1.25, 3.0], requires_grad=True)
    mapped = map_spikes(pre, torch.ones(5), "stsu", window=(torch.tensor(0.5), 2))
    mapped.dense().sum().backward()
    assert pre.grad is not None
    assert pre.grad.tolist() == [0, 2, 2, 0, 0]


def test_the_slope_is_bounded_where_a_threshold_is_near_zero() -> None:
    thresholds = torch.tensor([0.0, 0.01, 0.05, 0.1, 0.2, 1.0])
    for factor in (1.0, 0.25):
        pre = torch.full((6,), 1e-4).requires_grad_()
        taken = (thresholds * factor).clamp_min(1e-3)
        mapped = map_spikes(pre, torch.ones(6), "stsu", window=(taken, 2), factor=factor)
        mapped.dense().sum().backward()
        assert pre.grad is not None
        # Counts are multiplied by the factor, and a tenth of it is the least that a spike is taken to be worth.
        assert pre.grad.tolist() == pytest.approx([10, 10, 10, 10, 5, 1], rel=1e-5)


@pytest.mark.parametrize("window", [None, (torch.tensor(0.5), 2)])
def test_a_penalty_is_the_gradient_of_a_price_on_every_spike(window: tuple[Tensor, int] | None) -> None:
    pre = torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(1)).requires_grad_()
    twin = pre.detach().clone().requires_grad_()
    count = torch.ones_like(pre)
    counts = map_spikes(pre, count, window=window, penalty=0.3)
    priced, price = counts.dense(), counts.price
    plain = map_spikes(twin, count, window=window).dense()
    assert torch.equal(priced, plain)
    assert price is not None and price.item() == pytest.approx(0.3 * plain.sum().item() / 4)
    (priced.square().sum() + price).backward()
    (plain.square().sum() + 0.3 * plain.sum() / 4).backward()
    assert pre.grad is not None and twin.grad is not None
    torch.testing.assert_close(pre.grad, twin.grad)


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_a_price_is_added_to_the_gradient_as_a_number_is(kind: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(1)
    pre = torch.randn(4, 8, 16, 16, generator=generator).to(kind).requires_grad_()
    upstream = (torch.randn(pre.shape, generator=generator) * 1e-3).to(kind)
    counts = map_spikes(pre, torch.ones_like(pre), "stsu", penalty=0.01)
    link, price = counts.dense(), counts.price
    assert price is not None
    torch.autograd.backward([link, price], [upstream, torch.ones_like(price)])
    expected = upstream * (pre > 0)
    assert pre.grad is not None and torch.equal(pre.grad, expected.add_(pre.detach() > 0, alpha=0.01 / 4))


def test_noisy_spikes_are_those_without_activation() -> None:
    assert noisy_spike_rate(torch.tensor(PRE), torch.tensor(COUNT)).item() == 0.5
    assert noisy_spike_rate(torch.tensor(PRE).relu(), torch.tensor(COUNT)).item() == 0.5
