"""A study's files, recorded: an experiment, a run for each model, a parent run with tables, figures and verdicts."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

import yaml

from snn2ann.files import read_json
from snn2ann.tracking.logged_model import enter_model
from snn2ann.tracking.pages import DESCRIPTION_TAG, PRIMARY, Pages, describe_experiment
from snn2ann.tracking.recorded_model import record_models
from snn2ann.tracking.run_record import Record, flatten, made_with_tags, run_record, source_tags
from snn2ann.tracking.store import (
    FILES_TAG,
    MODEL_ID,
    Store,
    TrackedRun,
    bring_up_to_date,
    known_runs,
    log_datasets,
    open_experiment,
    open_store,
)

# MLflow's pages find a run's tables by this tag.
TABLES_TAG = "mlflow.loggedArtifacts"
FIRST_TABLE = "tables/claims.html"


def track_study(study_folder: Path, store: str | None = None, models: str = "none") -> Pages:
    """Record a study in MLflow.

    A run is found by its name and brought up to date, so that tracking twice adds nothing, and what was logged while it
    trained is completed.

    Args:
        study_folder: results/<study>, its runs in ../runs.
        store: URI of an MLflow store. None takes MLFLOW_TRACKING_URI, and without it the SQLite file of the project.
        models: which runs' models to record as well: "none", "headline" or "all".

    Returns:
        Where it is to be seen.

    Raises:
        UserError: a file of the study is missing or wrong, or the store does not answer.
    """
    # The folder that is worked in changes while artifacts are written.
    study_folder = study_folder.absolute()
    study = read_json(study_folder / "study.json")
    runs_folder = study_folder.parent / "runs"
    project = study_folder.parent.parent
    records = [run_record(study["study"], run, runs_folder / run["name"]) for run in study["runs"]]
    with open_store(store, project) as opened:
        experiment = open_experiment(opened, study["study"])
        describe_experiment(opened, experiment, study["parameters"]["studies"][study["study"]]["title"])
        with opened.lock:
            known = known_runs(opened, experiment)
            parent = _record_study(opened, experiment, known.get(study["study"]), study, study_folder)
            _name_datasets(opened, parent, records)
        tags = _data_tags(project)
        for record in records:
            record.tags.update(tags)
            with opened.lock:
                known[record.name] = _record_run(opened, experiment, known.get(record.name), record, parent)
        with opened.at_home():
            record_models(opened, study, runs_folder, known, models)
        with opened.lock:
            _mark_unnamed(opened, known, {record.name for record in records} | {study["study"]})
        shown = FIRST_TABLE if (study_folder / FIRST_TABLE).exists() else None
        return Pages.of(opened, experiment, parent, shown)


def _record_run(store: Store, experiment: str, known: TrackedRun | None, record: Record, parent: str) -> TrackedRun:
    if known is not None and known.tags.get(FILES_TAG) == record.files and MODEL_ID in known.tags:
        if known.tags.get("in_study") != "true":
            store.client.set_tag(known.run_id, "in_study", "true")
        return known
    run = bring_up_to_date(store, experiment, record, known, parent)
    enter_model(store, experiment, record, run)
    store.client.set_tag(run.run_id, "in_study", "true")
    store.client.set_tag(run.run_id, FILES_TAG, record.files)
    if run.status != "FINISHED":
        end = max((int(point.second * 1000) for point in record.points), default=0)
        store.client.set_terminated(run.run_id, end_time=record.started + end)
    return run


def _record_study(
    store: Store, experiment: str, known: TrackedRun | None, study: Mapping[str, Any], folder: Path
) -> str:
    """Bring the parent run up to date and return its id."""
    from snn2ann.runs.made_with import provenance

    parent = open_parent(store, experiment, study["study"], known)
    made_with = {key: value for key, value in made_with_tags(provenance()).items() if key != "device"}
    # Data sets, networks and recipes are each run's own parameters; the whole is in study.json. A parameter can't be
    # changed in MLflow, a tag can.
    named = {key: study["parameters"][key] for key in ("calibration", "evaluation", "report")}
    tags = {"study_digest": study["digest"], **source_tags("snakemake"), **made_with, **dict(flatten(named))}
    if description := _verdicts(folder):
        tags[DESCRIPTION_TAG] = description
    for key, value in tags.items():
        if parent.tags.get(key) != value:
            store.client.set_tag(parent.run_id, key, value)
    with store.at_home():
        _record_outputs(store, parent, study, folder)
    store.client.set_terminated(parent.run_id)
    return parent.run_id


def _verdicts(folder: Path) -> str:
    """The table of verdicts, which a run's page shows above all else."""
    from snn2ann.report.verdict_rows import read_verdicts, verdict_table

    path = folder / "claims.json"
    return verdict_table(read_verdicts(path)) if path.exists() else ""


