"""MLflow as a view of a study's files, which can be made again from them. The only file that imports MLflow."""

import csv
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from snn2ann.errors import UserError
from snn2ann.files import read_json
from snn2ann.parameters import digest

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run as TrackedRun

STORE = "mlflow.db"
ARTIFACTS = "mlartifacts"
# Tags by which a tracked run is found again, and by which a run whose files are as they were is left alone.
NAME_TAG = "snn2ann.run"
FILES_TAG = "snn2ann.files"
# One call of log_batch takes no more.
BATCH = 1000
MEASURES = ("accuracy", "spikes_per_image", "firing_rate", "synaptic_operations", "energy")


@dataclass(frozen=True)
class Record:
    """What MLflow is told of one run.

    Attributes:
        metrics: (name, value, step) in the order of the files.
    """

    name: str
    tags: dict[str, str]
    parameters: dict[str, str]
    metrics: list[tuple[str, float, int]]

    @property
    def files(self) -> str:
        """Digest of all that is recorded."""
        return digest([self.tags, self.parameters, self.metrics])


def track_study(study_folder: Path, store: str | None = None) -> None:
    """Record a study in MLflow: an experiment, a run for each model, a parent run with every table and figure.

    A run is found by its name and brought up to date, so that tracking twice adds nothing.

    Args:
        study_folder: results/<study>, its runs in ../runs.
        store: URI of an MLflow store. None takes MLFLOW_TRACKING_URI, and without it the SQLite file of the project.

    Raises:
        UserError: a file of the study is missing or wrong, or the store does not answer.
    """
    study = read_json(study_folder / "study.json")
    runs_folder = study_folder.parent / "runs"
    records = [run_record(study["study"], run, runs_folder / run["name"]) for run in study["runs"]]
    with open_store(store, study_folder) as (client, artifacts):
        experiment = _experiment(client, study["study"], artifacts)
        known = _known_runs(client, experiment)
        parent = _record_study(client, experiment, known, study, study_folder)
        for record in records:
            _record_run(client, experiment, known, record, parent)
        _mark_unnamed(client, known, {record.name for record in records} | {study["study"]})


@contextmanager
def open_store(store: str | None, study_folder: Path) -> Iterator[tuple["MlflowClient", str | None]]:
    """Give a client of the store, and the folder for artifacts where this project keeps them itself.

    Raises:
        UserError: the store does not answer, also within the block.
    """
    uri = store or os.environ.get("MLFLOW_TRACKING_URI") or ""
    artifacts = None
    if not uri:
        # An experiment of DVC runs in a copy that is thrown away; DVC_ROOT is the project itself.
        project = Path(os.environ.get("DVC_ROOT") or study_folder.absolute().parent.parent)
        uri = f"sqlite:///{project / STORE}"
        artifacts = (project / ARTIFACTS).as_uri()
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    # A server that is down should be reported in seconds, not after minutes of tries.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield MlflowClient(tracking_uri=uri), artifacts
    except (MlflowException, SQLAlchemyError, OSError) as error:
        reason = str(error).splitlines()[0][:200]
        raise UserError(
            f"MLflow store {uri}: does not answer ({reason}). Start the server, or correct tracking.store in "
            "params.yaml or MLFLOW_TRACKING_URI; all results are in files, and `snakemake track` records them later"
        ) from error


def run_record(study: str, descriptor: Mapping[str, Any], folder: Path) -> Record:
    """Read what MLflow is told of a run from its files.

    Args:
        study: the study's name.
        descriptor: the run's entry in study.json.
        folder: the run's folder.

    Raises:
        UserError: a file is missing or wrong.
    """
    try:
        spec = yaml.safe_load((folder / "run.yaml").read_text(encoding="utf-8"))
        training = read_json(folder / "training.json")
        metrics = [
            *_epoch_metrics(folder),
            *_evaluation_metrics(descriptor, folder),
            *_training_metrics(training),
        ]
    except (OSError, yaml.YAMLError, KeyError, ValueError) as error:
        raise UserError(f"{folder}: not a complete run ({error}); remove it and make it again") from error
    keys = (
        "dataset",
        "network",
        "method",
        "variant",
        "mapping_unit",
        "ata",
        "training_time_steps",
        "seed",
    )
    tags = {key: _text(descriptor[key]) for key in keys if descriptor[key] is not None}
    machine = training.get("machine") or {}
    tags |= {
        "study": study,
        "kind": "model",
        "dataset_digest": spec["dataset"]["digest"],
        "device": _text(training.get("device")),
        "machine": ", ".join(_text(value) for value in machine.values()),
        **_commit_tags(training),
    }
    return Record(descriptor["name"], tags, dict(_flatten(spec)), metrics)


def _commit_tags(provenance: Mapping[str, Any]) -> dict[str, str]:
    if not provenance.get("commit"):
        return {}
    # The first is MLflow's own name for it, which its pages show in a column.
    return {
        "mlflow.source.git.commit": provenance["commit"],
        "git_dirty": _text(provenance.get("dirty")),
    }


def _epoch_metrics(folder: Path) -> Iterator[tuple[str, float, int]]:
    for row in _rows(folder / "history.csv"):
        for key, value in row.items():
            if key != "epoch" and value:
                yield key, float(value), int(row["epoch"])
    for row in _rows(folder / "layers.csv"):
        for key, value in row.items():
            if key not in ("epoch", "layer") and value:
                yield f"{key}/{row['layer']}", float(value), int(row["epoch"])


