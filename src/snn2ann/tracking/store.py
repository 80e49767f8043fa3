"""An MLflow store: opened once, safe for many jobs, and brought up to date run by run."""

import os
import sqlite3
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, chdir, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import Timeout

from snn2ann.errors import UserError
from snn2ann.locks import file_lock
from snn2ann.passwords import without_password
from snn2ann.tracking.own_database import ARTIFACTS, DATABASE, cure_of, home_of, make_database, settle
from snn2ann.tracking.run_record import Point, Record

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run as MlflowRun

# Tags by which a tracked run is found again, and by which a run whose files are as they were is left alone.
NAME_TAG = "snn2ann.run"
FILES_TAG = "snn2ann.files"
# The tag of a run that names its entry in the list of models.
MODEL_ID = "model_id"
# What the machine did while a run trained; it is in no file, so it is kept as it is.
SYSTEM = "system/"
# One call of log_batch takes no more.
BATCH = 1000
LOCK_SECONDS = 300.0
# Name, step and value of a point; equal ones are the same whenever they were logged.
Key = tuple[str, int, str]


class StoreError(UserError):
    """The store does not answer; all results are in files."""


@dataclass(frozen=True)
class Store:
    """An open store.

    Attributes:
        client: of the store.
        uri: without a password.
        home: the folder from which the places of artifacts are read, where this project keeps them itself.
        lock: lets one process at a time write; a database in a file needs that, a server has none.
    """

    client: "MlflowClient"
    uri: str
    home: Path | None
    lock: AbstractContextManager[object]

    def keeps(self, place: str) -> bool:
        """Whether artifacts are where the store says; another's own are taken for kept."""
        return self.home is None or not place.startswith(f"{ARTIFACTS}/") or (self.home / place).exists()

    def at_home(self) -> AbstractContextManager[None]:
        """Work in the folder from which MLflow's client finds the artifacts' places."""
        return nullcontext() if self.home is None else chdir(self.home)

    def settle(self) -> None:
        """Name new artifacts' places from the project's folder on."""
        if self.home is not None:
            settle(self.home / DATABASE)


@dataclass
class TrackedRun:
    """A run in the store.

    Attributes:
        tags: as the store has them.
        keys: the points that the store has; None where nobody has asked yet.
    """

    run_id: str
    tags: dict[str, str] = field(default_factory=dict)
    status: str = "RUNNING"
    metrics: tuple[str, ...] = ()
    keys: set[Key] | None = None


@contextmanager
def open_store(store: str | None, project: Path) -> Iterator[Store]:
    """Open a store, making a SQLite one where it is not there.

    Args:
        store: a URI; None takes MLFLOW_TRACKING_URI, and without it the SQLite file of the project.
        project: its folder.

    Raises:
        StoreError: the store does not answer, also within the block.
    """
    uri, home = _place(store, project)
    _set_up_environment()
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    shown = without_password(uri)
    database = Path(uri.removeprefix("sqlite:///").partition("?")[0]) if uri.startswith("sqlite:///") else None
    lock = file_lock(Path(f"{database}.lock"), LOCK_SECONDS) if database else nullcontext()
    # Jobs that write at once wait for each other.
    patient = f"{uri}?timeout=120" if database and "?" not in uri else uri
    try:
        with lock:
            # Jobs that make a database together break it.
            if database and not database.exists():
                make_database(database)
            if home:
                settle(home / DATABASE)
            client = MlflowClient(tracking_uri=patient, registry_uri=patient)
            client.search_experiments(max_results=1)
        yield Store(client, shown, home, lock)
    except (MlflowException, SQLAlchemyError, sqlite3.Error, OSError, Timeout) as error:
        reason = str(error).splitlines()[0][:200].replace(patient, shown).replace(uri, shown)
        cure = cure_of(str(error), database) if database else _SERVER
        raise StoreError(
            f"MLflow store {shown}: does not answer ({reason}). {cure}; all results are in files, and `snakemake track` "
            "records them later"
        ) from error


_SERVER = "Start the server, or correct tracking.store in params.yaml or MLFLOW_TRACKING_URI"


def chosen_store(store: str | None) -> str:
    """The URI that is named, or the environment's; "" for the project's own database."""
    return store or os.environ.get("MLFLOW_TRACKING_URI") or ""


def _place(store: str | None, project: Path) -> tuple[str, Path | None]:
    """URI, and the folder that is its home where it is the project's own."""
    uri, home = chosen_store(store), home_of(project)
    if uri:
        return uri, None
    database = str(home / DATABASE)
    if set("?#") & set(database):
        # They would end the path of a URI; from the folder itself it does without them.
        if not Path().samefile(home):
            raise StoreError(
                f"MLflow store {database}: a path with ? or # is no database's; name another folder or store"
            )
        database = DATABASE
    return f"sqlite:///{database}", home


def _set_up_environment() -> None:
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    # A server that is down should be reported in seconds, not after minutes of tries.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    # Only those who look on read what MLflow says of its migrations.
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")


def open_experiment(store: Store, name: str) -> str:
    """Find or make a study's experiment; a deleted one is restored."""
    with store.lock:
        found = store.client.get_experiment_by_name(name)
        if found is None:
            location = f"{(store.home / ARTIFACTS).as_uri()}/{name}" if store.home else None
            experiment = str(store.client.create_experiment(name, artifact_location=location))
            store.settle()
            return experiment
        if found.lifecycle_stage == "deleted":
            store.client.restore_experiment(found.experiment_id)
    return str(found.experiment_id)


