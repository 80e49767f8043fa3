"""Curves in the store while runs train: they grow and end as the files do; a fault of the store is one warning."""

import json
import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest
from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import Run as MlflowRun

from snn2ann.files import read_json, write_csv, write_json, write_text
from snn2ann.locks import file_lock
from snn2ann.runs.columns import HISTORY, LAYERS
from snn2ann.runs.folder import RunFolder
from snn2ann.runs.made_with import snapshot
from snn2ann.study import Run, load_parameters, resolve
from snn2ann.tracking import watch
from snn2ann.tracking.store import NAME_TAG
from snn2ann.tracking.track import track_study
from snn2ann.training.live import LiveFiles
from tests.tracking.hand_made import entry, points, points_of_files, tracked
from tests.tracking.server import free_port, mlflow_at

PARAMETERS = Path(__file__).parents[1] / "workflow/params.yaml"
STUDY = resolve(load_parameters(PARAMETERS), "tiny")
RUN = next(run for run in STUDY.runs if run.method == "snn2ann")
FORK = multiprocessing.get_context("fork")


class Training:
    """Writes what a training of RUN writes, an epoch at a time."""

    def __init__(self, runs: Path, run: Run = RUN, speed: float = 1.0) -> None:
        self.folder, self.run, self.speed = runs / run.name, run, speed
        self.history: list[dict[str, Any]] = []
        self.layers = [{"epoch": 0, "layer": "block1", "threshold_mean": 0.5}]
        snapshot(self.folder, goes_on=(self.folder / "live").exists())
        self.live = LiveFiles(RunFolder(self.folder), run.spec)
        self.live.update(self.history, self.layers)

    def epoch(self) -> None:
        """One more."""
        epoch = len(self.history) + 1
        self.history.append(
            {"epoch": epoch, "seconds": self.speed * epoch, "train_loss": 1 / epoch, "validation_accuracy": 0.25}
        )
        self.layers.append({"epoch": epoch, "layer": "block1", "noisy_spike_rate": 0.5, "threshold_mean": 1 / epoch})
        self.live.update(self.history, self.layers)

    def finish(self) -> None:
        """Leave what a finished and evaluated run leaves."""
        write_text(self.folder / "run.yaml", json.dumps(self.run.spec))
        write_csv(self.folder / "history.csv", HISTORY, self.history)
        write_csv(self.folder / "layers.csv", LAYERS, self.layers)
        training = {"parameters": 9, "selected_epoch": 1, "seconds": self.history[-1]["seconds"], "device": "cpu"}
        write_json(self.folder / "training.json", training)
        self.live.remove()
        evaluation = {"entries": [entry("test", "trained", [0.25, 0.5, 0.75])]}
        write_json(self.folder / self.run.descriptor()["evaluation"], evaluation)


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_store: Path) -> Path:
    """The runs' folder of a project with an empty store, looked at often."""
    for name in ("MLFLOW_TRACKING_URI", "DVC_ROOT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(watch, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(watch, "RETRY_SECONDS", 0.5)
    folder = tmp_path / "project/results/runs"
    folder.mkdir(parents=True)
    shutil.copy(empty_store, tmp_path / "project/mlflow.db")
    return folder


@contextmanager
def watching(runs: Path, store: str | None = None, file_size: int | None = None) -> Iterator[Path]:
    """Watch in a process of its own, which is told to end after the block; gives the file that it prints to."""
    printed = runs.parent / "printed.txt"

    def work() -> None:
        os.dup2(os.open(printed, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 1)
        sys.stdout = os.fdopen(1, "w")
        if file_size:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))
        watch.watch_study(STUDY, runs, store)

    process = FORK.Process(target=work)
    process.start()
    try:
        yield printed
        assert process.is_alive() or process.exitcode == 0
    finally:
        assert process.pid is not None
        if process.is_alive():
            os.kill(process.pid, signal.SIGTERM)
        process.join(60)
        assert process.exitcode == 0


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.05)


def found(uri: str, name: str = RUN.name) -> MlflowRun | None:
    """The run in the store."""
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("tiny")
    named = f"tags.`{NAME_TAG}` = '{name}'"
    runs = client.search_runs([experiment.experiment_id], named) if experiment else []
    assert len(runs) <= 1
    return runs[0] if runs else None


