import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from snn2ann.report.findings import Finding, fewest_time_steps
from snn2ann.report.judging import make_claims
from snn2ann.report.repeatability import repeated, spread_of
from snn2ann.report.statistics import EMPTY, Estimate, mean_interval, paired_ratio
from snn2ann.report.verdicts import count_words, difference_verdict, least_favourable, ratio_verdict

from .hand_made import ACCURACY, COST, measure_a_second_variant, write_hand_made

NAN = float("nan")


@pytest.mark.parametrize(
    ("estimate", "verdict", "why"),
    [
        (Estimate(0.30, 0.28, 0.32, 3), "holds", "at or below 0.33"),
        (Estimate(0.33, 0.33, 0.33, 3), "holds", "at or below 0.33"),
        (Estimate(0.33, NAN, NAN, 1), "undecided", "one value gives no interval"),
        (Estimate(0.20, NAN, NAN, 2), "undecided", "2 values give no interval"),
        (Estimate(0.32, 0.28, 0.37, 3), "undecided", "0.33 lies in the interval"),
        (Estimate(0.40, 0.35, 0.46, 3), "does not hold", "a saving, smaller than claimed"),
        (Estimate(0.90, 0.70, 1.20, 3), "does not hold", "more than claimed"),
        (Estimate(NAN, 1.0, math.inf, 3), "does not hold", "more than claimed"),
        (EMPTY, "not measurable here", "nothing measured"),
    ],
)
def test_verdict_on_a_ratio(estimate: Estimate, verdict: str, why: str) -> None:
    found = ratio_verdict(estimate, 0.33)
    assert found[0] == verdict and why in found[1]


@pytest.mark.parametrize(
    ("estimate", "verdict", "why"),
    [
        (Estimate(0.2, -0.9, 1.3, 3), "holds", "above −1.0 points"),
        (Estimate(12.89, -3.0, 28.8, 3), "undecided", "the margin of −1.0 points lies in the interval"),
        (Estimate(-0.5, NAN, NAN, 1), "undecided", "one value gives no interval"),
        (Estimate(-0.5, -1.2, 0.2, 3), "undecided", "lies in the interval"),
        (Estimate(-1.5, -2.0, -1.0, 3), "does not hold", "below −1.0 points"),
        (EMPTY, "not measurable here", "nothing measured"),
    ],
)
def test_verdict_on_accuracy(estimate: Estimate, verdict: str, why: str) -> None:
    found = difference_verdict(estimate, 1.0)
    assert found[0] == verdict and why in found[1]


@pytest.mark.parametrize(
    ("verdicts", "overall", "count"),
    [
        (["holds", "holds"], "holds", "2 of 2 networks hold"),
        (["holds", "does not hold"], "does not hold", "1 of 2 networks hold"),
        (["holds", "undecided"], "undecided", "1 of 2 networks hold"),
        (["undecided", "does not hold"], "does not hold", "0 of 2 networks hold"),
        (["holds", "not measurable here"], "holds", "1 of 1 network holds, 1 not measured"),
        (["not measurable here"], "not measurable here", ""),
        ([], "not measurable here", ""),
    ],
)
def test_overall_verdict_is_the_least_favourable_networks(verdicts: list[str], overall: str, count: str) -> None:
    assert (least_favourable(verdicts), count_words(verdicts)) == (overall, count)


