"""What is called done is there: marks of killed jobs, lost outputs, lost and changed stores."""

import base64
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from snn2ann.tracking.own_database import places_elsewhere
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
    assert planned["make_run"] == 4 and planned["record"] == 1 and "fetch" not in planned


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


def test_what_was_left_out_on_purpose_is_not_said_to_be_missing(finished: Project, tmp_path: Path) -> None:
    project = finished.copy(tmp_path / "p", "results/tiny")
    printed = project.snakemake("--until", "describe")
    assert "no job failed" not in printed
    assert [path.name for path in (project.folder / "results/tiny").glob("[!.]*")] == ["study.json"]


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


def test_a_moved_projects_store_names_places_from_its_folder_on(small: Project, tmp_path: Path) -> None:
    project = small.copy(tmp_path / "first")
    project.snakemake()
    moved = Project(project.folder.rename(tmp_path / "second"))
    assert moved.planned() == {}
    assert places_elsewhere(moved.folder / "mlflow.db") == [] and "Nothing to be done" in moved.snakemake()
    shutil.rmtree(moved.folder / "mlartifacts")
    assert moved.planned() == {"record": 1, "all": 1}
    moved.snakemake()
    assert list((moved.folder / "mlartifacts").rglob("claims.md")) and moved.planned() == {}


def test_a_stores_password_is_in_no_command_and_no_log(small: Project, tmp_path: Path) -> None:
    project = small.copy(tmp_path / "p", "results/runs/*_ann_*", "dvc.lock")
    project.edit("tracking", "store", value="http://someone:open-sesame@127.0.0.1:9")
    impatient = ("env", "MLFLOW_HTTP_REQUEST_TIMEOUT=2", "MLFLOW_HTTP_REQUEST_MAX_RETRIES=0")
    printed = project.run(*impatient, "snakemake", "--cores", "2", "--printshellcmds", "--verbose")
    assert "not in MLflow: " in printed and "open-sesame" not in printed
    assert "warning: tracking.store: a password in params.yaml goes wherever that file goes" in printed
    project.run("dvc", "commit", "--force")
    (snapshot,) = project.folder.glob("results/runs/*_ann_*/snapshot.json")
    assert "+  store: http://127.0.0.1:9" in json.loads(snapshot.read_text())["diff"]
    holding = {
        path.name for path in project.folder.rglob("*") if path.is_file() and b"open-sesame" in path.read_bytes()
    }
    assert holding == {"params.yaml"}


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


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of two megabytes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"needs the right to mount a small disk ({done.stderr.strip()})")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_a_full_disk_ends_training_with_one_line_and_loses_nothing(
    finished: Project, small_disk: Path, tmp_path: Path
) -> None:
    project = finished.copy(tmp_path / "p")
    (trained,) = project.folder.glob("results/runs/*_snn2ann_*")
    (data,) = project.folder.glob("data/digits-*")
    command = ["snn2ann", "train", "--spec", str(trained / "run.yaml"), "--data", str(data), "--threads", "1"]
    command += ["--output", str(small_disk / "run")]
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(2 * 2**20 - 3 * 4096))
    log = tmp_path / "log"
    done = subprocess.run(command, env=project.environment, text=True, stdout=log.open("w"), stderr=subprocess.STDOUT)
    (error,) = (line for line in log.read_text().splitlines() if line.startswith("error: "))
    assert done.returncode == 2 and "Traceback" not in log.read_text()
    assert error.startswith(f"error: {small_disk}/run/") and "No space left on device; make room on its disk" in error
    ballast.unlink()
    project.run(*command)
    for name in ("weights.safetensors", "thresholds.safetensors", "layers.csv"):
        assert (small_disk / "run" / name).read_bytes() == (trained / name).read_bytes()


def test_results_that_cannot_be_written_are_refused_before_the_first_job(
    finished: Project, small_disk: Path, tmp_path: Path
) -> None:
    project = finished.copy(tmp_path / "p", "results/tiny/claims.md")
    shutil.copytree(project.folder / "results/runs", small_disk / "runs")
    shutil.rmtree(project.folder / "results/runs")
    (project.folder / "results/runs").symlink_to(small_disk / "runs")
    (small_disk / "ballast").write_bytes(bytes(2**20))
    printed = project.snakemake("claims", fails=True)
    place = project.folder / "results/runs"
    assert f"{place}: the disk is full, 0 MiB are left; make room on its disk" in printed
    (small_disk / "ballast").unlink()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    printed = project.snakemake("claims", fails=True)
    assert f"{place}: cannot be written; make it writable for you, or work in a copy elsewhere" in printed
    assert "Execute" not in printed


def test_jobs_in_the_image_use_its_own_environment(finished: Project, tmp_path: Path) -> None:
    """With a pretended Apptainer, which runs a command on this machine, and a pretended `snn2ann` of the image."""
    project = finished.copy(tmp_path / "p", "results/tiny/claims.md")
    tools, image = tmp_path / "tools", tmp_path / "image"
    its_own = Path(sys.executable).with_name("snn2ann")
    scripts = {
        tools / "apptainer": f"""
            case "$1" in
              --version) echo "apptainer version 1.3.0";;
              pull) echo "$4" > {tmp_path}/pulled; touch "$3";;
              exec) while [ "$1" != -c ]; do shift; done; SNN2ANN_IMAGE=0.1.0 PATH={image}:$PATH exec bash -c "$2";;
            esac""",
        image / "snn2ann": f'echo "$@" >> {tmp_path}/called; exec {its_own} "$@"',
    }
    for path, text in scripts.items():
        path.parent.mkdir()
        path.write_text(f"#!/bin/bash\n{text}\n")
        path.chmod(0o755)
    place = f"PATH={tools}:{project.environment['PATH']}"
    project.run("env", place, "snakemake", "--cores", "2", "--software-deployment-method", "apptainer", "--", "claims")
    assert (tmp_path / "pulled").read_text().strip() == f"docker-archive:{project.folder}/snn2ann-0.1.0.tar"
    assert (tmp_path / "called").read_text() == "claims --study-folder results/tiny\n"


def test_a_home_that_cannot_be_written_costs_nothing(finished: Project, tmp_path: Path) -> None:
    project = finished.copy(tmp_path / "p")
    printed = project.run("env", "--unset=XDG_CACHE_HOME", "HOME=/proc/none", "snakemake", "--cores", "2", "--dry-run")
    assert "Nothing to be done" in printed and (project.folder / ".snakemake/cache").is_dir()