def _name_datasets(store: Store, parent: str, records: list[Record]) -> None:
    """Name a study's data sets, which all but its own runs have, in that one as well."""
    inputs = store.client.get_run(parent).inputs
    named = {(each.dataset.name, each.dataset.digest) for each in inputs.dataset_inputs} if inputs else set()
    if lacking := {record.dataset for record in records} - named:
        log_datasets(store, parent, lacking)


def open_parent(store: Store, experiment: str, study: str, known: TrackedRun | None) -> TrackedRun:
    """Find or make the run that a study's models belong to."""
    if known is not None and known.tags.get("kind") == "study":
        return known
    return bring_up_to_date(store, experiment, Record(study, {"study": study, "kind": "study"}, {}, []), known, None)


def _record_outputs(store: Store, parent: TrackedRun, study: Mapping[str, Any], folder: Path) -> None:
    """Record tables, figures, verdicts and their figures, unless they are as they were."""
    kept = [path for path in sorted(folder.iterdir()) if path.suffix in (".json", ".csv", ".md")]
    folders = [folder / name for name in ("tables", "figures") if (folder / name).is_dir()]
    inside = [path for each in folders for path in sorted(each.iterdir())]
    content = hashlib.sha256(json.dumps(study, sort_keys=True).encode())
    for path in [*kept, *inside]:
        content.update(path.name.encode() + path.read_bytes())
    client = store.client
    kept_there = store.keeps(client.get_run(parent.run_id).info.artifact_uri)
    if parent.tags.get(FILES_TAG) == content.hexdigest() and kept_there:
        return
    client.log_dict(parent.run_id, study["parameters"], "parameters.yaml")
    for path in kept:
        client.log_artifact(parent.run_id, str(path))
    for each in folders:
        client.log_artifacts(parent.run_id, str(each), each.name)
    tables = [path for path in inside if path.parent.name == "tables" and path.suffix == ".csv"]
    for path in tables:
        client.log_text(parent.run_id, _table_json(path), f"tables/{path.stem}.json")
    shown = [{"path": f"tables/{path.stem}.json", "type": "table"} for path in tables]
    client.set_tag(parent.run_id, TABLES_TAG, json.dumps(shown))
    _record_metrics(store, parent, study, folder)
    client.set_tag(parent.run_id, FILES_TAG, content.hexdigest())


def _table_json(path: Path) -> str:
    """A table in the form of mlflow.log_table, which would add its rows to those of the last time."""
    import pandas as pd

    return str(pd.read_csv(path).to_json(orient="split", index=False))


def _record_metrics(store: Store, parent: TrackedRun, study: Mapping[str, Any], folder: Path) -> None:
    metrics = {"runs": float(len(study["runs"]))}
    if (folder / "metrics.json").exists():
        content = read_json(folder / "metrics.json")
        metrics |= {name.replace("%", ""): float(value) for name, value in flatten(content) if _is_number(value)}
        if headline := content["accuracy"]["headline"].values():
            metrics[PRIMARY] = fmean(headline)
    latest = store.client.get_run(parent.run_id).data.metrics
    for name, value in metrics.items():
        if latest.get(name) != value:
            store.client.log_metric(parent.run_id, name, value)


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True


def _data_tags(project: Path) -> dict[str, str]:
    """DVC's hash of the data, where DVC has recorded one."""
    try:
        lock = yaml.safe_load((project / "dvc.lock").read_text(encoding="utf-8"))
        outputs = lock["stages"]["fetch"]["outs"]
    except (OSError, yaml.YAMLError, KeyError, TypeError):
        return {}
    hashes = [output["md5"] for output in outputs if output.get("path") == "data" and "md5" in output]
    return {"dvc_data": hashes[0]} if hashes else {}


def _mark_unnamed(store: Store, known: Mapping[str, TrackedRun], named: set[str]) -> None:
    """Say of runs of former parameters that the study has left them, so that a filter hides them."""
    for name, run in known.items():
        if name not in named and run.tags.get("in_study") != "false":
            store.client.set_tag(run.run_id, "in_study", "false")
