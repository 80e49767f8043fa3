"""What a study measured for each claim of the abstract; nothing here formats or writes."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any

import pandas as pd

from snn2ann.report.configurations import method_name, network_name
from snn2ann.report.measured_cost import Cost, costs, find_cost, memory_measure
from snn2ann.report.selection import Comparison, comparison, find_cell
from snn2ann.report.statistics import (
    EMPTY,
    ENOUGH,
    Estimate,
    mean_interval,
    paired_difference,
    paired_ratio,
)
from snn2ann.report.study_data import Cell, StudyData
from snn2ann.report.table import number
from snn2ann.report.verdicts import (
    NOT_CLAIMED,
    UNKNOWN,
    count_words,
    difference_verdict,
    least_favourable,
    ratio_verdict,
)


@dataclass(frozen=True)
class Finding:
    """A claim on one network, overall, or at equal time steps (`scope`).

    `reason` says what was measured and `why` what decided the verdict; where there is a verdict, the two are joined.
    `judged` is the variant that was judged, `nothing` says in few words why there is no value, `count` how many networks
    hold.
    """

    claim: str
    scope: str
    claimed: float | None
    estimate: Estimate
    verdict: str
    reason: str
    why: str = ""
    compared: str = ""
    dataset: str = ""
    network: str = ""
    files: tuple[str, ...] = ()
    judged: str = ""
    nothing: str = "not measured"
    count: str = ""

    @property
    def is_ratio(self) -> bool:
        """Whether the value is a ratio; otherwise a difference in percentage points."""
        return self.claim != "comparable accuracy"


CLAIMED = {
    "time steps": 0.625,
    "training time": 0.377,
    "GPU memory": 0.27,
    "spike activity": 0.33,
}
MEMORY_WORDS = {
    "saved_bytes": "bytes saved for the backward pass, which stand for GPU memory as the device is no GPU",
    "peak_bytes": "peak of the GPU allocator",
}
Values = Mapping[str, Any]


def findings(study: StudyData) -> list[Finding]:
    """What was found of each variant that is judged, the headline's first; see `findings_of`."""
    sides = comparison(study)
    return [
        each
        for one in sorted(sides.every(), key=lambda one: one.headline != sides.headline)
        for each in findings_of(study, one)
    ]


def findings_of(study: StudyData, sides: Comparison) -> list[Finding]:
    """Every claim in the order of the abstract: overall, then each network, then at equal time steps."""
    measured: list[Finding] = []
    for claim, measure in _MEASURES.items():
        rows = measure(study, sides)
        own = [row for row in rows if row.scope == "network"]
        measured += [_overall(sides, claim, own), *rows]
    return [replace(each, judged=sides.judged) for each in measured]


def _overall(sides: Comparison, claim: str, rows: list[Finding]) -> Finding:
    """The least favourable network's finding; of networks with the same verdict, that with the least favourable value."""
    known = [row for row in rows if row.verdict != UNKNOWN]
    claimed = rows[0].claimed if rows else CLAIMED.get(claim, -sides.margin)
    if not known:
        reason = rows[0].reason if rows else "the study has no runs or measurements for it"
        nothing = rows[0].nothing if rows else "not measured"
        return Finding(claim, "overall", claimed, EMPTY, UNKNOWN, reason, nothing=nothing)
    verdicts = [row.verdict for row in rows]
    verdict = least_favourable(verdicts)
    worst = min((row for row in known if row.verdict == verdict), key=_favour)
    each = "; ".join(f"{place_words(row)}: {row.verdict}" for row in rows)
    least = f" (value of {place_words(worst)}, the least favourable)" if len(known) > 1 else ""
    return replace(worst, scope="overall", reason=f"{each}{least}", dataset="", network="", count=count_words(verdicts))


def _favour(row: Finding) -> float:
    """How favourable a value is; least where there is none."""
    if math.isnan(row.estimate.mean):
        return -math.inf
    return -row.estimate.mean if row.is_ratio else row.estimate.mean


def place_words(row: Finding) -> str:
    """Network and, where it has one, data set of a finding."""
    return network_name(row.network) + (f" on {row.dataset}" if row.dataset else "")


def side_words(wanted: Values) -> str:
    """A side of a comparison in words: method and training T."""
    return f"{method_name(wanted['method'])} T={wanted['training_time_steps']}"


def _compared(sides: Comparison, other: Values, sign: str = "/") -> str:
    return f"{side_words(sides.headline)} {sign} {side_words(other)}"


def _not_there(study: StudyData, cell: Cell | None, wanted: Values) -> str:
    if cell is None:
        return f"the study has no runs of {side_words(wanted)}"
    return f"{side_words(wanted)} not run: `{study.command}`"


@dataclass(frozen=True)
class _Pair:
    """Values of both sides over seeds for one place; `absent` says what is missing, if anything."""

    ours: pd.Series
    theirs: pd.Series
    absent: str


