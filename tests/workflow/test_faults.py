"""What is called done is there: marks of killed jobs, lost outputs, lost and changed stores."""

import base64
import shutil
from pathlib import Path

import pytest

from snn2ann.tracking.own_database import former_homes
from tests.test_devices import pretend
from tests.tracking.hand_made import tracked
from tests.workflow.project import Project, new_project
from tests.workflow.test_mlflow import _mark


def test_a_mark_that_a_job_was_killed_hides_nothing_that_is_missing(tmp_path: Path) -> None:
    project = new_project(tmp_path / "p")
    project.trim()
    project.snakemake("data", "results/tiny/study.json")
    (images,) = project.folder.glob("data/*/images.npy")
    name = base64.b64encode(str(images.relative_to(project.folder)).encode()).decode()
    marks = project.folder / ".snakemake" / "incomplete"
    marks.mkdir(exist_ok=True)
    (marks / name).touch()
    planned = project.planned()
    assert planned["train"] == planned["evaluate"] == 4 and planned["record"] == 1 and "fetch" not in planned


def test_done_is_not_said_of_an_output_that_is_gone(finished: Project, tmp_path: Path) -> None:
    project = finished.copy(tmp_path / "p", "results/tiny/claims.md")
    rules = project.folder / "workflow/rules/common.smk"
    place = "    lost = [] if failed else lacking()\n"
    assert place in rules.read_text()
    taken = '    Path("results/tiny/claims.json").unlink()\n'
    rules.write_text(rules.read_text().replace(place, taken + place))
    printed = project.snakemake("claims", fails=True)
    assert "no job failed, yet results/tiny/claims.json is not there; the same command goes on" in printed
    assert "Study tiny: 4 runs, done" not in printed


def test_a_lost_or_another_store_is_filled(small: Project, tmp_path: Path) -> None:
    project = small.copy(tmp_path / "p", "mlflow.db")
    assert project.planned() == {"record": 1, "all": 1}
    project.snakemake()
    study = project.folder / "results/tiny"
    assert len(tracked(study, "tiny")) == 5 and project.planned() == {}
    uri = f"sqlite:///{tmp_path / 'other.db'}"
    project.edit("tracking", "store", value=uri)
    assert project.planned() == {"record": 1, "all": 1}
    project.snakemake()
    assert (tmp_path / "other.db").exists() and project.planned() == {}
    project.edit("tracking", "store", value=None)
    assert project.planned() == {} and _mark(project)


def test_a_moved_projects_pages_show_its_own_artifacts_after_the_next_snakemake(small: Project, tmp_path: Path) -> None:
    project = small.copy(tmp_path / "first")
    project.snakemake()
    moved = Project(project.folder.rename(tmp_path / "second"))
    assert moved.planned() == {}
    (former,) = former_homes(moved.folder / "mlflow.db")
    assert former.endswith("/first")
    assert "Nothing to be done" in moved.snakemake()
    assert former_homes(moved.folder / "mlflow.db") == []
    shutil.rmtree(moved.folder / "mlartifacts")
    assert moved.planned() == {"record": 1, "all": 1}
    moved.snakemake()
    assert list((moved.folder / "mlartifacts").rglob("claims.md")) and moved.planned() == {}


def test_a_stores_password_is_in_no_command_and_no_log(small: Project, tmp_path: Path) -> None:
    project = small.copy(tmp_path / "p")
    project.edit("tracking", "store", value="http://someone:open-sesame@127.0.0.1:9")
    impatient = ("env", "MLFLOW_HTTP_REQUEST_TIMEOUT=2", "MLFLOW_HTTP_REQUEST_MAX_RETRIES=0")
    printed = project.run(*impatient, "snakemake", "--cores", "2", "--printshellcmds", "--verbose")
    assert "not in MLflow: " in printed and "open-sesame" not in printed
    places = [
        *project.folder.glob("logs/**/*"),
        *project.folder.glob(".snakemake/**/*"),
        *project.folder.glob("results/tiny/**/*"),
    ]
    assert [path for path in places if path.is_file() and b"open-sesame" in path.read_bytes()] == []


def test_a_machine_with_one_gpu_starts_one_training_at_a_time(
    finished: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(tmp_path / "bin", "GPU 0: A Card 80GB (UUID: GPU-of-a-test)", monkeypatch)
    project = finished.copy(tmp_path / "p", "results/runs/*_snn2ann_*", "results/runs/*_stbp_*")
    printed = project.run("env", f"TMPDIR={tmp_path}", "snakemake", "--cores", "4", "runs")
    assert "Provided resources: device=" in printed
    assert (tmp_path / "snn2ann-GPU-of-a-test.lock").exists()
    logs = project.contents("logs/*/*.log")
    assert len(logs) > 2 and not [name for name, log in logs.items() if b"waiting for a free GPU" in log]
