"""Experiments of DVC: in place, in a temporary folder, queued."""

import json
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from tests.workflow.project import Project


def shown(project: Project) -> dict[str, dict[str, Any]]:
    """What `dvc exp show` holds of each experiment, by its name; "workspace" is the folder itself."""
    rows = json.loads(project.run("dvc", "exp", "show", "--json"))
    found = {row["rev"]: row["data"] for row in rows if row["rev"] == "workspace"}
    for row in rows:
        for experiment in row.get("experiments") or ():
            found[experiment["name"]] = experiment["revs"][-1]["data"]
    return found


def tracked_digest(project: Project) -> str:
    """Digest of the study that the project's own MLflow store was last told of."""
    with sqlite3.connect(project.folder / "mlflow.db") as store:
        ((digest,),) = store.execute("select value from tags where key = 'study_digest'").fetchall()
    return str(digest)


@pytest.mark.slow
def test_experiment_in_place_and_what_differs(small: Project, tmp_path: Path) -> None:
    project = small.copy(tmp_path / "p")
    printed = project.run("dvc", "exp", "run", "--name", "wide", "-S", "calibration.target=0.5")
    # What is calibrated; the weights are there.
    assert printed.count(": Making ") == 2
    changed = json.loads(project.run("dvc", "params", "diff", "--json"))["params.yaml"]
    assert changed == {"calibration.target": {"old": 0.02, "new": 0.5, "diff": 0.48}}
    wide = shown(project)["wide"]
    assert wide["params"]["params.yaml"]["data"]["calibration"]["target"] == 0.5
    metrics = json.loads((project.folder / "results/tiny/metrics.json").read_text())
    assert wide["metrics"]["results/tiny/metrics.json"]["data"] == metrics
    project.edit("report", "accuracy_margin", value=100.0)
    project.edit("report", "headline", "ata", value="training+calibration")
    project.run("dvc", "repro")
    difference = json.loads(project.run("dvc", "metrics", "diff", "--all", "--json"))
    assert "accuracy.headline.digits vgg-tiny" in difference["results/tiny/metrics.json"]
    page = project.run("dvc", "plots", "diff", "HEAD").strip().splitlines()[-1].removeprefix("file://")
    text = Path(page).read_text()
    assert '"rev": "workspace"' in text
    assert '"rev": "HEAD"' in text
    assert "Spike-based BP" in text


@pytest.mark.slow
def test_experiments_in_folders_of_their_own(small: Project, tmp_path: Path) -> None:
    project = small.copy(tmp_path / "p")
    here = project.contents("results/tiny/*.*")
    project.run("dvc", "exp", "run", "--queue", "--name", "queued", "-S", "calibration.target=0.5")
    # The code of an experiment is that of when it was queued.
    broken = project.folder / "src/snn2ann/evaluation/calibrate.py"
    code = broken.read_text()
    broken.write_text("raise RuntimeError('the code of the project itself')\n")
    project.run("dvc", "queue", "start")
    end = time.monotonic() + 600
    while "Running" in (status := project.run("dvc", "queue", "status")) or "Queued" in status:
        assert time.monotonic() < end, status
        time.sleep(2)
    assert "Success" in status, project.run("dvc", "queue", "logs", "queued")
    queued = tracked_digest(project)
    broken.write_text(code)
    project.run("dvc", "exp", "run", "--temp", "--name", "temporary", "-S", "report.accuracy_margin=100")
    found = shown(project)
    measures = {name: found[name]["metrics"]["results/tiny/metrics.json"]["data"] for name in ("queued", "temporary")}
    # One seed gives no interval, whatever the margin.
    assert measures["temporary"]["verdict"]["comparable accuracy"] == "undecided"
    assert found["temporary"]["params"]["params.yaml"]["data"]["report"]["accuracy_margin"] == 100
    assert found["temporary"]["params"]["params.yaml"]["data"]["calibration"]["target"] == 0.02
    assert found["queued"]["params"]["params.yaml"]["data"]["calibration"]["target"] == 0.5
    # Both told the project's own store, and neither touched the project's files.
    before = json.loads(here["results/tiny/study.json"])["digest"]
    assert len({before, queued, tracked_digest(project)}) == 3
    assert project.contents("results/tiny/*.*") == here