def epochs(uri: str) -> int:
    """How many epochs the store has."""
    run = found(uri)
    return len(MlflowClient(uri).get_metric_history(run.info.run_id, "threshold_mean/block1")) - 1 if run else -1


def database(runs: Path) -> str:
    return f"sqlite:///{runs.parents[1] / 'mlflow.db'}"


def write_study(runs: Path) -> Path:
    content = {"study": "tiny", "digest": "0badcafe", "runs": [RUN.descriptor()], "report": {}}
    parameters: dict[str, Any] = {key: {} for key in ("calibration", "evaluation", "report")}
    content["parameters"] = parameters | {"studies": {"tiny": {"title": "Tiny"}}}
    write_json(runs.parent / "tiny/study.json", content)
    return runs.parent / "tiny"


def test_curves_grow_and_end_as_the_files_do_in_one_run(runs: Path) -> None:
    uri = database(runs)
    with watching(runs) as printed:
        training = Training(runs)
        for number in range(1, 4):
            training.epoch()
            wait_for(lambda number=number: epochs(uri) == number)  # type: ignore[misc]
        run = found(uri)
        assert run is not None
        assert run.info.status == "RUNNING"
        assert run.data.metrics["train_loss"] == 1 / 3
        assert run.data.params["recipe.epochs"] == str(RUN.spec["recipe"]["epochs"])
        assert {"study": "tiny", "method": "snn2ann", "seed": "0"}.items() <= run.data.tags.items()
        assert "system/cpu_utilization_percentage" in run.data.metrics
        training.epoch()
        training.finish()
        wait_for(lambda: (now := found(uri)) is not None and now.info.status == "FINISHED")
        assert epochs(uri) == 4
    assert printed.read_text() == ""
    study = write_study(runs)
    track_study(study)
    after = tracked(study, "tiny")[RUN.name]
    assert after.info.run_id == run.info.run_id
    evaluation = RUN.descriptor()["evaluation"]
    assert points(study, after) == points_of_files(training.folder, evaluation, RUN.training_time_steps)


def test_training_that_goes_on_after_a_kill_leaves_one_run(runs: Path) -> None:
    uri = database(runs)
    with watching(runs):
        first = Training(runs)
        for _ in range(3):
            first.epoch()
        wait_for(lambda: epochs(uri) == 3)
    killed = found(uri)
    assert killed is not None
    assert killed.info.status == "KILLED"
    # The second goes on from a checkpoint after the first epoch, on a machine that is slower now.
    with watching(runs):
        second = Training(runs)
        second.epoch()
        second.speed = 2.0
        second.epoch()
        wait_for(lambda: (now := found(uri)) is not None and now.data.metrics.get("seconds") == 4.0)
        second.finish()
        wait_for(lambda: (now := found(uri)) is not None and now.info.status == "FINISHED")
    study = write_study(runs)
    track_study(study)
    files = points_of_files(second.folder, RUN.descriptor()["evaluation"], RUN.training_time_steps)
    assert points(study, tracked(study, "tiny")[RUN.name]) == files