def loss(mean: float, half: float = 0.2) -> Estimate:
    return Estimate(mean, mean - half, mean + half, 10)


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        # Shown from 3 on; at 2 the margin lies in the interval; 1 is ruled out.
        ({1: -9.0, 2: -1.1, 3: -0.5, 4: 0.0, 5: 0.0, 6: 0.0}, (3, 2, 3)),
        # What happens above the T of training does not count against it.
        ({1: -9.0, 2: -3.0, 3: -0.9, 4: 0.0, 5: 0.0, 6: -4.0}, (3, 3, 4)),
        # Too bad at the T of training, good enough above.
        ({1: -9.0, 2: -9.0, 3: -5.0, 4: -4.0, 5: -2.0, 6: -0.5}, (6, 6, 6)),
        ({1: -9.0, 2: -9.0, 3: -5.0, 4: -4.0, 5: -2.0, 6: -1.5}, (NAN, 7, math.inf)),
    ],
)
def test_fewest_time_steps_with_the_interval_of_the_tests(
    losses: dict[int, float], expected: tuple[float, ...]
) -> None:
    found = fewest_time_steps({steps: loss(mean) for steps, mean in losses.items()}, margin=1.0, trained=5)
    assert (found.mean, found.low, found.high) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("claim", ["comparable accuracy", "spike activity"])
@pytest.mark.parametrize("count", [3, 5, 10])
def test_two_machines_hardly_ever_contradict_each_other(claim: str, count: int) -> None:
    """At the margin, where it is worst, for any spread; beside the probabilities of the noncentral t distribution."""
    ratio = claim == "spike activity"
    finding = Finding(claim, "network", 0.33 if ratio else -1.0, Estimate(0, 0, 0, count), "", "")
    for truth, spread in ((0.33, 0.05), (0.3, 0.1)) if ratio else ((-1.0, 1.06), (-0.6, 0.5)):
        found = repeated(finding, truth, spread, margin=1.0)
        distance = (math.log(0.33) - math.log(truth)) if ratio else truth + 1.0
        far = distance / spread * math.sqrt(count)
        critical = stats.t.ppf(0.975, count - 1)
        assert found.holds == pytest.approx(stats.nct.sf(critical, count - 1, far), abs=0.012)
        assert found.fails == pytest.approx(stats.nct.sf(critical, count - 1, -far), abs=0.006)
        assert found.contradiction < 0.05


def test_the_spread_of_a_pair_is_taken_back_from_the_interval() -> None:
    values = pd.Series([0.1, -0.4, 0.9, 0.3])
    assert spread_of(mean_interval(values), ratio=False) == pytest.approx(values.std())
    other = pd.Series([1.0, 2.0, 4.0, 3.0])
    ratios = np.log(other / (values + 1))
    assert spread_of(paired_ratio(other, values + 1), ratio=True) == pytest.approx(ratios.std())


def findings(folder: Path) -> dict[tuple[str, str], dict[str, object]]:
    make_claims(folder)
    rows = json.loads((folder / "claims.json").read_text())["findings"]
    return {(row["claim"], row["scope"]): row for row in rows}


def test_every_claim_on_numbers_worked_out_by_hand(tmp_path: Path) -> None:
    found = findings(write_hand_made(tmp_path))
    expected = {
        "comparable accuracy": (-0.5, "holds"),
        "time steps": (4 / 8, "holds"),
        "training time": (8 / 24, "holds"),
        "GPU memory": (120 / 800, "holds"),
        "spike activity": (2000 / 8000, "holds"),
    }
    for claim, (value, verdict) in expected.items():
        for scope in ("overall", "network"):
            assert found[claim, scope]["measured_mean"] == pytest.approx(value), claim
            assert found[claim, scope]["verdict"] == verdict, claim
    equal = {"comparable accuracy": 1.5, "training time": 8 / 15, "GPU memory": 120 / 500, "spike activity": 0.4}
    for claim, value in equal.items():
        assert found[claim, "equal time steps"]["measured_mean"] == pytest.approx(value)
        assert found[claim, "equal time steps"]["verdict"] == "for information"
    assert "bytes saved for the backward pass" in str(found["GPU memory", "network"]["reason"])
    assert "(single seeds: T=4 in 3)" in str(found["time steps", "network"]["reason"])
    assert found["training time", "network"]["files"] == ["../measurements/training_cost-00000000.csv"]


