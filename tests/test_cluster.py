"""What Slurm is asked, with commands in its place that say what a real one has said."""

import os
from pathlib import Path

import pytest

from snn2ann import cluster
from snn2ann.errors import UserError
from snn2ann.pipeline import warn_of_login_node


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose programs are found, and no others of Slurm's."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/usr/bin-without-slurm{os.pathsep}/bin-without-slurm")
    return folder


def _program(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def test_accounts_are_asked_only_where_they_are_kept(commands: Path) -> None:
    assert cluster.status_command() == "squeue"
    _program(commands, "sacct", "echo 'Slurm accounting storage is disabled' >&2; exit 1")
    assert cluster.status_command() == "squeue"
    _program(commands, "sacct", "exit 0")
    assert cluster.status_command() == "sacct"


def test_only_this_projects_jobs_of_this_folder_are_cancelled(commands: Path, tmp_path: Path) -> None:
    project = tmp_path / "a project"
    project.mkdir()
    queue = f"11 snn2ann_1-2 {project}\n12 snn2ann_1-2 {tmp_path}\n13 other {project}\n14 snn2ann_3-4 {project}\n"
    (tmp_path / "queue").write_text(queue)
    _program(commands, "squeue", f"/bin/cat {tmp_path}/queue")
    _program(commands, "scancel", f'echo "$@" > {tmp_path}/cancelled; : > {tmp_path}/queue')
    assert cluster.cancel_earlier_jobs(project) == 2
    assert (tmp_path / "cancelled").read_text() == "--quiet 11 14\n"
    assert cluster.cancel_earlier_jobs(project) == 0


def test_a_job_that_does_not_end_is_named(commands: Path, tmp_path: Path) -> None:
    _program(commands, "squeue", f"echo 11 snn2ann_1-2 {tmp_path}")
    _program(commands, "scancel", "exit 0")
    with pytest.raises(UserError, match="Slurm does not end jobs 11 of an earlier snakemake"):
        cluster.cancel_earlier_jobs(tmp_path, seconds=0)


def test_a_slurm_that_is_not_there_or_does_not_answer_is_told_in_a_line(commands: Path, tmp_path: Path) -> None:
    assert not cluster.is_here()
    with pytest.raises(UserError, match=r"squeue cannot be run .*is this a machine of the cluster"):
        cluster.cancel_earlier_jobs(tmp_path)
    _program(commands, "squeue", "echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1")
    assert not cluster.is_here()
    with pytest.raises(UserError, match="squeue failed: slurm_load_jobs error: Unable to contact slurm controller"):
        cluster.cancel_earlier_jobs(tmp_path)
    _program(commands, "squeue", "exit 0")
    assert cluster.is_here()


def test_a_login_node_is_warned_of_and_a_job_is_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    warn_of_login_node()
    assert "all jobs run on it; --profile profiles/slurm puts them into the queue" in capsys.readouterr().err
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    warn_of_login_node()
    assert capsys.readouterr().err == ""