def _pair(study: StudyData, place: tuple[str, str], measure: str, sides: Comparison, other: Values) -> _Pair:
    series = []
    absent = []
    for wanted in (sides.headline, other):
        cell = find_cell(study, place, wanted)
        values = study.values(cell, measure) if cell else pd.Series(dtype=float)
        if values.empty:
            absent.append(_not_there(study, cell, wanted))
        series.append(values)
    if not absent and not set(series[0].index) & set(series[1].index):
        absent.append("no seed has runs of both sides")
    return _Pair(series[0], series[1], "; ".join(absent))


def _pairings(sides: Comparison) -> list[tuple[str, Values]]:
    pairs: list[tuple[str, Values]] = [("network", sides.reference)]
    equal = sides.equal_time_steps()
    return pairs + ([("equal time steps", equal)] if equal != dict(sides.reference) else [])


def _from_seeds(
    study: StudyData, sides: Comparison, claim: str, measure: str, judge: Callable[[_Pair], Finding]
) -> list[Finding]:
    rows = []
    for scope, other in _pairings(sides):
        for dataset, network in study.places:
            pair = _pair(study, (dataset, network), measure, sides, other)
            finding = judge(pair)
            sign = "/" if finding.is_ratio else "−"
            rows.append(
                replace(
                    _settled(finding, scope),
                    claim=claim,
                    compared=_compared(sides, other, sign),
                    dataset=dataset,
                    network=network,
                    files=("results.csv",),
                    nothing="not run",
                )
            )
    return rows


def _settled(finding: Finding, scope: str) -> Finding:
    """The finding in its scope: only the paper's pairing has a verdict, and words on what decided it."""
    if finding.verdict == UNKNOWN:
        return replace(finding, scope=scope)
    if scope != "network":
        return replace(finding, scope=scope, verdict=NOT_CLAIMED)
    return replace(finding, scope=scope, reason=f"{finding.reason}; {finding.why}")


def _spikes(study: StudyData, sides: Comparison) -> list[Finding]:
    def judge(pair: _Pair) -> Finding:
        estimate = paired_ratio(pair.ours, pair.theirs)
        verdict, why = ratio_verdict(estimate, claimed)
        ours, theirs = (number(float(each.mean()), 0) for each in (pair.ours, pair.theirs))
        reason = pair.absent or f"{ours} against {theirs} spikes an image"
        return Finding("spike activity", "", claimed, estimate, verdict, reason, why)

    claimed = CLAIMED["spike activity"]
    return _from_seeds(study, sides, "spike activity", "spikes_per_image", judge)


def _accuracy(study: StudyData, sides: Comparison) -> list[Finding]:
    margin = sides.margin

    def judge(pair: _Pair) -> Finding:
        estimate = paired_difference(pair.ours * 100, pair.theirs * 100)
        verdict, why = difference_verdict(estimate, margin)
        ours, theirs = (number(float(each.mean()) * 100, 2) for each in (pair.ours, pair.theirs))
        reason = pair.absent or f"{ours} % against {theirs} %"
        return Finding("comparable accuracy", "", -margin, estimate, verdict, reason, why)

    return _from_seeds(study, sides, "comparable accuracy", "accuracy", judge)


def _time_steps(study: StudyData, sides: Comparison) -> list[Finding]:
    rows = []
    for dataset, network in study.places:
        finding = _time_steps_at(study, (dataset, network), sides)
        compared = _compared(sides, sides.reference)
        files = ("results.csv",)
        rows.append(replace(finding, files=files, dataset=dataset, network=network, compared=compared))
    return rows


def _time_steps_at(study: StudyData, place: tuple[str, str], sides: Comparison) -> Finding:
    """The fewest time steps at which the headline's accuracy is within the margin of the reference's."""
    claimed, against = CLAIMED["time steps"], int(sides.reference["training_time_steps"])
    pair = _pair(study, place, "accuracy", sides, sides.reference)
    cell = find_cell(study, place, sides.headline)
    if pair.absent or cell is None:
        return Finding("time steps", "network", claimed, EMPTY, UNKNOWN, pair.absent, nothing="not run")
    curves = {steps: study.values(replace(cell, time_steps=steps), "accuracy") for steps in study.evaluated_time_steps}
    losses = {steps: paired_difference(curve * 100, pair.theirs * 100) for steps, curve in curves.items()}
    losses = {steps: loss for steps, loss in losses.items() if loss.n}
    trained = int(sides.headline["training_time_steps"])
    fewest = fewest_time_steps(losses, sides.margin, trained)
    estimate = fewest.scaled(1 / against)
    verdict, why = ratio_verdict(estimate, claimed)
    seeds = [_first_within(curves, pair.theirs, seed, sides.margin) for seed in pair.theirs.index]
    each = ", ".join(f"{words} in {seeds.count(words)}" for words in dict.fromkeys(sorted(seeds)))
    never = f"never within {sides.margin:.1f} points up to T={max(losses)}"
    first = never if math.isnan(fewest.mean) else f"within {sides.margin:.1f} points from T={fewest.mean:g} on average"
    reason = f"{first} (single seeds: {each}); {why}; trained at {trained} against {against} by the paper's pairing"
    return Finding("time steps", "network", claimed, estimate, verdict, reason, nothing=never)