def _evaluation_metrics(descriptor: Mapping[str, Any], folder: Path) -> Iterator[tuple[str, float, int]]:
    """Give every measure at the training T, else the largest one, and over T with T as the step."""
    trained_steps = descriptor["training_time_steps"]
    for entry in read_json(folder / descriptor["evaluation"])["entries"]:
        prefix = "last_epoch_" if entry["checkpoint"] == "last" else ""
        prefix += "calibrated_" if entry["thresholds"] == "calibrated" else ""
        prefix += f"{entry['split']}_"
        if entry["ann_accuracy"] is not None:
            yield f"{prefix}ann_accuracy", entry["ann_accuracy"], 0
        for measure in MEASURES:
            values = dict(zip(entry["time_steps"], entry[measure], strict=True))
            for steps, value in values.items():
                yield f"{prefix}{measure}_over_time_steps", value, steps
            if values:
                reported = trained_steps if trained_steps in values else max(values)
                yield f"{prefix}{measure}", values[reported], 0


def _training_metrics(training: Mapping[str, Any]) -> Iterator[tuple[str, float, int]]:
    for key in ("parameters", "selected_epoch", "seconds"):
        if isinstance(training.get(key), int | float):
            yield f"training_{key}", float(training[key]), 0


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _flatten(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            yield from _flatten(inner, f"{key}.{name}" if key else str(name))
    else:
        yield key, _text(value)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _experiment(client: "MlflowClient", name: str, artifacts: str | None) -> str:
    found = client.get_experiment_by_name(name)
    if found is None:
        location = f"{artifacts}/{name}" if artifacts else None
        return str(client.create_experiment(name, artifact_location=location))
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    return str(found.experiment_id)


def _known_runs(client: "MlflowClient", experiment: str) -> dict[str, "TrackedRun"]:
    known: dict[str, TrackedRun] = {}
    token = None
    while True:
        page = client.search_runs([experiment], max_results=1000, page_token=token)
        known |= {run.data.tags[NAME_TAG]: run for run in page if NAME_TAG in run.data.tags}
        token = page.token
        if not token:
            return known


def _record_study(
    client: "MlflowClient",
    experiment: str,
    known: Mapping[str, "TrackedRun"],
    study: Mapping[str, Any],
    folder: Path,
) -> str:
    """Bring the parent run up to date and return its id."""
    from snn2ann.training.provenance import provenance

    # Data sets, networks and recipes are each run's own parameters; the whole is in study.json.
    named = {key: study["parameters"][key] for key in ("calibration", "evaluation", "report")}
    tags = {
        "study": study["study"],
        "kind": "study",
        "study_digest": study["digest"],
        **_commit_tags(provenance()),
    }
    record = Record(study["study"], tags, {}, [("runs", float(len(study["runs"])), 0)])
    known_run = known.get(record.name)
    run_id = known_run.info.run_id if known_run else _create(client, experiment, record, None)
    _log(client, run_id, record)
    # A parameter cannot be changed in MLflow, a tag can.
    client.log_dict(run_id, study["parameters"], "parameters.yaml")
    for key, value in _flatten(named):
        client.set_tag(run_id, key, value)
    for path in sorted(folder.iterdir()):
        if path.is_dir() and path.name in ("tables", "figures"):
            client.log_artifacts(run_id, str(path), path.name)
        elif path.suffix in (".json", ".csv", ".md"):
            client.log_artifact(run_id, str(path))
    client.set_terminated(run_id)
    return run_id


def _record_run(
    client: "MlflowClient",
    experiment: str,
    known: Mapping[str, "TrackedRun"],
    record: Record,
    parent: str,
) -> None:
    old = known.get(record.name)
    if old is not None and old.data.tags.get(FILES_TAG) == record.files:
        if old.data.tags.get("in_study") != "true":
            client.set_tag(old.info.run_id, "in_study", "true")
        return
    if old is not None:
        # Points of a curve cannot be taken back in MLflow: a run whose files changed is written anew.
        client.delete_run(old.info.run_id)
    run_id = _create(client, experiment, record, parent)
    _log(client, run_id, record)
    client.set_tag(run_id, FILES_TAG, record.files)
    client.set_terminated(run_id)


def _create(client: "MlflowClient", experiment: str, record: Record, parent: str | None) -> str:
    tags = {NAME_TAG: record.name, "in_study": "true"}
    if parent is not None:
        tags["mlflow.parentRunId"] = parent
    return str(client.create_run(experiment, tags=tags, run_name=record.name).info.run_id)


def _log(client: "MlflowClient", run_id: str, record: Record) -> None:
    from mlflow.entities import Metric, Param, RunTag

    now = int(time.time() * 1000)
    metrics = [Metric(name, value, now, step) for name, value, step in record.metrics]
    parameters = [Param(name, value) for name, value in record.parameters.items()]
    tags = [RunTag(name, value) for name, value in record.tags.items()]
    client.log_batch(run_id, params=parameters, tags=tags, synchronous=True)
    for start in range(0, len(metrics), BATCH):
        client.log_batch(run_id, metrics=metrics[start : start + BATCH], synchronous=True)


def _mark_unnamed(client: "MlflowClient", known: Mapping[str, "TrackedRun"], named: set[str]) -> None:
    """Say of runs of former parameters that the study has left them, so that a filter hides them."""
    for name, run in known.items():
        if name not in named and run.data.tags.get("in_study") != "false":
            client.set_tag(run.info.run_id, "in_study", "false")
