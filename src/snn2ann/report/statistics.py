"""Means, paired differences and paired ratios with their 95 % intervals.

Every interval is Student's t-interval of a mean. Seeds (or rounds of a measurement) are the sample, so that an interval
says how far the mean would move with other seeds. One value has no interval: it is NaN then, never zero.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean with the ends of its 95 % interval (NaN where there is none) and the number of values behind it."""

    mean: float
    low: float
    high: float
    n: int

    @property
    def has_interval(self) -> bool:
        """Whether there is more than one value."""
        return self.n > 1

    def scaled(self, factor: float) -> "Estimate":
        """The same estimate in another unit; `factor` is positive."""
        return Estimate(self.mean * factor, self.low * factor, self.high * factor, self.n)


EMPTY = Estimate(float("nan"), float("nan"), float("nan"), 0)


def mean_interval(values: Sequence[float] | np.ndarray | pd.Series) -> Estimate:
    """Mean of `values` with its 95 % t-interval; NaN values are left out."""
    sample = np.asarray(values, dtype=float)
    sample = sample[~np.isnan(sample)]
    if sample.size == 0:
        return EMPTY
    mean = float(sample.mean())
    if sample.size == 1:
        return Estimate(mean, float("nan"), float("nan"), 1)
    error = float(sample.std(ddof=1)) / float(np.sqrt(sample.size))
    half = float(stats.t.ppf(0.5 + CONFIDENCE / 2, sample.size - 1)) * error
    if half < 1e-12 * abs(mean):  # equal values: what is left is rounding
        half = 0.0
    return Estimate(mean, mean - half, mean + half, int(sample.size))


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


def summarise(frame: pd.DataFrame, by: list[str], value: str = "value") -> pd.DataFrame:
    """Mean and interval of the column `value` in each group of `by`: columns `by`, mean, low, high, n.

    Groups keep the order in which they first appear.
    """
    rows = []
    for keys, group in frame.groupby(by, sort=False, dropna=False):
        estimate = mean_interval(group[value])
        ends = [estimate.mean, estimate.low, estimate.high, estimate.n]
        rows.append([*(keys if isinstance(keys, tuple) else (keys,)), *ends])
    return pd.DataFrame(rows, columns=[*by, "mean", "low", "high", "n"])


def _paired(first: pd.Series, second: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    common = [key for key in first.index if key in second.index]
    return first.loc[common].to_numpy(dtype=float), second.loc[common].to_numpy(dtype=float)