def test_sixteen_trainings_watched_at_once(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As sixteen temporary experiments do: each has its own folder and watches it, all share the project's store."""
    monkeypatch.setenv("DVC_ROOT", str(runs.parents[1]))
    chosen = [(number, RUN if number % 2 else STUDY.runs[0]) for number in range(16)]

    def work(number: int, run: Run) -> None:
        home = runs.parents[1] / f"copy{number}/results/runs"
        with watching(home):
            training = Training(home, run)
            for _ in range(3):
                training.epoch()
                time.sleep(0.2)
            training.finish()
            time.sleep(1)

    for number, _ in chosen:
        (runs.parents[1] / f"copy{number}/results/runs").mkdir(parents=True)
    jobs = [FORK.Process(target=work, args=each) for each in chosen]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert [job.exitcode for job in jobs] == [0] * 16
    assert [path.read_text() for path in runs.parents[1].glob("copy*/results/printed.txt")] == [""] * 16
    by_name = tracked(runs.parent / "tiny", "tiny")
    assert set(by_name) == {"tiny", RUN.name, STUDY.runs[0].name}


class Recorded(MlflowClient):
    """Keeps the calls that write, and whether the lock of the store was held."""

    calls: ClassVar[list[tuple[str, bool]]] = []
    locks: ClassVar[list[FileLock]] = []

    def __getattribute__(self, name: str) -> Any:
        value = super().__getattribute__(name)
        if name.startswith(("create_", "delete_", "finalize_", "log_", "restore_", "set_", "update_")):
            Recorded.calls.append((name, Recorded.locks[-1].is_locked))
        return value


def test_only_who_holds_the_lock_writes_into_the_database(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two that write a tag for the first time at once are an error of MLflow's, and one of the two would be silent."""

    def locked(*words: Any) -> FileLock:
        lock = file_lock(*words)
        assert isinstance(lock, FileLock)
        Recorded.locks.append(lock)
        return lock

    monkeypatch.setattr("mlflow.MlflowClient", Recorded)
    monkeypatch.setattr("snn2ann.tracking.store.file_lock", locked)
    monkeypatch.setattr(Recorded, "calls", [])
    training = Training(runs)
    training.epoch()
    stop = watch.Stop()
    watcher = watch.Watch(STUDY, runs, None)
    watcher.run(stop, lambda: not watcher.tracked)
    training.finish()
    watch.Watch(STUDY, runs, None).run(stop, lambda: False)
    study = write_study(runs)
    track_study(study)
    client = MlflowClient(database(runs))
    client.delete_experiment(tracked(study, "tiny")["tiny"].info.experiment_id)
    write_json(study / "study.json", read_json(study / "study.json") | {"runs": []})
    track_study(study)
    assert {"set_experiment_tag", "update_run", "set_terminated", "restore_experiment"} <= dict(Recorded.calls).keys()
    assert [name for name, held in Recorded.calls if not held] == []


def test_full_disk_is_one_warning(runs: Path) -> None:
    with watching(runs, file_size=4096) as printed:
        training = Training(runs)
        wait_for(lambda: printed.exists() and "warning" in printed.read_text())
        for _ in range(3):
            training.epoch()
            time.sleep(0.6)
        training.finish()
    assert printed.read_text().count("warning: curves are not shown live; training goes on.") == 1
    study = write_study(runs)
    track_study(study)
    files = points_of_files(training.folder, RUN.descriptor()["evaluation"], RUN.training_time_steps)
    assert points(study, tracked(study, "tiny")[RUN.name]) == files


@pytest.mark.slow
def test_server_that_dies_half_way_is_one_warning_and_filled_in_later(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    port = free_port()
    uri = f"http://127.0.0.1:{port}"
    stored = ("--backend-store-uri", database(runs), "--artifacts-destination", str(runs.parent / "artifacts"))
    with watching(runs, uri) as printed:
        with mlflow_at(port, runs.parent, "server", *stored):
            training = Training(runs)
            training.epoch()
            wait_for(lambda: epochs(database(runs)) == 1)
            before = found(database(runs))
        training.epoch()
        wait_for(lambda: "warning" in printed.read_text())
        training.epoch()
        time.sleep(2)
        training.finish()
    assert printed.read_text().count("warning") == 1
    assert uri in printed.read_text()
    study = write_study(runs)
    with mlflow_at(port, runs.parent, "server", *stored):
        track_study(study, uri)
    after = tracked(study, "tiny")[RUN.name]
    assert before is not None
    assert after.info.run_id == before.info.run_id
    assert after.info.status == "FINISHED"
    files = points_of_files(training.folder, RUN.descriptor()["evaluation"], RUN.training_time_steps)
    assert points(study, after) == files


def test_nothing_is_loaded_or_made_where_nothing_trains(runs: Path) -> None:
    (runs.parents[1] / "mlflow.db").unlink()
    with watching(runs) as printed:
        wait_for(printed.exists)
        time.sleep(0.5)
    assert not (runs.parents[1] / "mlflow.db").exists()


def test_a_signal_ends_a_wait_wherever_it_comes() -> None:
    """With threading.Event in its place this stood still within a second: its wait and the handler want one lock."""
    code = """
import os, signal
from snn2ann.tracking.watch import Stop
ended = 0
for number in range(2000):
    stop = Stop()
    signal.signal(signal.SIGALRM, lambda *_: stop.set())
    signal.setitimer(signal.ITIMER_REAL, 1e-4 + number * 1e-7)
    while not stop.is_set():
        stop.wait(1e-6)
    ended += 1
    for end in (stop._read, stop._write):
        os.close(end)
print(ended)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout == "2000\n", done.stderr
