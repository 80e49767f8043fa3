"""Whether two makings of a study agree: each claim and each headline cell, with the interval of the difference."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from scipy import stats
from tabulate import tabulate

from snn2ann.errors import UserError
from snn2ann.files import read_json
from snn2ann.report.configurations import network_name
from snn2ann.report.statistics import CONFIDENCE, ENOUGH, t_value
from snn2ann.report.table import NOTHING, interval_text, number
from snn2ann.report.verdicts import FAILS, HOLDS

AGREES, DIFFERS, FEW = "agrees", "differs", "too few seeds to tell"
NOT_THERE = "in one of them alone"
# What a training step takes belongs to a machine; apart by more than this factor is said to differ.
MACHINE_FACTOR = 1.5
# A ratio is told to within this factor, an accuracy to within this many margins; where the interval of the difference is
# wider, there are too few seeds to tell.
RATIO_FACTOR, MARGINS = 1.25, 2.0
# Counted bytes are the same everywhere, up to what a library's version keeps.
EXACT = 0.01


@dataclass(frozen=True)
class Value:
    """One value of a claims.json on the scale on which differences are taken: points, or the logarithm of a ratio.

    Attributes:
        mean: of the seeds or rounds.
        error: its standard error.
        n: how many.
        verdict: on the claim; "" for a cell.
        text: as readers see it.
    """

    mean: float
    error: float
    n: int
    verdict: str
    text: str


@dataclass(frozen=True)
class Agreement:
    """One value in two makings of a study.

    Attributes:
        what: the claim or cell in words.
        here: as readers see it, with its verdict.
        there: likewise.
        difference: with its interval, in words.
        verdict: agrees, differs, too few seeds to tell, or in one of them alone.
    """

    what: str
    here: str
    there: str
    difference: str
    verdict: str


def compare_studies(here: Path, there: Path) -> list[Agreement]:
    """Compare what two makings of a study measured.

    Args:
        here: folder with a claims.json, results/<study> or a published one.
        there: likewise; differences are `here` minus `there`, ratios `here` over `there`.

    Raises:
        UserError: a claims.json is missing or holds no findings.
    """
    margin, first = _read(here)
    _, second = _read(there)
    shared = [key for key in first if key in second]
    compared = sum(min(first[key].n, second[key].n) >= ENOUGH for key in shared)
    confidence = 1 - (1 - CONFIDENCE) / max(compared, 1)
    rows = [_compare(key, first[key], second[key], confidence, margin) for key in shared]
    for found, other, place in ((first, second, 0), (second, first, 1)):
        for key in (key for key in found if key not in other):
            texts = [NOTHING, NOTHING]
            texts[place] = found[key].text
            rows.append(Agreement(_words(key), texts[0], texts[1], NOTHING, NOT_THERE))
    return rows


Key = tuple[str, str, str, str]


def _read(folder: Path) -> tuple[float, dict[Key, Value]]:
    """The margin, and every value by what is judged, claim or measure, data set and network."""
    path = folder / "claims.json"
    if not path.exists():
        raise UserError(f"{path}: missing; make the study first, or give the folder of a published one")
    content = read_json(path)
    try:
        found = {key: value for key, value in _values(content) if value is not None}
        return float(content["accuracy_margin"]), found
    except (KeyError, TypeError) as error:
        raise UserError(f"{path}: no findings that can be compared ({error!r}); make it again") from error


def _values(content: Mapping[str, Any]) -> Iterator[tuple[Key, Value | None]]:
    for row in content["findings"]:
        if row["scope"] == "network":
            key = (row["judged"], row["claim"], row["dataset"], row["network"])
            yield key, _value(row, row["unit"] == "ratio", 1.0, row["verdict"])
    for row in content["cells"]:
        shares = row["measure"] == "accuracy"
        yield (row["side"], row["measure"], row["dataset"], row["network"]), _value(row, not shares, 100.0, "")


def _value(row: Mapping[str, Any], ratio: bool, percent: float, verdict: str) -> Value | None:
    """None where nothing was measured; an interval without an end has an infinite error."""
    mean, low, high, count = (row[f"measured_{end}"] for end in ("mean", "low", "high", "n"))
    if mean is None or (ratio and mean <= 0):
        return None
    factor = 1.0 if ratio else (percent if "measure" in row else 1.0)
    digits = 0 if row.get("measure") == "spikes_per_image" else 3 if ratio else 2
    ends = [math.nan if each is None else each * factor for each in (mean, low, high)]
    if high is None and low is not None:  # JSON has no infinite numbers
        ends[2] = math.inf
    text = interval_text(ends[0], ends[1], ends[2], digits)
    if low is None or high is None or (ratio and low <= 0):
        error = math.inf
    else:
        places = [math.log(each) if ratio else each for each in ends[1:]]
        error = (places[1] - places[0]) / 2 / t_value(int(count))
    place = math.log(mean) if ratio else ends[0]
    return Value(place, error, int(count), verdict, f"{text}: {verdict}" if verdict else text)


def _compare(key: Key, first: Value, second: Value, confidence: float, margin: float) -> Agreement:
    is_points = key[1] in ("comparable accuracy", "accuracy")
    difference = first.mean - second.mean
    half = _half(first, second, confidence)
    words = _difference_words(difference, half, is_points)
    if {first.verdict, second.verdict} == {HOLDS, FAILS}:
        verdict = DIFFERS
    elif key[1] == "training time":
        verdict = AGREES if abs(difference) <= math.log(MACHINE_FACTOR) else DIFFERS
    elif min(first.n, second.n) < ENOUGH or math.isinf(half):
        verdict = FEW
    elif abs(difference) > half + (0 if is_points else math.log1p(EXACT)):
        verdict = DIFFERS
    else:
        wide = MARGINS * margin if is_points else math.log(RATIO_FACTOR)
        alike = first.verdict == second.verdict in (HOLDS, FAILS)
        verdict = AGREES if half <= wide or alike else FEW
    return Agreement(_words(key), first.text, second.text, words, verdict)


def _half(first: Value, second: Value, confidence: float) -> float:
    """Half of Welch's interval of the difference of two means."""
    squares = [value.error**2 for value in (first, second)]
    if any(math.isinf(each) or math.isnan(each) for each in squares):
        return math.inf
    if not sum(squares):
        return 0.0
    freedom = sum(squares) ** 2 / sum(
        each**2 / (value.n - 1) for each, value in zip(squares, (first, second), strict=True)
    )
    return float(stats.t.ppf(0.5 + confidence / 2, freedom)) * math.sqrt(sum(squares))


