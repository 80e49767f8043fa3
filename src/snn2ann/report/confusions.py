"""What images of each class are taken for: counts of a configuration over its seeds."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snn2ann.errors import UserError
from snn2ann.files import read_json
from snn2ann.report.study_data import Cell, Run, StudyData
from snn2ann.runs.problems import try_read
from snn2ann.runs.reading import read_evaluation


@dataclass(frozen=True)
class Confusion:
    """Counts of test images, [true class, answer], at one T, which is None for what has no steps; names of the classes."""

    counts: NDArray[np.int64]
    time_steps: int | None
    names: list[str]

    @property
    def shares(self) -> NDArray[np.float64]:
        """The share of each class's images, [true class, answer]; 0 where a class has none."""
        images = self.counts.sum(axis=1, keepdims=True)
        return self.counts / np.maximum(images, 1)


def confusion_cells(study: StudyData) -> list[Cell]:
    """A cell for each configuration: answers are counted by class at one T."""
    found: dict[tuple[object, ...], Cell] = {}
    for cell in study.cells:
        found.setdefault((cell.dataset, cell.network, cell.configuration), cell)
    return list(found.values())


def confusion(study: StudyData, cell: Cell) -> Confusion | None:
    """The counts of a cell over its seeds; None where none were counted."""
    planned = [run for run in study.runs_of(cell) if run.planned]
    found = [each for run in planned if (each := _of_run(study, cell, run)) is not None]
    if not found:
        return None
    counts = np.sum([counts for counts, _ in found], axis=0)
    return Confusion(counts, found[0][1], _class_names(study, cell, len(counts)))


def _of_run(study: StudyData, cell: Cell, run: Run) -> tuple[NDArray[np.int64], int | None] | None:
    path = run.folder / run.evaluation
    entries = try_read(read_evaluation, path, study.problems) if path.exists() else None
    thresholds = "calibrated" if "calibration" in cell.configuration.ata else "trained"
    for entry in entries or []:
        wanted = (entry["checkpoint"], entry["split"], entry["thresholds"]) == ("selected", "test", thresholds)
        if wanted and "confusion" in entry:
            return np.array(entry["confusion"]), entry["confusion_time_steps"] if entry["time_steps"] else None
    return None


def _class_names(study: StudyData, cell: Cell, classes: int) -> list[str]:
    """Of the prepared data, where they are still there; else numbers."""
    for path in sorted(study.folder.parent.parent.glob(f"data/{cell.dataset}-*/manifest.json")):
        try:
            names = read_json(path)["class_names"]
        except (UserError, KeyError, TypeError):
            continue
        if len(names) == classes:
            return [str(name) for name in names]
    return [str(number) for number in range(classes)]
