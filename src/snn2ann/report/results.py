"""results.csv: one tidy table of everything that the runs of a study measured."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from snn2ann.errors import UserError
from snn2ann.files import read_json, write_text
from snn2ann.report.configurations import ata_word, setting_words
from snn2ann.runs.columns import BALANCED, PER_TIME_STEP
from snn2ann.runs.folder import RunFolder
from snn2ann.runs.problems import raise_problems, try_read
from snn2ann.runs.reading import read_evaluation, read_history, read_training
from snn2ann.runs.records import Descriptor, EvaluationEntry, Values

COLUMNS = [
    "dataset",
    "network",
    "method",
    "variant",
    "mapping_unit",
    "ata",
    "changed",
    "time_steps",
    "seed",
    "split",
    "measure",
    "value",
    "training_time_steps",
    "run",
]
DESCRIPTOR_KEYS = {
    "name",
    "dataset",
    "network",
    "method",
    "variant",
    "mapping_unit",
    "ata",
    "training_time_steps",
    "seed",
    "changed",
    "evaluation",
    "calibration",
}
Row = Values


def read_study(study_folder: Path) -> dict[str, Any]:
    """The content of study.json.

    Raises:
        UserError: missing, not JSON, or a key or a key of a run is missing.
    """
    path = study_folder / "study.json"
    study = read_json(path)
    absent = {"study", "runs"} - (study.keys() if isinstance(study, dict) else set())
    if absent:
        raise UserError(f"{path}: `{'`, `'.join(sorted(absent))}` missing; make it again")
    for run in [*study["runs"], *study.get("not_run", [])]:
        absent = DESCRIPTOR_KEYS - run.keys()
        if absent:
            keys = "`, `".join(sorted(absent))
            raise UserError(f"{path}: run {run.get('name', '?')} has no `{keys}`; make it again")
    return dict(study)


def collect_results(study_folder: Path, evaluated_only: bool = False) -> None:
    """Read the files of every run that study.json names and write results.csv beside it.

    Rows stand in the order of study.json; equal files give equal bytes. Rows of an ablation say in `changed` which options
    differ from the variant's preset or the method's defaults. Accuracies are fractions, energy is joule per
    image.

    Args:
        study_folder: holds study.json.
        evaluated_only: leave out runs that have no evaluation yet, instead of calling their files missing.

    Raises:
        UserError: files are missing or wrong. Everything else has been written then, and the message names all of them.
    """
    study = read_study(study_folder)
    problems: list[str] = []
    rows: list[Row] = []
    for run in study["runs"]:
        folder = study_folder.parent / "runs" / run["name"]
        if evaluated_only and not (folder / run["evaluation"]).exists():
            continue
        rows += _run_rows(run, folder, problems)
    frame = pd.DataFrame(rows, columns=COLUMNS)
    for column in ("time_steps", "training_time_steps", "seed"):
        frame[column] = frame[column].astype("Int64")
    write_text(study_folder / "results.csv", frame.to_csv(index=False, lineterminator="\n"))
    raise_problems(problems, "results.csv holds all other runs")


def load_results(study_folder: Path) -> pd.DataFrame:
    """results.csv with text columns as text (empty, not NaN) and `time_steps` as integers that may be missing.

    Raises:
        UserError: missing or not what `collect_results` writes.
    """
    path = study_folder / "results.csv"
    numeric = {"time_steps": "Int64", "training_time_steps": "Int64", "seed": "Int64"}
    types = {column: numeric.get(column, "str") for column in COLUMNS} | {"value": "float64"}
    empty = {column: [""] for column in [*numeric, "value"]}
    try:
        frame = pd.read_csv(
            path,
            dtype=types,
            keep_default_na=False,
            na_values=empty,
        )
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); run `snn2ann collect`") from error
    except ValueError as error:
        raise UserError(f"{path}: not a table of results ({error}); remove it, then run `snn2ann collect`") from error
    if list(frame.columns) != COLUMNS:
        raise UserError(f"{path}: columns {', '.join(COLUMNS)} expected; run `snn2ann collect`")
    return frame


def _run_rows(run: Descriptor, folder: Path, problems: list[str]) -> list[Row]:
    if not folder.is_dir():
        problems.append(f"{folder}: the run has not been made")
        return []
    rows: list[Row] = []
    entries = try_read(read_evaluation, folder / run["evaluation"], problems)
    for entry in entries or []:
        try:
            rows += _entry_rows(run, entry)
        except (KeyError, TypeError, ValueError) as error:
            path = folder / run["evaluation"]
            problems.append(f"{path}: {type(error).__name__} {error}; remove the file and make it again")
    training = try_read(read_training, RunFolder(folder).training, problems)
    history = try_read(read_history, RunFolder(folder).history, problems)
    uncalibrated = _labels(run, calibrated=False) | {"split": ""}
    if training is not None:
        rows.append(uncalibrated | {"measure": "parameters", "value": float(training["parameters"])})
        seconds = float(training["seconds"])
        rows.append(uncalibrated | {"split": "train", "measure": "training_seconds", "value": seconds})
    if history is not None and len(history):
        epoch = float(history["seconds"].diff().fillna(history["seconds"].iloc[0]).median())
        rows.append(uncalibrated | {"split": "train", "measure": "epoch_seconds", "value": epoch})
    return rows


def _labels(run: Descriptor, calibrated: bool) -> Row:
    ata = ata_word(run["ata"], calibrated, run["calibration"] is not None)
    return {
        "dataset": run["dataset"],
        "network": run["network"],
        "method": run["method"],
        "seed": run["seed"],
        "training_time_steps": run["training_time_steps"],
        "variant": run["variant"] or "",
        "mapping_unit": run["mapping_unit"] or "",
        "ata": ata,
        "changed": setting_words(run["changed"]),
        "run": run["name"],
        "time_steps": run["training_time_steps"],
    }


def _entry_rows(run: Descriptor, entry: EvaluationEntry) -> Iterator[Row]:
    labels = _labels(run, entry["thresholds"] == "calibrated") | {"split": entry["split"]}
    last = entry["checkpoint"] == "last"
    for measure, time_steps, value in _last_values(entry) if last else _selected_values(entry):
        if value is not None:
            steps: Row = {"time_steps": time_steps} if time_steps is not None else {}
            yield labels | steps | {"measure": measure, "value": float(value)}


Measured = tuple[str, int | None, float | None]


def _last_values(entry: EvaluationEntry) -> Iterator[Measured]:
    """Accuracy of the last epoch; of the ANN itself where there are no time steps."""
    if not entry["time_steps"]:
        yield "accuracy_last_epoch", None, entry["ann_accuracy"]
    for time_steps, value in zip(entry["time_steps"], entry["accuracy"], strict=True):
        yield "accuracy_last_epoch", time_steps, value


def _selected_values(entry: Mapping[str, Any]) -> Iterator[Measured]:
    for measure in PER_TIME_STEP:
        for time_steps, value in zip(entry["time_steps"], entry[measure], strict=True):
            yield measure, time_steps, value
    for time_steps, value in zip(entry["time_steps"] or [None], entry.get(BALANCED, []), strict=False):
        yield BALANCED, time_steps, value
    if entry["time_steps"]:
        yield "ann_branch_accuracy", None, entry["ann_accuracy"]
    else:
        yield "accuracy", None, entry["ann_accuracy"]
        yield "energy", None, entry.get("ann_energy")
    for key, measure, combine in _LAYER_MEASURES:
        values = [layer[key] for layer in entry["layers"] if layer.get(key) is not None]
        yield measure, None, combine(values) if values else None
    yield "multiply_accumulates", None, entry.get("multiply_accumulates")


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


_LAYER_MEASURES: tuple[tuple[str, str, Callable[[list[float]], float]], ...] = (
    ("noisy_spike_rate", "noisy_spike_rate", _mean),
    ("noisy_spike_rate", "noisy_spike_rate_maximum", max),
    ("agreement", "agreement", _mean),
)
