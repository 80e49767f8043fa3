import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from scipy import stats

from snn2ann.report.statistics import (
    Estimate,
    correlation_interval,
    mean_interval,
    paired_difference,
    paired_ratio,
    share_interval,
    summarise,
    t_value,
)
from snn2ann.report.verdicts import ERROR, RULES

samples = some.lists(some.floats(0.01, 100), min_size=3, max_size=8).filter(lambda each: np.std(each) > 1e-6)


@given(samples)
@settings(deadline=None)  # the first call imports
def test_interval_of_a_mean_is_scipys(values: list[float]) -> None:
    estimate = mean_interval(values)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert estimate.n == len(values)
    assert estimate.mean == pytest.approx(np.mean(values))
    assert (estimate.low, estimate.high) == pytest.approx((expected.low, expected.high))


@given(samples)
@settings(deadline=None)  # the first call imports
def test_paired_difference_is_scipys_paired_test(values: list[float]) -> None:
    first = pd.Series(values)
    second = pd.Series(values[::-1]) * 0.7 + np.arange(len(values))
    estimate = paired_difference(first, second)
    expected = stats.ttest_rel(first, second).confidence_interval(0.95)
    assert estimate.mean == pytest.approx(float((first - second).mean()))
    assert (estimate.low, estimate.high) == pytest.approx((expected.low, expected.high), rel=1e-6, abs=1e-9)


@given(samples)
@settings(deadline=None)  # the first call imports
def test_paired_ratio_is_the_paired_test_of_logs(values: list[float]) -> None:
    first, second = pd.Series(values), pd.Series(values[::-1]) + 1
    estimate = paired_ratio(first, second)
    expected = stats.ttest_rel(np.log(first), np.log(second)).confidence_interval(0.95)
    assert estimate.mean == pytest.approx(stats.gmean(first / second))
    assert (estimate.low, estimate.high) == pytest.approx((np.exp(expected.low), np.exp(expected.high)), rel=1e-6)


def test_ratio_the_other_way_round_has_the_reciprocal_interval() -> None:
    first, second = pd.Series([1.0, 2.0, 4.0]), pd.Series([2.0, 3.0, 9.0])
    one, other = paired_ratio(first, second), paired_ratio(second, first)
    assert (one.mean, one.low, one.high) == pytest.approx((1 / other.mean, 1 / other.high, 1 / other.low))


@given(some.lists(some.floats(0, 1), min_size=3, max_size=6))
@settings(deadline=None)
def test_intervals_stay_where_values_can_be(values: list[float]) -> None:
    for estimate, least in ((share_interval(values), 0), (correlation_interval([2 * each - 1 for each in values]), -1)):
        assert least <= estimate.low <= estimate.mean + 1e-12 and estimate.mean - 1e-12 <= estimate.high <= 1


def test_interval_of_shares_is_the_plain_one_where_they_hardly_differ() -> None:
    values = [0.50, 0.51, 0.49, 0.505]
    plain, bounded = mean_interval(values), share_interval(values)
    assert (bounded.low, bounded.high) == pytest.approx((plain.low, plain.high), abs=1e-4)


def test_two_values_have_no_interval() -> None:
    estimate = share_interval([0.5386, 0.7896])
    assert (estimate.n, estimate.has_interval) == (2, False) and math.isnan(estimate.high)


def test_one_value_has_no_interval() -> None:
    for estimate in (mean_interval([0.5]), paired_ratio(pd.Series([1.0]), pd.Series([2.0]))):
        assert (estimate.mean, estimate.n, estimate.has_interval) == (0.5, 1, False)
        assert math.isnan(estimate.low) and math.isnan(estimate.high)


def test_no_values_are_nothing() -> None:
    estimate = paired_difference(pd.Series(dtype=float), pd.Series([1.0]))
    assert estimate.n == 0 and math.isnan(estimate.mean)


def test_pairs_are_made_by_seed_not_by_place() -> None:
    first = pd.Series({0: 1.0, 1: 2.0, 2: 3.0})
    second = pd.Series({2: 2.5, 1: 1.0, 7: 100.0})
    estimate = paired_difference(first, second)
    assert estimate.n == 2
    assert estimate.mean == pytest.approx((1.0 + 0.5) / 2)


def test_a_ratio_leaves_out_pairs_without_a_logarithm() -> None:
    assert paired_ratio(pd.Series([1.0, 0.0]), pd.Series([4.0, 1.0])).mean == pytest.approx(0.25)


def test_summary_keeps_the_order_of_groups_and_missing_labels() -> None:
    frame = pd.DataFrame({"group": ["b", None, "b"], "value": [1.0, 5.0, 3.0]})
    summary = summarise(frame, ["group"])
    assert summary["mean"].tolist() == [2.0, 5.0]
    assert summary["n"].tolist() == [2, 1]


def test_another_unit_is_that_of_all_three_numbers() -> None:
    assert Estimate(0.5, 0.25, 0.75, 4).scaled(100) == Estimate(50.0, 25.0, 75.0, 4)


def test_the_rules_say_how_often_a_verdict_errs() -> None:
    """A one-sided test by the end of a two-sided interval errs as often as Student's t is beyond it."""
    assert pytest.approx(float(stats.t.sf(t_value(7), 6))) == ERROR
    assert f"errs with {100 * ERROR:.1f}% at most" in RULES
