"""DVC over Snakemake: it runs what Snakemake would, and each accepts what the other made."""

import json
import shutil
from pathlib import Path

import pytest

from tests.workflow.project import Project

CLEAN = "Data and pipelines are up to date."


@pytest.fixture(scope="module")
def reproduced(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The finished study after `dvc repro` and a push to a remote in a folder."""
    project = finished.copy(tmp_path_factory.mktemp("dvc") / "project")
    printed = project.run("dvc", "repro")
    assert printed.count("Nothing to be done") == 3
    project.run("dvc", "remote", "add", "--default", "store", str(project.folder.parent / "store"))
    project.run("dvc", "push")
    project.run("git", "add", "--all")
    project.run("git", "commit", "--quiet", "--message", "Reproduced")
    return project


def test_second_repro_does_nothing(reproduced: Project) -> None:
    assert reproduced.run("dvc", "status").strip() == CLEAN
    assert reproduced.run("dvc", "repro").count("didn't change, skipping") == 3
    assert reproduced.planned() == {}


def test_fresh_clone_after_pull_has_nothing_to_do(reproduced: Project, tmp_path: Path) -> None:
    reproduced.run("git", "clone", "--quiet", ".", str(tmp_path / "clone"))
    clone = Project(tmp_path / "clone")
    clone.run("dvc", "pull")
    assert clone.planned() == {}
    assert clone.run("dvc", "status").strip() == CLEAN
    pattern = "results/runs/**/*.safetensors"
    assert clone.contents(pattern) == reproduced.contents(pattern) != {}


def test_changed_parameter_runs_what_is_missing_and_back_runs_nothing(reproduced: Project, tmp_path: Path) -> None:
    project = reproduced.copy(tmp_path / "p")
    project.edit("studies", "tiny", "runs", 1, "options", value={"threshold": 1.5})
    assert "threshold" in project.run("dvc", "params", "diff")
    printed = project.run("dvc", "repro", "train")
    assert printed.count(": Making ") == 1
    assert "didn't change" in project.run("dvc", "repro", "train").splitlines()[-2]
    shutil.copy(reproduced.folder / "params.yaml", project.folder)
    assert "Nothing to be done" in project.run("dvc", "repro", "train")


def test_commit_after_a_direct_snakemake_makes_the_status_clean(finished: Project, tmp_path: Path) -> None:
    project = finished.copy(tmp_path / "p")
    assert project.run("dvc", "status").strip() != CLEAN
    project.run("dvc", "commit", "--force")
    assert project.run("dvc", "status").strip() == CLEAN
    assert project.run("dvc", "repro").count("didn't change, skipping") == 3


def test_metrics_and_plots_are_shown(reproduced: Project) -> None:
    metrics = json.loads(reproduced.run("dvc", "metrics", "show", "--json"))[""]["data"]
    measured = metrics["results/tiny/metrics.json"]["data"]
    assert set(measured["verdict"]) == {
        "comparable accuracy",
        "time steps",
        "training time",
        "GPU memory",
        "spike activity",
    }
    assert measured["measured"]["time steps"] > 0
    assert set(measured["accuracy"]) == {"headline", "reference"}
    printed = reproduced.run("dvc", "plots", "show")
    assert "failed" not in printed
    page = Path(printed.strip().splitlines()[-1].removeprefix("file://")).read_text()
    for name in ("accuracy_over_time_steps", "noisy_spikes_by_layer", "threshold_evolution", "training_cost", "loss"):
        assert name in page
    # Drawn by our templates, a line for each method.
    assert page.count('"field": "configuration"') >= 8
    assert "Spike-based BP" in page


def test_old_commit_checked_out_has_its_own_metrics(reproduced: Project, tmp_path: Path) -> None:
    project = reproduced.copy(tmp_path / "p")
    claims = project.contents("results/tiny/claims.*")
    tables = project.contents("results/tiny/tables/*")
    project.edit("report", "accuracy_margin", value=55.0)
    project.snakemake("claims")
    assert project.contents("results/tiny/claims.*") != claims
    project.run("git", "checkout", "--quiet", "--", ".")
    project.run("dvc", "checkout", "--force")
    assert project.contents("results/tiny/claims.*") == claims
    assert project.contents("results/tiny/tables/*") == tables
    assert project.planned() == {}
