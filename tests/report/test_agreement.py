"""Do two makings of a study agree? Each value with the interval of the difference."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from snn2ann.errors import UserError
from snn2ann.report.agreement import AGREES, DIFFERS, FEW, NOT_THERE, Agreement, agreement_content, compare_studies
from snn2ann.report.statistics import Estimate, mean_interval
from snn2ann.report.table import estimate_columns


def row(claim: str, estimate: Estimate, verdict: str = "holds") -> dict[str, object]:
    unit = "percentage points" if claim == "comparable accuracy" else "ratio"
    columns = estimate_columns("measured", estimate)
    return {
        "judged": "released",
        "scope": "network",
        "claim": claim,
        "dataset": "digits",
        "network": "vgg-tiny",
        "unit": unit,
        "verdict": verdict,
        **{key: None if pd.isna(value) else value for key, value in columns.items()},
    }


def folder(root: Path, *rows: dict[str, object], machine: str = "") -> Path:
    root.mkdir()
    (root / "claims.json").write_text(json.dumps({"accuracy_margin": 1.0, "findings": rows, "cells": []}))
    if machine:
        (root / "made-with.json").write_text(json.dumps({"machine": [{"processor": machine, "kernels": "AVX2"}]}))
    return root


def one(tmp_path: Path, first: dict[str, object], second: dict[str, object]) -> Agreement:
    (found,) = compare_studies(folder(tmp_path / "a", first), folder(tmp_path / "b", second))
    return found


@pytest.mark.parametrize(
    ("claim", "first", "second", "verdict"),
    [
        ("comparable accuracy", Estimate(-0.4, -0.9, 0.1, 10), Estimate(-0.7, -1.2, -0.2, 10), AGREES),
        ("comparable accuracy", Estimate(-0.4, -0.9, 0.1, 10), Estimate(-3.0, -3.5, -2.5, 10), DIFFERS),
        ("comparable accuracy", Estimate(-0.4, float("nan"), float("nan"), 2), Estimate(-3.0, -3.5, -2.5, 10), FEW),
        ("spike activity", Estimate(0.60, 0.58, 0.62, 10), Estimate(0.61, 0.59, 0.63, 10), AGREES),
        ("spike activity", Estimate(0.60, 0.58, 0.62, 10), Estimate(0.70, 0.68, 0.72, 10), DIFFERS),
        # A machine's own time may differ by half, whatever its rounds say.
        ("training time", Estimate(0.20, 0.19, 0.21, 5), Estimate(0.29, 0.28, 0.30, 5), AGREES),
        ("training time", Estimate(0.20, 0.19, 0.21, 5), Estimate(0.31, 0.30, 0.32, 5), DIFFERS),
        ("GPU memory", Estimate(0.052, 0.052, 0.052, 5), Estimate(0.0522, 0.0522, 0.0522, 5), AGREES),
        ("GPU memory", Estimate(0.052, 0.052, 0.052, 5), Estimate(0.060, 0.060, 0.060, 5), DIFFERS),
    ],
)
def test_what_agrees_and_what_differs(
    tmp_path: Path, claim: str, first: Estimate, second: Estimate, verdict: str
) -> None:
    assert one(tmp_path, row(claim, first), row(claim, second)).verdict == verdict


def test_a_wide_difference_with_other_verdicts_can_not_be_told(tmp_path: Path) -> None:
    wide = Estimate(0.0, -4.0, 4.0, 3)
    verdict = one(tmp_path, row("comparable accuracy", wide, "undecided"), row("comparable accuracy", wide)).verdict
    assert verdict == FEW


def test_verdicts_that_contradict_each_other_differ(tmp_path: Path) -> None:
    first, second = Estimate(-0.5, -0.9, -0.1, 10), Estimate(-1.3, -1.5, -1.05, 10)
    found = one(tmp_path, row("comparable accuracy", first), row("comparable accuracy", second, "does not hold"))
    assert found.verdict == DIFFERS
    assert found.here == "−0.50 [−0.90, −0.10]: holds" and found.difference.startswith("+0.80 [")


def test_the_interval_is_welchs(tmp_path: Path) -> None:
    drawn = np.random.default_rng(0)
    first, second = drawn.normal(0, 1, 8), drawn.normal(0.2, 2, 12)
    found = one(
        tmp_path,
        row("comparable accuracy", mean_interval(first)),
        row("comparable accuracy", mean_interval(second)),
    )
    ends = stats.ttest_ind(first, second, equal_var=False).confidence_interval(0.95)
    assert f"[{ends.low:+.2f}, {ends.high:+.2f}]".replace("-", "−") in found.difference


def test_what_one_of_them_lacks_is_told_and_differs_not(tmp_path: Path) -> None:
    estimate = Estimate(0.6, 0.58, 0.62, 10)
    here = folder(tmp_path / "a", row("spike activity", estimate))
    there = folder(tmp_path / "b", row("training time", estimate), machine="A processor")
    found = compare_studies(here, there)
    assert {each.verdict for each in found} == {NOT_THERE}
    content = agreement_content(found, here, there)
    assert content["reference_machines"] == ["A processor (AVX2)"] and not content["differs"]


def test_the_command_says_it_by_its_exit_status(tmp_path: Path) -> None:
    same, other = Estimate(0.60, 0.58, 0.62, 10), Estimate(0.70, 0.68, 0.72, 10)
    here = folder(tmp_path / "a", row("spike activity", same))
    there = folder(tmp_path / "b", row("spike activity", other))
    command = [sys.executable, "-m", "snn2ann.cli", "agree", str(here)]
    assert subprocess.run([*command, str(here)], capture_output=True).returncode == 0
    done = subprocess.run([*command, str(there), "--json"], capture_output=True, text=True)
    assert done.returncode == 1 and json.loads(done.stdout)["values"][0]["verdict"] == DIFFERS
    with pytest.raises(UserError, match="missing; make the study first"):
        compare_studies(here, tmp_path / "c")
