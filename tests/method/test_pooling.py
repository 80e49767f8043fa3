"""Max pooling of the charge: causal, and in total the maximum of the totals, as SciPy has it."""

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
