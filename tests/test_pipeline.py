"""What Snakemake does at its start and its end."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from snn2ann.data import dataset_spec
from snn2ann.data.loading import verify
from snn2ann.data.prepare import fetch_and_prepare
from snn2ann.errors import UserError
from snn2ann.files import write_json
from snn2ann.pipeline import Ending, Watch, claim_folder, warn_of_no_commit, watch_command
from snn2ann.runs.made_with import provenance
from snn2ann.tracking.pages import Pages
from snn2ann.tracking.store import open_store

HOLDER = """
import sys, time
from pathlib import Path
from snn2ann.pipeline import claim_folder
held = claim_folder(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


def test_a_folder_is_claimed_by_one_process_and_free_when_it_is_killed(tmp_path: Path) -> None:
    lock = tmp_path / "new" / "in_use"
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(lock)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        with pytest.raises(UserError, match="another snakemake is at work in this folder"):
            claim_folder(lock)
        holder.send_signal(signal.SIGKILL)
    held = claim_folder(lock)
    with pytest.raises(UserError):
        claim_folder(lock)
    held.close()
    claim_folder(lock).close()


WAITING = "print(1, file=sys.stderr, flush=True); time.sleep(60)"


def watching(handler: str, log: Path) -> Watch:
    """A watch that takes SIGTERM as `handler` says, once it is there."""
    code = f"import signal, sys, time; signal.signal(signal.SIGTERM, {handler}); {WAITING}"
    watch = Watch.start([sys.executable, "-c", code], log)
    while not log.read_text():
        time.sleep(0.05)
    return watch


@pytest.fixture
def no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system without locks."""

    def refuses(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", refuses)


def test_a_file_system_without_locks_is_a_warning(
    no_locks: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    claim_folder(tmp_path / "in_use").close()
    warned = capsys.readouterr().err
    assert warned.count("\n") == 1 and "this file system has no locks (No locks available)" in warned


def test_data_are_fetched_and_a_store_is_opened_without_locks(
    no_locks: None, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    fetch_and_prepare(dataset_spec("digits", {}), tmp_path / "raw", tmp_path / "data/digits")
    verify(tmp_path / "data/digits")
    with open_store(None, tmp_path) as store, store.lock:
        assert store.client.search_experiments()
    warned = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning: ")]
    assert [line.split(": ")[1] for line in warned] == [f"{tmp_path}/raw/.digits.lock", f"{tmp_path}/mlflow.db.lock"]


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("exit 128", "git ended with 128"),
        (
            "echo \"fatal: detected dubious ownership in repository at '/x'\" >&2; exit 128",
            "detected dubious ownership",
        ),
        (None, "git is not installed"),
    ],
)
def test_a_commit_that_git_does_not_tell_is_said_and_recorded(
    command: str | None,
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if command is not None:
        (tmp_path / "git").write_text(f"#!/bin/sh\n{command}\n")
        (tmp_path / "git").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    warn_of_no_commit()
    warned = capsys.readouterr().err
    assert warned.count("\n") == 1 and f"git does not tell the commit ({expected}" in warned
    described = provenance()
    assert described["commit"] is None and described["dirty"] is None and described["no_commit"].startswith(expected)


def test_a_commit_that_git_tells_is_no_warning(capsys: pytest.CaptureFixture[str]) -> None:
    warn_of_no_commit()
    assert capsys.readouterr().err == "" and "no_commit" not in provenance()


def test_a_watch_is_told_to_end_and_may_finish(tmp_path: Path) -> None:
    watch = watching("lambda *_: sys.exit(7)", tmp_path / "logs" / "log")
    # Ctrl-C in the terminal goes to the process group, which is not the watch's.
    assert os.getpgid(watch.process.pid) != os.getpgid(0)
    watch.end()
    assert watch.process.returncode == 7


def test_a_watch_that_does_not_end_is_killed(tmp_path: Path) -> None:
    watch = watching("signal.SIG_IGN", tmp_path / "log")
    watch.end(seconds=0.2)
    assert watch.process.returncode == -signal.SIGKILL


def test_the_watch_is_this_environments_own_command() -> None:
    command = watch_command("digits")
    assert command[0] == sys.executable and command[-2:] == ["--study", "digits"]
    done = subprocess.run([*command[:-2], "--help"], capture_output=True, text=True, check=True)
    assert "--study" in done.stdout


@pytest.fixture
def ending(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ending:
    monkeypatch.chdir(tmp_path)
    folder = Path("results/tiny")
    (folder / ".made").mkdir(parents=True)
    started = time.time() - 5
    for rule, seconds, age in (("train", "3.5", 0), ("train", "1.5", 0), ("evaluate", "9.0", 100)):
        path = Path(f"logs/benchmarks/{rule}/{seconds}.tsv")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"s\th:m:s\n{seconds}\t0\n")
        os.utime(path, (started + 1 - age,) * 2)
    return Ending("tiny", folder, 7, 7, started, Path("logs/benchmarks"), folder / ".made" / "tracked-1")


def test_the_summary_says_what_ran_in_this_start_and_where_to_look(ending: Ending) -> None:
    for name in ("claims.md", "results.csv", "study.json"):
        (ending.folder / name).touch()
    lines = ending.summary().splitlines()
    assert lines[0].startswith("Study tiny: 7 runs, done, ")
    assert lines[1].split() == ["train", "2", "jobs", "5.0", "s,", "the", "longest", "3.5", "s"]
    assert [line.split()[0] for line in lines[2:]] == ["verdicts", "tables", "report"]
    assert lines[-1].endswith("snakemake --report results/tiny/report.html")
    (ending.folder / "report.html").touch()
    write_json(ending.tracked, {"pages": Pages("mlflow ui", "http://x/#/runs", "http://x/#/tables").lines()})
    *_, report, curves, tables = ending.summary().splitlines()
    assert report.split() == ["report", "results/tiny/report.html"]
    assert curves.split() == ["curves", "mlflow", "ui,", "then", "http://x/#/runs"] and tables.endswith(
        " http://x/#/tables"
    )


def test_the_summary_of_a_failure_says_so_and_names_what_is_not_there_nowhere(ending: Ending) -> None:
    summary = ending.summary(failed=True)
    assert "NOT complete" in summary and "done" not in summary and "claims.md" not in summary


def test_a_study_that_mlflow_lacks_is_named_once_and_recorded_by_the_next_start(ending: Ending) -> None:
    write_json(ending.tracked, {"lacks": "MLflow store http://x: does not answer"})
    assert "  not in MLflow: MLflow store http://x: does not answer" in ending.summary().splitlines()
    assert not ending.tracked.exists()
    assert "not in MLflow" not in ending.summary()
    # So is one that says neither.
    ending.tracked.touch()
    assert "not in MLflow" not in ending.summary() and not ending.tracked.exists()
