"""How often two machines that make the same study would contradict each other: simulated from the spread of its pairs."""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd

from snn2ann.report.findings import Finding
from snn2ann.report.statistics import Estimate, t_value
from snn2ann.report.verdicts import FAILS, HOLDS, difference_verdict, ratio_verdict

COLUMNS = [
    *("claim", "judged", "network", "dataset", "verdict", "n", "spread", "standard_error", "unit"),
    *("holds", "undecided", "fails", "contradiction", "worst_contradiction"),
]
DRAWS = 10_000
SEED = 0


@dataclass(frozen=True)
class Chances:
    """How often a repetition of a study says "holds" and "does not hold", and two of them one each."""

    holds: float
    fails: float

    @property
    def contradiction(self) -> float:
        """Of two repetitions, one says "holds" and the other "does not hold"."""
        return 2 * self.holds * self.fails


def spread_of(estimate: Estimate, ratio: bool) -> float:
    """Standard deviation of one pair, taken back from the interval of the mean; of its logarithm where it is a ratio."""
    if not estimate.has_interval or math.isnan(estimate.high):
        return math.nan
    low, high = (math.log(end) if ratio else end for end in (estimate.low, estimate.high))
    return (high - low) / 2 / t_value(estimate.n) * math.sqrt(estimate.n)


def repeated(finding: Finding, truth: float, spread: float, margin: float) -> Chances:
    """Repeat a finding's pairs many times, as normal draws around `truth`, and judge each time by the rules of verdicts.

    Args:
        finding: gives the number of pairs, the claim and what is claimed.
        truth: the true mean, as the finding's values are.
        spread: as `spread_of` gives it.
        margin: of accuracy, in points.
    """
    count = finding.estimate.n
    centre = math.log(truth) if finding.is_ratio else truth
    means, errors = _standard_draws(count)
    places = centre + spread / math.sqrt(count) * means
    halves = t_value(count) * spread / math.sqrt(count) * errors
    verdicts = []
    for place, half in zip(places, halves, strict=True):
        ends = (place, place - half, place + half)
        if finding.is_ratio:
            ends = tuple(math.exp(end) for end in ends)  # type: ignore[assignment]
            verdicts.append(ratio_verdict(Estimate(*ends, count), float(finding.claimed or 0))[0])
        else:
            verdicts.append(difference_verdict(Estimate(*ends, count), margin)[0])
    return Chances(verdicts.count(HOLDS) / len(verdicts), verdicts.count(FAILS) / len(verdicts))


@cache
def _standard_draws(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Means of `count` normal values, in standard errors, and their sample standard deviations: two arrays of DRAWS."""
    sample = np.random.default_rng(SEED).standard_normal((DRAWS, count))
    return sample.mean(1) * math.sqrt(count), sample.std(1, ddof=1)


def repeatability_rows(found: list[Finding], margin: float) -> pd.DataFrame:
    """A row for each claim, variant and network that was judged; at the measured value, and where the truth is worst.

    The claim on time steps is judged by the accuracy at the T of training, and repeats as that does.
    """
    rows = []
    for each in found:
        if each.scope != "network" or not each.estimate.has_interval or math.isnan(each.estimate.mean):
            continue
        judged = _accuracy_of(each, found) if each.claim == "time steps" else each
        if judged is None:
            continue
        spread = spread_of(judged.estimate, judged.is_ratio)
        bound = float(judged.claimed or 0) if judged.is_ratio else -margin
        measured = repeated(judged, judged.estimate.mean, spread, margin)
        worst = repeated(judged, bound, spread, margin) if spread > 0 else measured
        rows.append(
            {
                "claim": each.claim,
                "judged": each.judged,
                "network": each.network,
                "dataset": each.dataset,
                "verdict": each.verdict,
                "n": judged.estimate.n,
                "spread": spread,
                "standard_error": spread / math.sqrt(judged.estimate.n),
                "unit": "log ratio" if judged.is_ratio else "percentage points",
                "holds": measured.holds,
                "undecided": 1 - measured.holds - measured.fails,
                "fails": measured.fails,
                "contradiction": measured.contradiction,
                "worst_contradiction": worst.contradiction,
            }
        )
    return pd.DataFrame(rows, columns=COLUMNS)


def _accuracy_of(finding: Finding, found: list[Finding]) -> Finding | None:
    same = ("judged", "network", "dataset", "scope")
    wanted = [getattr(finding, key) for key in same]
    return next(
        (each for each in found if each.is_ratio is False and [getattr(each, key) for key in same] == wanted), None
    )
