"""When a claim holds: rules in one place, so that every claim is judged alike."""

import math

from snn2ann.report.statistics import Estimate

HOLDS = "holds"
IN_PART = "holds in part"
FAILS = "does not hold"
UNKNOWN = "not measurable here"
NOT_CLAIMED = "for information"

RULES = """\
- A **ratio** (time steps, training time, memory, spikes) *holds* when its whole 95 % interval is at or below the
  claimed value (the value itself where there is only one); *holds in part* when the ratio is below 1, a saving, but
  that is not shown; *does not hold* at 1 or above.
- **Comparable accuracy** *holds* when the low end of the interval of the difference is above minus the margin (the
  difference itself where there is one seed only); *holds in part* when only the mean difference is above it; else it
  *does not hold*.
- **Overall**, networks that agree give their verdict; where they differ, the claim *holds in part*. The measured value
  is that of the least favourable network.
- *Not measurable here*: no run or measurement of this study gives the number.
"""


def ratio_verdict(estimate: Estimate, claimed: float) -> tuple[str, str]:
    """Verdict on a ratio that should be at most `claimed`, with what decided it in words."""
    if math.isnan(estimate.mean):
        return UNKNOWN, "nothing measured"
    if estimate.mean >= 1:
        return FAILS, "no saving: the ratio is not below 1"
    if estimate.mean > claimed:
        reach = _reaches(estimate.low <= claimed, "the interval reaches down to the claimed value")
        reach += _reaches(estimate.high >= 1, "the interval also holds ratios of 1 and above")
        return IN_PART, f"a saving, smaller than claimed{reach}"
    if estimate.high > claimed:
        return (
            IN_PART,
            "the mean reaches the claimed value, but the interval also holds larger ratios",
        )
    return HOLDS, "at or below the claimed value" + _single(estimate)


def difference_verdict(estimate: Estimate, margin: float) -> tuple[str, str]:
    """Verdict on a difference of accuracy (points) that should be above `-margin`, with what decided it in words."""
    if math.isnan(estimate.mean):
        return UNKNOWN, "nothing measured"
    if estimate.mean <= -margin:
        return FAILS, f"more than {margin:.1f} points below"
    if estimate.low <= -margin:
        return (
            IN_PART,
            f"the mean is within {margin:.1f} points, but the interval also holds larger losses",
        )
    return HOLDS, f"not more than {margin:.1f} points below" + _single(estimate)


def overall_verdict(verdicts: list[str]) -> str:
    """One verdict from those of the networks; networks that could not be measured don't count unless all are such."""
    known = {verdict for verdict in verdicts if verdict != UNKNOWN}
    if not known:
        return UNKNOWN
    return known.pop() if len(known) == 1 else IN_PART


def _reaches(condition: bool, words: str) -> str:
    return f"; {words}" if condition else ""


def _single(estimate: Estimate) -> str:
    return "" if estimate.has_interval else " (one value, no interval)"