def _difference_words(difference: float, half: float, is_points: bool) -> str:
    ends = [difference, difference - half, difference + half]
    if is_points:
        shown = ends if math.isfinite(half) else [difference, math.nan, math.nan]
        return interval_text(shown[0], shown[1], shown[2], 2, sign=True) + " points"
    if not math.isfinite(half):
        return f"× {number(math.exp(difference), 3)}"
    mean, low, high = (math.exp(end) for end in ends)
    return f"× {interval_text(mean, low, high, 3)}"


def _words(key: Key) -> str:
    side, what, dataset, network = key
    names = {"accuracy": "accuracy (%)", "spikes_per_image": "spikes an image"}
    place = network_name(network) + (f" on {dataset}" if dataset else "")
    return f"{names.get(what, what)}, {side}, {place}"


def agreement_text(rows: list[Agreement]) -> str:
    """The comparison as a table for a terminal, and what it comes to."""
    header = ["", "here", "there", "difference", ""]
    cells = [[row.what, row.here, row.there, row.difference, row.verdict] for row in rows]
    return f"{tabulate(cells, header, tablefmt='simple', disable_numparse=True)}\n\n{summary(rows)}"


def summary(rows: list[Agreement]) -> str:
    """How many values agree, differ, or cannot be told."""
    count = [f"{sum(row.verdict == each for row in rows)} {each}" for each in (FEW, NOT_THERE)]
    told = [words for words in count if not words.startswith("0 ")]
    agreeing, differing = (sum(row.verdict == each for row in rows) for each in (AGREES, DIFFERS))
    return "; ".join([f"{agreeing} of {len(rows)} values agree, {differing} differ", *told])


def agreement_content(rows: list[Agreement], here: Path, there: Path) -> dict[str, Any]:
    """What agreement.json holds."""
    return {
        "here": str(here),
        "there": str(there),
        "differs": any(row.verdict == DIFFERS for row in rows),
        "summary": summary(rows),
        "reference_machines": machines_of(there),
        "values": [asdict(row) for row in rows],
    }


def machines_of(folder: Path) -> list[str]:
    """Processors on which a published study and its second making were made, with kernels where these are recorded."""
    paths = [path for path in (folder / "made-with.json", folder / "second" / "made-with.json") if path.exists()]
    made = [each for path in paths for each in read_json(path)["machine"]]
    words = [each.get("processor", "") + (f" ({each['kernels']})" if each.get("kernels") else "") for each in made]
    return list(dict.fromkeys(filter(None, words)))