def fewest_time_steps(losses: Mapping[int, Estimate], margin: float, trained: int) -> Estimate:
    """The fewest time steps at which accuracy is within the margin, with an interval made of tests at each T.

    Args:
        losses: difference of accuracy from the reference (points) at each T of the evaluation.
        margin: in points.
        trained: T of training, at which the tests begin; they go down for as long as they succeed, so that together they
            err no more often than one of them.

    Returns:
        The least T, down from that of training, whose means are all within the margin; or the first above it, or NaN. Its
        interval ends above at the least T that is shown to be within the margin (infinite where none is), and below at the
        least that is not shown to be outside it.
    """
    count = losses[trained].n if trained in losses else 0
    down = [steps for steps in sorted(losses, reverse=True) if steps <= trained]
    above = [steps for steps in sorted(losses) if steps > trained]

    def reached(within: Callable[[Estimate], bool]) -> float:
        chain = list(takewhile(lambda steps: within(losses[steps]), down))
        return float(chain[-1] if chain else next((steps for steps in above if within(losses[steps])), math.nan))

    mean = reached(lambda loss: loss.mean > -margin)
    shown = reached(lambda loss: loss.low > -margin)
    open_still = [steps for steps, loss in losses.items() if not loss.high <= -margin]
    low = float(min(open_still, default=max(losses, default=0) + 1))
    if count < ENOUGH:
        return Estimate(mean, math.nan, math.nan, count)
    return Estimate(mean, low, math.inf if math.isnan(shown) else shown, count)


def _first_within(curves: Mapping[int, pd.Series], theirs: pd.Series, seed: Any, margin: float) -> str:
    enough = [
        steps for steps, curve in curves.items() if seed in curve.index and (theirs[seed] - curve[seed]) * 100 <= margin
    ]
    return f"T={enough[0]}" if enough else "never"


def _training_time(study: StudyData, sides: Comparison) -> list[Finding]:
    def judge(ours: Cost, theirs: Cost) -> Finding:
        estimate = paired_ratio(ours.series("seconds"), theirs.series("seconds"))
        verdict, why = ratio_verdict(estimate, CLAIMED["training time"])
        medians = (number(float(each.series("seconds").median()), 3) for each in (ours, theirs))
        count = ((ours.time_steps or 0) + 3) / (3 * (theirs.time_steps or 1))
        reason = "{} s against {} s a step; counting a backward as two forwards predicts ".format(*medians)
        reason += f"(T + 3)/(3 T) = {count:.2f}; device: {ours.device}"
        return Finding("training time", "", None, estimate, verdict, reason, why)

    return _from_cost(study, sides, "training time", judge)


def _memory(study: StudyData, sides: Comparison) -> list[Finding]:
    def judge(ours: Cost, theirs: Cost) -> Finding:
        measure = memory_measure(ours, theirs)
        estimate = paired_ratio(ours.series(measure), theirs.series(measure))
        verdict, why = ratio_verdict(estimate, CLAIMED["GPU memory"])
        amounts = (number(float(mean_interval(each.series(measure)).mean) / 2**20, 0) for each in (ours, theirs))
        reason = "{} MiB against {} MiB ".format(*amounts) + f"({MEMORY_WORDS[measure]})"
        return Finding("GPU memory", "", None, estimate, verdict, reason, why)

    return _from_cost(study, sides, "GPU memory", judge)


def _from_cost(
    study: StudyData, sides: Comparison, claim: str, judge: Callable[[Cost, Cost], Finding]
) -> list[Finding]:
    if study.cost is None:
        named = study.content.get("training_cost")
        reason = f"not measured: `{study.command}`" if named else "the study names no measurement of a training step"
        return [Finding(claim, "network", CLAIMED[claim], EMPTY, UNKNOWN, reason)]
    measured = costs(study.cost)
    file = f"../measurements/{study.content['training_cost']}"
    rows = []
    for scope, other in _pairings(sides):
        for network in dict.fromkeys(cost.network for cost in measured):
            ours, theirs = (find_cost(measured, network, wanted) for wanted in (sides.headline, other))
            if ours is None or theirs is None:
                reason = f"{_compared(sides, other)} was not measured on this network"
                finding = Finding(claim, scope, None, EMPTY, UNKNOWN, reason)
            else:
                finding = judge(ours, theirs)
            rows.append(
                replace(
                    _settled(finding, scope),
                    claimed=CLAIMED[claim],
                    compared=_compared(sides, other),
                    network=network,
                    files=(file,),
                )
            )
    return rows


_MEASURES: dict[str, Callable[[StudyData, Comparison], list[Finding]]] = {
    "comparable accuracy": _accuracy,
    "time steps": _time_steps,
    "training time": _training_time,
    "GPU memory": _memory,
    "spike activity": _spikes,
}
