import json
import math
from pathlib import Path

import pytest

from snn2ann.report.judging import make_claims
from snn2ann.report.statistics import EMPTY, Estimate
from snn2ann.report.verdicts import difference_verdict, overall_verdict, ratio_verdict

from .hand_made import ACCURACY, COST, measure_a_second_variant, write_hand_made

NAN = float("nan")


@pytest.mark.parametrize(
    ("estimate", "verdict"),
    [
        (Estimate(0.30, 0.28, 0.32, 3), "holds"),
        (Estimate(0.33, 0.33, 0.33, 3), "holds"),
        (Estimate(0.33, NAN, NAN, 1), "holds"),
        (Estimate(0.32, 0.28, 0.37, 3), "holds in part"),
        (Estimate(0.40, 0.35, 0.46, 3), "holds in part"),
        (Estimate(0.90, 0.70, 1.20, 3), "holds in part"),
        (Estimate(1.00, 0.90, 1.10, 3), "does not hold"),
        (EMPTY, "not measurable here"),
    ],
)
def test_verdict_on_a_ratio(estimate: Estimate, verdict: str) -> None:
    assert ratio_verdict(estimate, 0.33)[0] == verdict


@pytest.mark.parametrize(
    ("estimate", "verdict"),
    [
        (Estimate(0.2, -0.9, 1.3, 3), "holds"),
        (Estimate(-0.5, NAN, NAN, 1), "holds"),
        (Estimate(-0.5, -1.2, 0.2, 3), "holds in part"),
        (Estimate(-1.5, -2.0, -1.0, 3), "does not hold"),
        (EMPTY, "not measurable here"),
    ],
)
def test_verdict_on_accuracy(estimate: Estimate, verdict: str) -> None:
    assert difference_verdict(estimate, 1.0)[0] == verdict


@pytest.mark.parametrize(
    ("verdicts", "overall"),
    [
        (["holds", "holds"], "holds"),
        (["holds", "does not hold"], "holds in part"),
        (["does not hold", "does not hold"], "does not hold"),
        (["holds", "not measurable here"], "holds"),
        (["not measurable here"], "not measurable here"),
        ([], "not measurable here"),
    ],
)
def test_overall_verdict(verdicts: list[str], overall: str) -> None:
    assert overall_verdict(verdicts) == overall


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
    assert "(each seed: T=4, T=4, T=4)" in str(found["time steps", "network"]["reason"])
    assert found["training time", "network"]["files"] == ["../measurements/training_cost-00000000.csv"]


def test_verdicts_come_first_in_the_text(tmp_path: Path) -> None:
    folder = write_hand_made(tmp_path)
    make_claims(folder)
    text = (folder / "claims.md").read_text()
    assert text.index("| 0.33× spike activity") < text.index("## ")
    row = next(line for line in text.splitlines() if line.startswith("| 0.33× spike activity"))
    assert [cell.strip() for cell in row.strip("|").split("|")][1:] == ["0.33", "0.250", "**holds**"]
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


def test_second_writing_has_the_same_bytes(tmp_path: Path) -> None:
    folder = write_hand_made(tmp_path)
    make_claims(folder)
    files = [folder / "claims.md", folder / "claims.json", *sorted((folder / "tables").iterdir())]
    before = [file.read_bytes() for file in files]
    make_claims(folder)
    assert [file.read_bytes() for file in files] == before
