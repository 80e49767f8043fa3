"""What a study was made with: parameters, seeds, commit, machine, versions; what a reader needs to make it again."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from snn2ann.report.configurations import flatten, network_name
from snn2ann.report.study_data import Run, StudyData
from snn2ann.report.table import Table, shown, text
from snn2ann.report.tables.cell_columns import missing_notes
from snn2ann.runs.problems import try_read
from snn2ann.runs.reading import read_training
from snn2ann.runs.records import Values

# The group of rows in which each key of training.json stands; the commit is told with whether files were changed.
GROUPS = {"versions": "Versions", "machine": "Machine", "device": "Machine", "threads": "Machine"}
Row = Values


def provenance(study: StudyData) -> Table:
    """A row for each seed list, version and parameter; where runs differ in it, a row for each value."""
    rows = [*_study_rows(study), *_seed_rows(study), *_made_with_rows(study), *_parameter_rows(study)]
    columns = [text("group", header="About"), text("item"), text("value", "p"), text("runs", "r")]
    return Table(
        title="Provenance",
        caption="What this study was made with. Runs: how many of the study's runs a row is about; where runs were made "
        "on several machines, or with several versions, each has its row. Parameters: those of the study, its networks, "
        "recipe and evaluation, with defaults filled in; a run's own, down to the last option, are in its run.yaml.",
        frame=pd.DataFrame(rows, columns=["group", "item", "value", "runs"]),
        columns=columns,
        notes=[f"The command that makes all of it: `{study.command}`", *missing_notes(study)],
        group=lambda row: row["group"],
    )


def _study_rows(study: StudyData) -> Iterator[Row]:
    yield _row("Study", "name", study.name)
    yield _row("Study", "digest of runs, settings and the report's code", study.content.get("digest"))
    yield _row("Study", "measurement of a training step", study.content.get("training_cost"))


def _seed_rows(study: StudyData) -> Iterator[Row]:
    """The seeds of every configuration; they set the weights, the order of images, augmentation and dropout."""
    seeds: dict[str, list[int]] = {}
    for run in study.planned_runs:
        label = f"{run.dataset}, {network_name(run.network)}, {study.label(run.configuration)}"
        seeds.setdefault(label, []).append(run.seed)
    for label, found in seeds.items():
        yield _row("Seeds", label, ", ".join(str(seed) for seed in found), len(found))


def _made_with_rows(study: StudyData) -> Iterator[Row]:
    """What the runs' training.json say of their making, equal ones counted, the values of one item together."""
    counts: dict[tuple[str, str], dict[str, int]] = {}
    for run in study.planned_runs:
        for group, item, value in _made_with(run, study.problems):
            values = counts.setdefault((group, item), {})
            values[value] = values.get(value, 0) + 1
    for (group, item), values in counts.items():
        for value, runs in values.items():
            yield _row(group, item, value, runs)


def _made_with(run: Run, problems: list[str]) -> Iterator[tuple[str, str, str]]:
    """Group, item and value of what one training.json says; nothing where it isn't there."""
    if not run.files.trained:
        return
    training: Mapping[str, Any] = try_read(read_training, run.files.training, problems) or {}
    if training.get("commit"):
        changed = ", with uncommitted changes" if training.get("dirty") else ""
        yield "Code", "git commit", f"{training['commit']}{changed}"
    elif training.get("no_commit"):
        yield "Code", "git commit", f"not known: {training['no_commit']}"
    for key, group in GROUPS.items():
        for item, value in flatten({key: training.get(key)}).items():
            yield group, item.partition(".")[2] or item, shown(value)


def _parameter_rows(study: StudyData) -> Iterator[Row]:
    for key, value in flatten(study.content.get("parameters") or {}).items():
        yield _row("Parameters", key, shown(value))


def _row(group: str, item: str, value: Any, runs: int | None = None) -> Row:
    return {"group": group, "item": item, "value": value, "runs": runs}
