"""Curves in MLflow while runs train, by a process of its own that reads the files which training adds to.

Training knows nothing of it, so a store that is slow, down or full costs it nothing. One process watches all runs of a
study: MLflow takes seconds of a core to load, which hundreds of short jobs shouldn't pay each.
"""

import os
import select
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from snn2ann.errors import UserError
from snn2ann.files import read_json
from snn2ann.runs.folder import RunFolder
from snn2ann.study import Run, Study
from snn2ann.tracking.pages import describe_experiment
from snn2ann.tracking.run_record import Record, live_record
from snn2ann.tracking.store import (
    SYSTEM,
    Store,
    StoreError,
    TrackedRun,
    bring_up_to_date,
    find_run,
    open_experiment,
    open_store,
)
from snn2ann.tracking.track import open_parent

POLL_SECONDS = 2.0
SYSTEM_SECONDS = 10.0
# After a fault the store is left alone for so long.
RETRY_SECONDS = 30.0


def watch_study(study: Study, runs_folder: Path, store: str | None = None) -> None:
    """Log the curves of a study's runs while they train; ends on SIGTERM, on SIGINT, and with the process that started it.

    Args:
        study: whose runs to watch.
        runs_folder: of all runs.
        store: as for `track_study`.
    """
    os.nice(19)
    stop = Stop()

    def end(number: int, frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    starter = os.getppid()
    Watch(study, runs_folder, store).run(stop, lambda: os.getppid() == starter)


class Stop:
    """What a signal's handler may set: threading.Event takes a lock, which the wait that is interrupted may hold."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()

    def set(self) -> None:
        """End every wait, this one and all later."""
        os.write(self._write, b".")

    def wait(self, seconds: float) -> bool:
        """Wait so long at most; give whether it is set."""
        return bool(select.select([self._read], [], [], seconds)[0])

    def is_set(self) -> bool:
        """Whether it is."""
        return self.wait(0)


@dataclass
class Watch:
    """What has been seen of a study's runs.

    Attributes:
        waiting: runs whose training isn't over.
        tracked: the runs of them that are in the store.
        warned: whether the user knows that the store does not answer.
    """

    study: Study
    runs_folder: Path
    store: str | None
    tracked: dict[str, TrackedRun] = field(default_factory=dict)
    warned: bool = False

    def __post_init__(self) -> None:
        self.waiting = {run.name: run for run in self.study.runs if not self._files(run).trained}
        self.system = SystemMetrics()

    def run(self, stop: Stop, starter_lives: Callable[[], bool]) -> None:
        """Watch until `stop` is set, the process that started this one has gone, or every run is trained."""
        while self.waiting and not stop.is_set() and starter_lives():
            if not any(self._files(run).live.path.exists() for run in self.waiting.values()):
                # Nothing is loaded or opened for a study that doesn't train.
                stop.wait(POLL_SECONDS)
                continue
            try:
                self._follow(stop, starter_lives)
            except StoreError as error:
                if not self.warned:
                    print(f"warning: curves are not shown live; training goes on. {error}", flush=True)
                self.warned = True
                stop.wait(RETRY_SECONDS)

    def _files(self, run: Run) -> RunFolder:
        return RunFolder(self.runs_folder / run.name)

    def _follow(self, stop: Stop, starter_lives: Callable[[], bool]) -> None:
        self.tracked.clear()
        project = self.runs_folder.absolute().parent.parent
        with open_store(self.store, project) as store:
            experiment, client = open_experiment(store, self.study.name), store.client
            describe_experiment(store, experiment, self.study.parameters["studies"][self.study.name]["title"])
            with store.lock:
                parent = open_parent(store, experiment, self.study.name, find_run(store, experiment, self.study.name))
                client.update_run(parent.run_id, status="RUNNING")
            while self.waiting and not stop.is_set() and starter_lives():
                self._look(store, experiment, parent.run_id)
                stop.wait(POLL_SECONDS)
            # What was written since the last look.
            self._look(store, experiment, parent.run_id)
            with store.lock:
                for name in self.waiting.keys() & self.tracked.keys():
                    client.set_terminated(self.tracked[name].run_id, "KILLED")
                client.set_terminated(parent.run_id, "KILLED" if self.waiting else "FINISHED")

    def _look(self, store: Store, experiment: str, parent: str) -> None:
        """Log what the files have got since the last look."""
        for name, run in list(self.waiting.items()):
            folder = self.runs_folder / name
            record = live_record(self.study.name, run.descriptor(), folder)
            if record is None:
                continue
            if name not in self.tracked:
                self.tracked[name] = self._open(store, experiment, record, parent)
            with store.lock:
                tracked = bring_up_to_date(store, experiment, record, self.tracked[name], parent)
            self.tracked[name] = tracked
            self.system.log(store, tracked.run_id, folder)
            if record.finished:
                with store.lock:
                    store.client.set_terminated(tracked.run_id)
                del self.waiting[name]

    def _open(self, store: Store, experiment: str, record: Record, parent: str) -> TrackedRun:
        with store.lock:
            known = find_run(store, experiment, record.name)
            tracked = bring_up_to_date(store, experiment, record, known, parent)
            store.client.update_run(tracked.run_id, status="RUNNING")
        return tracked


class SystemMetrics:
    """MLflow's system metrics of this machine, for the runs that train on it."""

    def __init__(self) -> None:
        self.samples: dict[str, list[float]] = {}
        self.monitor: Any = None

    def log(self, store: Store, run_id: str, folder: Path) -> None:
        """Log a sample to a run if it is time for one."""
        times = self.samples.setdefault(run_id, [])
        now = time.time()
        if (times and now < times[-1] + SYSTEM_SECONDS) or not _trains_here(folder):
            return
        from mlflow.entities import Metric
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

        if self.monitor is None:
            monitor: Any = SystemMetricsMonitor
            self.monitor = monitor(run_id, tracking_uri=store.client.tracking_uri)
        self.monitor.collect_metrics()
        sample = self.monitor.aggregate_metrics()
        for each in self.monitor.monitors:
            each.clear_metrics()
        metrics = [Metric(SYSTEM + name, value, int(now * 1000), len(times)) for name, value in sample.items()]
        with store.lock:
            store.client.log_batch(run_id, metrics=metrics, synchronous=True)
        times.append(now)


def _trains_here(folder: Path) -> bool:
    try:
        return bool(read_json(RunFolder(folder).live.process)["host"] == socket.gethostname())
    except UserError:
        return False
