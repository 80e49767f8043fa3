"""Max pooling: PyTorch's own, ties included; of the charge causal, in total the maximum of the totals, as SciPy has it."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import maximum_filter
from torch import Tensor
from torch.nn.functional import max_pool2d

from snn2ann.engine.pooling import max_pool, pool_charge


def currents(seed: int, steps: int) -> Tensor:
    """Multiples of 1/8, whose sums are exact."""
    return torch.randint(-8, 9, (steps, 2, 3, 6, 8), generator=torch.Generator().manual_seed(seed)) / 8


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), steps=st.integers(1, 7))
def test_the_total_at_every_step_is_the_maximum_of_the_totals(seed: int, steps: int) -> None:
    current = currents(seed, steps)
    totals = pool_charge(current, max_pool).cumsum(0)
    windows = maximum_filter(current.cumsum(0).numpy(), size=(1, 1, 1, 2, 2), origin=(0, 0, 0, -1, -1))
    assert torch.equal(totals, torch.from_numpy(windows[..., ::2, ::2].copy()))


def test_later_steps_change_nothing_before_and_the_maxima_of_steps_add_up_to_more() -> None:
    current = currents(0, 5)
    pooled = pool_charge(current, max_pool)
    assert torch.equal(pool_charge(current[:3], max_pool), pooled[:3])
    by_step = max_pool2d(current.flatten(0, 1), 2).unflatten(0, (5, 2)).sum(0)
    assert (by_step >= pooled.sum(0)).all() and (by_step > pooled.sum(0)).any()


def test_a_current_that_is_the_same_at_every_step_is_pooled_as_ever() -> None:
    current = currents(1, 1).expand(4, -1, -1, -1, -1)
    assert torch.equal(pool_charge(current, max_pool), max_pool2d(current[0], 2).expand(4, -1, -1, -1, -1))


def test_the_gradient_is_pytorchs_where_all_four_the_first_or_the_last_ones_are_equal() -> None:
    # Every pattern of two values in a window: 1 where it is the largest, several times in most.
    windows = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 4).reshape(16, 1, 2, 2)
    upstream = torch.arange(1.0, 17).reshape(16, 1, 1, 1)
    ours, theirs = windows.clone().requires_grad_(), windows.clone().requires_grad_()
    max_pool(ours).backward(upstream)
    max_pool2d(theirs, 2).backward(upstream)
    assert ours.grad is not None and theirs.grad is not None
    assert torch.equal(ours.grad, theirs.grad)
    assert int((ours.grad != 0).sum()) == 16


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), height=st.integers(2, 7), width=st.integers(2, 7))
def test_values_and_gradient_are_pytorchs_on_whole_numbers_and_odd_sides(seed: int, height: int, width: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    ours = torch.randint(-1, 2, (2, 3, height, width), generator=generator).float().requires_grad_()
    theirs = ours.detach().clone().requires_grad_()
    one, other = max_pool(ours), max_pool2d(theirs, 2)
    assert torch.equal(one, other)
    upstream = torch.randn(one.shape, generator=generator)
    one.backward(upstream)
    other.backward(upstream)
    assert ours.grad is not None and theirs.grad is not None and torch.equal(ours.grad, theirs.grad)
