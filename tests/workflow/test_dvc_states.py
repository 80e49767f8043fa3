"""A project that goes from state to state under DVC: only what is missing is made, and nothing old is shown for new."""

import json
from pathlib import Path

import pytest

from tests.workflow.project import Project

CLEAN = "Data and pipelines are up to date."
SHOWN = "results/tiny/[cmr]*.*"


def change(project: Project) -> None:
    """One parameter changed, one method removed, one added."""
    kept = [
        {"method": "ann"},
        {"method": "stbp", "time_steps": 2, "options": {"threshold": 1.5}},
        {"method": "snn2ann", "variant": "released", "time_steps": 2, "mapping_unit": "stsu", "calibrate": True},
        {"method": "snn2ann", "variant": "refined", "time_steps": 2},
    ]
    project.edit("studies", "tiny", "runs", value=kept)


def assert_metrics_are_of_this_state(project: Project) -> None:
    """Results and metrics are those of the parameters' runs and of no other."""
    study = json.loads((project.folder / "results/tiny/study.json").read_text())
    rows = (project.folder / "results/tiny/results.csv").read_text().splitlines()[1:]
    assert {row.split(",")[-1] for row in rows} == {run["name"] for run in study["runs"]}
    listed = project.run("python", "-m", "snn2ann.cli", "check").split()
    assert sorted(run["name"] for run in study["runs"]) == sorted(listed)
    shown = json.loads(project.run("dvc", "metrics", "show", "--json"))[""]["data"]
    metrics = json.loads((project.folder / "results/tiny/metrics.json").read_text())
    assert shown == {"results/tiny/metrics.json": {"data": metrics}}
    assert project.planned() == {}


@pytest.mark.slow
@pytest.mark.parametrize(("link", "fresh"), [("copy", False), ("hardlink", True), ("symlink", True)])
def test_from_state_to_state(small: Project, tmp_path: Path, link: str, fresh: bool) -> None:
    project = small.clone(tmp_path / "p") if fresh else small.copy(tmp_path / "p")
    project.run("dvc", "config", "cache.type", link)
    if fresh:
        project.run("dvc", "pull")
    else:
        project.run("dvc", "checkout", "--relink")
    project.commit("Before")
    weights = next((project.folder / "results/runs").glob("*_ann_*/weights.safetensors"))
    assert weights.is_symlink() == (link == "symlink")
    assert (weights.stat().st_nlink > 1) == (link == "hardlink")
    before = project.contents(SHOWN)
    assert len(before) == 4

    change(project)
    printed = project.run("dvc", "repro")
    # Measured is the speed of inference, since the study has other methods.
    assert [printed.count(f": {job} ") for job in ("Making", "Measuring")] == [2, 1]
    assert_metrics_are_of_this_state(project)
    after = project.contents(SHOWN)
    assert after.keys() == before.keys()
    assert after["results/tiny/results.csv"] != before["results/tiny/results.csv"]
    project.commit("After")

    project.run("git", "checkout", "--quiet", "HEAD~", "--", "params.yaml")
    printed = project.run("dvc", "repro")
    assert [printed.count(f": {job} ") for job in ("Making", "Measuring")] == [0, 0]
    assert project.contents(SHOWN) == before

    project.run("git", "checkout", "--quiet", "--force", "HEAD")
    project.run("dvc", "checkout", "--force")
    assert project.contents(SHOWN) == after
    assert project.run("dvc", "status").strip() == CLEAN
    assert_metrics_are_of_this_state(project)