def known_runs(store: Store, experiment: str) -> dict[str, TrackedRun]:
    """The runs of an experiment by name; where jobs made one at the same time, the first is kept."""
    known: dict[str, TrackedRun] = {}
    token = None
    while True:
        page = store.client.search_runs(
            [experiment], max_results=1000, order_by=["attributes.start_time ASC"], page_token=token
        )
        for run in page:
            name = run.data.tags.get(NAME_TAG)
            if name in known:
                store.client.delete_run(run.info.run_id)
            elif name is not None:
                known[name] = _tracked(run)
        token = page.token
        if not token:
            return known


def find_run(store: Store, experiment: str, name: str) -> TrackedRun | None:
    """One run of an experiment."""
    found = store.client.search_runs([experiment], f"tags.`{NAME_TAG}` = '{name}'", max_results=1)
    return _tracked(found[0]) if found else None


def _tracked(run: "MlflowRun") -> TrackedRun:
    return TrackedRun(run.info.run_id, dict(run.data.tags), run.info.status, tuple(run.data.metrics))


def bring_up_to_date(
    store: Store, experiment: str, record: Record, run: TrackedRun | None, parent: str | None
) -> TrackedRun:
    """Log what the store lacks of a record, making its run where there is none.

    Args:
        store: open.
        experiment: its id.
        record: what the files say.
        run: the record's run in the store, if known.
        parent: id of the study's run.

    Returns:
        The run as it now is; another one where the store had points that the files have no longer, since a point
        can't be taken back in MLflow.
    """
    wanted = {_key(point.name, point.step, point.value): point for point in record.points}
    if run is not None and _conflicts(record, wanted, _keys(store, run)):
        _delete(store, run)
        run = None
    if run is None:
        run = _create(store, experiment, record, parent)
    keys = _keys(store, run)
    _log(store, run.run_id, record, [point for key, point in wanted.items() if key not in keys], run.tags)
    run.keys = keys | set(wanted)
    run.tags |= record.tags
    return run


def _delete(store: Store, run: TrackedRun) -> None:
    if MODEL_ID in run.tags:
        store.client.delete_logged_model(run.tags[MODEL_ID])
    store.client.delete_run(run.run_id)


def _conflicts(record: Record, wanted: Mapping[Key, Point], keys: set[Key]) -> bool:
    """Whether the store has points that the files contradict."""
    others = keys - wanted.keys()
    if record.finished:
        return bool(others)
    # A training that goes on after a kill has yet to come to where it was; what it says anew must be the same.
    places = {(name, step) for name, step, _ in wanted}
    return any((name, step) in places for name, step, _ in others)


def _create(store: Store, experiment: str, record: Record, parent: str | None) -> TrackedRun:
    with store.lock:
        found = find_run(store, experiment, record.name)
        if found is not None:
            return found
        tags = {NAME_TAG: record.name, "in_study": "true"}
        if parent is not None:
            tags["mlflow.parentRunId"] = parent
        started = record.started or int(time.time() * 1000)
        made = store.client.create_run(experiment, start_time=started, tags=tags, run_name=record.name)
        if "dataset_digest" in record.tags:
            log_datasets(store, made.info.run_id, {record.dataset})
    return TrackedRun(made.info.run_id, tags, keys=set())


def log_datasets(store: Store, run_id: str, datasets: Iterable[tuple[str, str]]) -> None:
    """Name the data, each by name and digest, in MLflow's own way, which its pages show in a column."""
    from mlflow.entities import Dataset, DatasetInput

    inputs = [
        DatasetInput(Dataset(name=name, digest=digest, source_type="local", source=f"data/{name}-{digest}"))
        for name, digest in sorted(datasets)
    ]
    store.client.log_inputs(run_id, datasets=inputs)


def _keys(store: Store, run: TrackedRun) -> set[Key]:
    if run.keys is None:
        run.keys = {
            _key(point.key, point.step, point.value)
            for name in run.metrics
            if not name.startswith(SYSTEM)
            for point in store.client.get_metric_history(run.run_id, name)
        }
    return run.keys


def _key(name: str, step: int, value: float) -> Key:
    # A database keeps an infinite value as the largest number; no two "nan" are equal but their texts are.
    return name, step, repr(max(-sys.float_info.max, min(sys.float_info.max, value)) if value == value else value)


def _log(store: Store, run_id: str, record: Record, points: list[Point], tags: dict[str, str]) -> None:
    from mlflow.entities import Metric, Param, RunTag

    metrics = [Metric(point.name, point.value, record.time_of(point), point.step) for point in points]
    # A parameter can't be changed in MLflow; those of a run are its name's.
    parameters = [Param(name, value) for name, value in record.parameters.items()]
    changed = [RunTag(name, value) for name, value in record.tags.items() if tags.get(name) != value]
    for start in range(0, max(len(metrics), 1), BATCH):
        first = start == 0
        store.client.log_batch(
            run_id,
            metrics=metrics[start : start + BATCH],
            params=parameters if first and "kind" not in tags else [],
            tags=changed if first else [],
            synchronous=True,
        )
