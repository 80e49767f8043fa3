"""What MLflow is told of a run, read from the run's files: finished ones, or those that grow while it trains."""

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from snn2ann.errors import UserError
from snn2ann.files import read_json
from snn2ann.parameters import digest
from snn2ann.runs.columns import BALANCED, PER_TIME_STEP
from snn2ann.runs.folder import RunFolder
from snn2ann.runs.spec import read_spec

TAGS = ("dataset", "network", "method", "variant", "mapping_unit", "ata", "training_time_steps", "seed")


class Point(NamedTuple):
    """One value of a curve; `second` is its training time since the run began, `final` whether the result is told by it."""

    name: str
    value: float
    step: int
    second: float = 0.0
    final: bool = False


@dataclass(frozen=True)
class Record:
    """What MLflow is told of one run.

    Attributes:
        points: in the order of the files.
        started: when training began, in milliseconds since 1970. A point's time is derived from it, so that a point
            that is logged twice is the same point and MLflow keeps one.
        finished: whether the run is complete; else these are the curves so far.
    """

    name: str
    tags: dict[str, str]
    parameters: dict[str, str]
    points: list[Point]
    started: int = 0
    finished: bool = True

    @property
    def dataset(self) -> tuple[str, str]:
        """Name and digest of the data."""
        return self.tags["dataset"], self.tags["dataset_digest"]

    def time_of(self, point: Point) -> int:
        """When a point was come to, in milliseconds since 1970."""
        return self.started + int(point.second * 1000)

    @property
    def files(self) -> str:
        """Digest of all that is recorded."""
        # As texts: a loss that is not a number is a value here, and none in JSON.
        return digest(
            [self.tags, self.parameters, [[point.name, point.step, repr(point.value)] for point in self.points]]
        )


def run_record(study: str, descriptor: Mapping[str, Any], folder: Path) -> Record:
    """Read what MLflow is told of a finished run.

    Args:
        study: the study's name.
        descriptor: the run's entry in study.json.
        folder: the run's folder.

    Raises:
        UserError: a file is missing or wrong.
    """
    files = RunFolder(folder)
    try:
        spec = read_spec(files.spec)
        training = read_json(files.training)
        points = [
            *_epoch_points(files),
            *_evaluation_points(descriptor, folder, float(training["seconds"])),
            *_training_points(training),
        ]
    except (OSError, KeyError, ValueError) as error:
        raise UserError(f"{folder}: not a complete run ({error}); remove it and make it again") from error
    tags = _tags(study, descriptor, spec) | made_with_tags(training)
    return Record(descriptor["name"], tags, dict(flatten(spec)), points, _started(files))


def live_record(study: str, descriptor: Mapping[str, Any], folder: Path) -> Record | None:
    """Read the curves so far of a run that trains; None where it hasn't begun or its files aren't whole yet.

    Args:
        study: the study's name.
        descriptor: as study.json holds it.
        folder: the run's folder.
    """
    files = RunFolder(folder)
    finished = files.trained
    curves = files if finished else files.live
    try:
        spec = read_spec(curves.spec)
        points = list(_epoch_points(curves))
        made_with = made_with_tags(read_json(files.snapshot))
        started = _started(files)
    except (OSError, UserError, ValueError):
        # Training ends by writing the run's files and removing these; the next look finds the one or the other.
        return None
    tags = _tags(study, descriptor, spec) | made_with
    return Record(descriptor["name"], tags, dict(flatten(spec)), points, started, finished)


def made_with_tags(provenance: Mapping[str, Any]) -> dict[str, str]:
    """Tags of machine, device and commit, from what its training was made with; no host, user or address is in them."""
    tags = {"device": text(provenance["device"])} if provenance.get("device") else {}
    if machine := provenance.get("machine"):
        tags["machine"] = ", ".join(text(value) for value in machine.values())
    if provenance.get("commit"):
        # MLflow's own name for it, which its pages show in a column.
        tags["mlflow.source.git.commit"] = provenance["commit"]
        tags["git_dirty"] = text(provenance.get("dirty"))
    return tags


def flatten(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Give the leaves of nested maps under dotted names."""
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            yield from flatten(inner, f"{key}.{name}" if key else str(name))
    else:
        yield key, text(value)


def text(value: Any) -> str:
    """A value as MLflow shows it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def source_tags(command: str) -> dict[str, str]:
    """Tags of the command that made a run; MLflow's pages show where it comes from only when its source has a name."""
    return {"mlflow.source.name": command, "mlflow.source.type": "LOCAL"}


def _tags(study: str, descriptor: Mapping[str, Any], spec: Mapping[str, Any]) -> dict[str, str]:
    tags = {key: text(descriptor[key]) for key in TAGS if descriptor[key] is not None}
    tags |= {"study": study, "kind": "model", "dataset_digest": spec["dataset"]["digest"]}
    return tags | source_tags("snn2ann train")


def _started(run: RunFolder) -> int:
    if run.snapshot.exists():
        return int(read_json(run.snapshot)["started"] * 1000)
    return int(run.spec.stat().st_mtime * 1000)


def _epoch_points(run: RunFolder) -> Iterator[Point]:
    seconds = {0: 0.0}
    for row in _rows(run.history):
        epoch = int(row["epoch"])
        seconds[epoch] = float(row["seconds"])
        for key, value in row.items():
            if key != "epoch" and value:
                yield Point(key, float(value), epoch, seconds[epoch])
    for row in _rows(run.layers):
        epoch = int(row["epoch"])
        for key, value in row.items():
            if key not in ("epoch", "layer") and value:
                yield Point(f"{key}/{row['layer']}", float(value), epoch, seconds.get(epoch, 0.0))


def _evaluation_points(descriptor: Mapping[str, Any], folder: Path, second: float) -> Iterator[Point]:
    """Give every measure at the training T, else the largest one, and over T with T as the step; an ANN has one accuracy."""
    trained_steps = descriptor["training_time_steps"]
    for entry in read_json(folder / descriptor["evaluation"])["entries"]:
        prefix = "last_epoch_" if entry["checkpoint"] == "last" else ""
        prefix += "calibrated_" if entry["thresholds"] == "calibrated" else ""
        prefix += f"{entry['split']}_"
        if entry["ann_accuracy"] is not None:
            names = ["ann_accuracy"] if entry["time_steps"] else ["ann_accuracy", "accuracy"]
            yield from (Point(prefix + name, entry["ann_accuracy"], 0, second, final=True) for name in names)
        # Of data of one's own alone.
        balanced = [BALANCED] if BALANCED in entry and entry["time_steps"] else []
        for measure in (*PER_TIME_STEP, *balanced):
            values = dict(zip(entry["time_steps"], entry[measure], strict=True))
            for steps, value in values.items():
                yield Point(f"{prefix}{measure}_over_time_steps", value, steps, second)
            if values:
                reported = trained_steps if trained_steps in values else max(values)
                yield Point(f"{prefix}{measure}", values[reported], 0, second, final=True)


def _training_points(training: Mapping[str, Any]) -> Iterator[Point]:
    for key in ("parameters", "selected_epoch", "seconds"):
        if isinstance(training.get(key), int | float):
            yield Point(f"training_{key}", float(training[key]), 0, float(training["seconds"]), final=True)


def _rows(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV file; a last line that is still being written is left for the next look."""
    content = path.read_text(encoding="utf-8")
    return list(csv.DictReader(io.StringIO(content[: content.rfind("\n") + 1])))