def test_verdicts_come_first_in_the_text(tmp_path: Path) -> None:
    folder = write_hand_made(tmp_path)
    make_claims(folder)
    text = (folder / "claims.md").read_text()
    assert text.index("| 0.33× spike activity") < text.index("## ")
    row = next(line for line in text.splitlines() if line.startswith("| 0.33× spike activity"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[1:] == ["0.33", "0.250: **holds** (1 of 1 network holds)"]
    for suffix in ("csv", "md", "tex"):
        assert (folder / "tables" / f"claims.{suffix}").exists()


def test_the_cost_of_a_claim_is_that_of_the_headlines_variant(tmp_path: Path) -> None:
    folder = write_hand_made(tmp_path)
    before = findings(folder)["training time", "network"]
    measure_a_second_variant(tmp_path, seconds=0.5)
    assert findings(folder)["training time", "network"] == before
    path = folder / "study.json"
    study = json.loads(path.read_text())
    study["report"]["headline"]["variant"] = "refined"
    path.write_text(json.dumps(study))
    row = findings(folder)["training time", "network"]
    theirs = [float(COST["stbp", 8][0] * (1 + number)) for number in range(3)]
    assert row["measured_mean"] == pytest.approx(0.5 / math.prod(theirs) ** (1 / 3))
    study["report"]["headline"]["variant"] = "a third one"
    path.write_text(json.dumps(study))
    assert findings(folder)["training time", "network"]["verdict"] == "not measurable here"


def test_on_a_gpu_memory_is_the_allocators_peak(tmp_path: Path) -> None:
    folder = write_hand_made(tmp_path)
    path = tmp_path / "measurements" / "training_cost-00000000.csv"
    lines = path.read_text().splitlines()
    fast = [
        line.replace(",cpu,", ",cuda,").replace(",,here", f",{number + 1},here") for number, line in enumerate(lines)
    ]
    path.write_text("\n".join([lines[0], *fast[1:]]) + "\n")
    row = findings(folder)["GPU memory", "network"]
    ratios = [5 / 4, 9 / 8, 13 / 12]
    assert row["measured_mean"] == pytest.approx(math.prod(ratios) ** (1 / 3))
    assert row["verdict"] == "does not hold"
    assert "GPU allocator" in str(row["reason"])


def test_what_is_missing_can_not_be_judged(tmp_path: Path) -> None:
    gone = tuple(f"digits_vgg-small_stbp_T8_s{seed}-00000000" for seed in range(3))
    folder = write_hand_made(tmp_path, gone)
    (tmp_path / "measurements" / "training_cost-00000000.csv").unlink()
    found = findings(folder)
    for claim in ("comparable accuracy", "time steps", "training time", "GPU memory", "spike activity"):
        row = found[claim, "overall"]
        assert row["verdict"] == "not measurable here" and row["measured_mean"] is None
        assert "snakemake --cores all --config study=hand" in str(row["reason"])
    assert "**Incomplete.** 3 of 12 runs" in (folder / "claims.md").read_text()


def test_accuracy_that_is_never_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ACCURACY, ("snn2ann", 5), (0.5, 0.51, 0.52))
    row = findings(write_hand_made(tmp_path))["time steps", "network"]
    assert (row["verdict"], row["measured_mean"]) == ("does not hold", None)
    assert "never within 1.0 points" in str(row["reason"])
    verdicts = json.loads((tmp_path / "hand" / "claims.json").read_text())["verdicts"]
    assert verdicts[1]["judged"][0]["measured"] == "– (never within 1.0 points up to T=5)"


def test_second_writing_has_the_same_bytes(tmp_path: Path) -> None:
    folder = write_hand_made(tmp_path)
    make_claims(folder)
    files = [folder / "claims.md", folder / "claims.json", *sorted((folder / "tables").iterdir())]
    before = [file.read_bytes() for file in files]
    make_claims(folder)
    assert [file.read_bytes() for file in files] == before
