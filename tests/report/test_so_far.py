"""A study under way: what is there is reported, what is missing is said, and the study's own folder stays as it is."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from snn2ann.report.figures import FIGURES
from snn2ann.report.registry import listed
from snn2ann.report.results import read_study
from snn2ann.report.so_far import report_on
from snn2ann.report.tables import TABLES

from .synthetic import METHODS, write_study


@pytest.fixture
def half(tmp_path: Path) -> Path:
    """Two of four runs evaluated, one trained only, one not begun; no measurement."""
    study = write_study(tmp_path, [METHODS[2], METHODS[4]], ("vgg-small",), (0, 1), cost=False)
    runs = runs_of(study)
    (runs["stbp1"] / "evaluation-e0e0e0e0.json").unlink()
    shutil.rmtree(runs["snn2ann0"])
    return study


def runs_of(study: Path) -> dict[str, Path]:
    runs = json.loads((study / "study.json").read_text())["runs"]
    return {run["method"] + str(run["seed"]): study.parent / "runs" / run["name"] for run in runs}


def test_what_is_there_is_reported_and_what_is_missing_is_said(half: Path) -> None:
    before = sorted(half.rglob("*"))
    made = report_on(half, read_study(half))
    index, printed = made.index, made.text
    assert not made.finished
    missing = [runs_of(half)[key].name for key in ("stbp1", "snn2ann0")]
    text = index.read_text()
    for name in missing:
        assert f"{name}: not evaluated yet" in printed and f"{name}: not evaluated yet" in text
    assert f"2 runs missing; what there is: {index}" in printed
    for folder, names in (("tables", TABLES), ("figures", FIGURES)):
        for name in listed(names, {}):
            assert f'href="{folder}/{name}.html"' in text and (index.parent / folder / f"{name}.html").exists()
    table = pd.read_csv(index.parent / "tables" / "classification.csv")
    own = table[table["origin"] == "this study"]
    assert own["status"].tolist() == ["partly run"] * 3
    assert "2 of 4 runs have no results" in (index.parent / "claims.md").read_text()
    # Snakemake would take files of the study's own folder for finished ones.
    assert sorted(half.rglob("*")) == before


def test_a_wrong_file_is_named_and_the_rest_is_made(half: Path) -> None:
    wrong = runs_of(half)["stbp0"] / "history.csv"
    wrong.write_text("nonsense")
    command = [sys.executable, "-m", "snn2ann.cli", "report", str(half), "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert str(wrong) in done.stderr and "Traceback" not in done.stderr
    told = json.loads(done.stdout)
    index = half.parent / f"{half.name}-so-far" / "index.html"
    assert told["index"] == str(index) and not told["finished"] and len(told["missing"]) == 2 and told["verdicts"]
    assert len(told["problems"]) == 1 and str(wrong) in told["problems"][0]
    assert str(wrong) in index.read_text()
    assert (index.parent / "tables" / "classification.html").exists()
