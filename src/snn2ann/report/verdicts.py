"""When a claim holds: rules in one place, so that every claim is judged alike.

Two one-sided tests at the claimed value or margin, each at `ERROR`: one can show that the claim holds, the other that it
does not. Where neither does, the value lies in the interval and the verdict says so.
"""

from collections.abc import Sequence

from snn2ann.report.statistics import CONFIDENCE, Estimate

HOLDS = "holds"
FAILS = "does not hold"
UNDECIDED = "undecided"
UNKNOWN = "not measurable here"
NOT_CLAIMED = "for information"
# The same of what nobody claims, but is wanted.
MISSED_OR_MET = {HOLDS: "met", FAILS: "missed"}

# Of calling a claim that is just not true "holds", and likewise of calling one that is just true "does not hold".
ERROR = (1 - CONFIDENCE) / 2

RULES = f"""\
- A **ratio** (time steps, training time, memory, spikes) *holds* when its whole 95 % interval is at or below the claimed
  value, and *does not hold* when the whole interval is above it.
- **Comparable accuracy** *holds* when the whole interval of the difference is above minus the margin, and *does not hold*
  when the whole interval is below it.
- *Undecided*: the claimed value or the margin lies in the interval, or there are too few values for an interval.
- These are two one-sided tests at the same value. Each errs with {ERROR:.1%} at most: a claim that just misses is said to
  hold no more often than that, and one that is just true is said not to hold no more often. Of two repetitions, one says
  "holds" and the other "does not hold" in {2 * ERROR * ERROR:.2%} at most, where the truth lies at the margin.
- **Time steps**: from the T of training downwards, each T is tested on accuracy; the ratio's interval ends above at the
  least T that is shown to be within the margin together with all T above it, and below at the least that is not ruled out.
- **Overall** is the verdict of the least favourable network, with how many networks hold beside it.
- *Not measurable here*: no run or measurement of this study gives the number.
"""


def ratio_verdict(estimate: Estimate, claimed: float) -> tuple[str, str]:
    """Verdict on a ratio that should be at most `claimed`, with what decided it in words."""
    if not estimate.n:
        return UNKNOWN, "nothing measured"
    if not estimate.has_interval:
        return UNDECIDED, few_words(estimate.n)
    saving = "a saving, smaller than claimed" if estimate.high < 1 else "more than claimed"
    if estimate.high <= claimed:
        return HOLDS, f"the interval is at or below {claimed:g}"
    if estimate.low > claimed:
        return FAILS, f"the interval is above {claimed:g}: {saving}"
    return UNDECIDED, f"{claimed:g} lies in the interval"


def difference_verdict(estimate: Estimate, margin: float) -> tuple[str, str]:
    """Verdict on a difference of accuracy (points) that should be above `-margin`, with what decided it in words."""
    if not estimate.n:
        return UNKNOWN, "nothing measured"
    if not estimate.has_interval:
        return UNDECIDED, few_words(estimate.n)
    if estimate.low > -margin:
        return HOLDS, f"the interval is above −{margin:.1f} points"
    if estimate.high <= -margin:
        return FAILS, f"the interval is below −{margin:.1f} points"
    return UNDECIDED, f"the margin of −{margin:.1f} points lies in the interval"


def few_words(count: int) -> str:
    """Why there is no interval."""
    return "one value gives no interval" if count == 1 else f"{count} values give no interval"


def least_favourable(verdicts: Sequence[str]) -> str:
    """One verdict from those of the networks; networks that could not be measured count only where all are such."""
    return next((each for each in (FAILS, UNDECIDED, HOLDS) if each in verdicts), UNKNOWN)


def count_words(verdicts: Sequence[str]) -> str:
    """How many networks hold, and how many were not measured."""
    known = [each for each in verdicts if each != UNKNOWN]
    if not known:
        return ""
    missing = len(verdicts) - len(known)
    held = f"{known.count(HOLDS)} of {len(known)} network{'s' * (len(known) > 1)} hold{'s' * (len(known) == 1)}"
    return held + (f", {missing} not measured" if missing else "")
