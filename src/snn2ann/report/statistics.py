"""Means, paired differences and paired ratios with their 95 % intervals.

Every interval is Student's t-interval of a mean, on a scale that keeps it where the values can be. Seeds (or rounds of a
measurement) are the sample, so that an interval says how far the mean would move with other seeds. Fewer than `ENOUGH`
values have no interval: its ends are NaN then, never zero and never absurd.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

CONFIDENCE = 0.95
# Student's t of two values is 12.7: an interval that says nothing.
ENOUGH = 3


@dataclass(frozen=True)
class Estimate:
    """A mean with the ends of its 95 % interval (NaN where there is none) and the number of values behind it."""

    mean: float
    low: float
    high: float
    n: int

    @property
    def has_interval(self) -> bool:
        """Whether there are enough values for one."""
        return self.n >= ENOUGH

    def scaled(self, factor: float) -> "Estimate":
        """The same estimate in another unit; `factor` is positive."""
        return Estimate(self.mean * factor, self.low * factor, self.high * factor, self.n)


EMPTY = Estimate(float("nan"), float("nan"), float("nan"), 0)


def t_value(count: int, confidence: float = CONFIDENCE) -> float:
    """Half the width of Student's interval of the mean of `count` values, in standard errors."""
    return float(stats.t.ppf(0.5 + confidence / 2, count - 1))


def mean_interval(values: Sequence[float] | np.ndarray | pd.Series) -> Estimate:
    """Mean of `values` with its 95 % t-interval; NaN values are left out."""
    return _interval(values, lambda mean: mean, lambda place: place, lambda mean: 1.0)


def amount_interval(values: Sequence[float] | np.ndarray | pd.Series) -> Estimate:
    """Mean of positive amounts with a t-interval of its logarithm, which stays above 0."""
    return _interval(values, np.log, np.exp, lambda mean: mean)


def share_interval(values: Sequence[float] | np.ndarray | pd.Series) -> Estimate:
    """Mean of shares (0 to 1), such as accuracies, with a t-interval of its log odds, which stays within 0 and 1."""
    return _interval(
        values,
        lambda mean: np.log(mean / (1 - mean)),
        lambda place: 1 / (1 + np.exp(-place)),
        lambda mean: mean * (1 - mean),
    )


def correlation_interval(values: Sequence[float] | np.ndarray | pd.Series) -> Estimate:
    """Mean of correlations with a t-interval by Fisher's transformation, which stays within -1 and 1."""
    return _interval(values, np.arctanh, np.tanh, lambda mean: 1 - mean**2)


INTERVALS = {"agreement": correlation_interval}
SHARES = (
    "accuracy",
    "accuracy_last_epoch",
    "balanced_accuracy",
    "ann_branch_accuracy",
    "noisy_spike_rate",
    "noisy_spike_rate_maximum",
    "firing_rate",
)


def interval_of(measure: str, values: Sequence[float] | np.ndarray | pd.Series) -> Estimate:
    """Mean of a measure of results.csv, with the interval of its kind: shares, correlations, or any number."""
    kind = share_interval if measure in SHARES else INTERVALS.get(measure, mean_interval)
    return kind(values)


Scale = Callable[[float], float]


def _interval(values: Sequence[float] | np.ndarray | pd.Series, to: Scale, back: Scale, slope: Scale) -> Estimate:
    """The t-interval of a mean on the scale `to`, on which it is shorter by `slope` (delta method), taken back."""
    sample = np.asarray(values, dtype=float)
    sample = sample[~np.isnan(sample)]
    if sample.size == 0:
        return EMPTY
    mean, count = float(sample.mean()), int(sample.size)
    if count < ENOUGH:
        return Estimate(mean, float("nan"), float("nan"), count)
    half = t_value(count) * float(sample.std(ddof=1)) / float(np.sqrt(count))
    if half < 1e-12 * abs(mean) or slope(mean) < 1e-12:  # equal values: what is left is rounding
        return Estimate(mean, mean, mean, count)
    place, reach = to(mean), half / slope(mean)
    return Estimate(mean, float(back(place - reach)), float(back(place + reach)), count)


def paired_difference(first: pd.Series, second: pd.Series) -> Estimate:
    """Mean of `first - second` over the index values (seeds) that both have, with its 95 % t-interval."""
    left, right = _paired(first, second)
    return mean_interval(left - right)


def paired_ratio(first: pd.Series, second: pd.Series) -> Estimate:
    """Geometric mean of `first / second` over the index values (seeds, rounds) that both have.

    The interval is the t-interval of the mean log ratio, taken back by the exponential: it lies around the geometric
    mean, never reaches below zero, and the ratio the other way round has the reciprocal interval. Pairs with a value
    that is not positive have no logarithm and are left out.
    """
    left, right = _paired(first, second)
    usable = (left > 0) & (right > 0)
    logs = mean_interval(np.log(left[usable] / right[usable]))
    with np.errstate(over="ignore"):
        mean, low, high = (float(np.exp(end)) for end in (logs.mean, logs.low, logs.high))
    return Estimate(mean, low, high, logs.n)


def summarise(
    frame: pd.DataFrame,
    by: list[str],
    value: str = "value",
    interval: Callable[[pd.Series], Estimate] = mean_interval,
) -> pd.DataFrame:
    """Mean and interval of the column `value` in each group of `by`: columns `by`, mean, low, high, n.

    Groups keep the order in which they first appear.
    """
    rows = []
    for keys, group in frame.groupby(by, sort=False, dropna=False):
        estimate = interval(group[value])
        ends = [estimate.mean, estimate.low, estimate.high, estimate.n]
        rows.append([*(keys if isinstance(keys, tuple) else (keys,)), *ends])
    return pd.DataFrame(rows, columns=[*by, "mean", "low", "high", "n"])


def _paired(first: pd.Series, second: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    common = [key for key in first.index if key in second.index]
    return first.loc[common].to_numpy(dtype=float), second.loc[common].to_numpy(dtype=float)
