"""Everything that a table or figure may ask of a study: its results, its runs and what is missing."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from snn2ann.report.configurations import Configuration, ata_word, setting_words
from snn2ann.report.results import load_results, read_study
from snn2ann.runs.columns import BALANCED, PER_TIME_STEP
from snn2ann.runs.folder import RunFolder
from snn2ann.runs.problems import raise_problems, try_read
from snn2ann.runs.reading import read_cost, read_inference
from snn2ann.runs.records import Descriptor


@dataclass(frozen=True)
class Run:
    """One run of a study; `configuration` is that before calibration, `planned` is False where it is only named."""

    name: str
    dataset: str
    network: str
    seed: int
    configuration: Configuration
    folder: Path
    evaluation: str
    calibration: str | None
    planned: bool

    @property
    def files(self) -> RunFolder:
        """Its files by name."""
        return RunFolder(self.folder)

    @property
    def configurations(self) -> list[Configuration]:
        """The configuration as trained and, where the run has a calibration, the calibrated one."""
        trained = self.configuration
        if self.calibration is None:
            return [trained]
        word = "training+calibration" if trained.ata == "training" else "calibration"
        return [trained, replace(trained, ata=word)]


@dataclass(frozen=True)
class Cell:
    """What one row of a table is about; `time_steps` is T of the evaluation, None where there is none."""

    dataset: str
    network: str
    configuration: Configuration
    time_steps: int | None


@dataclass(frozen=True)
class StudyData:
    """A study: `content` of study.json, results and runs; `problems` collects what is wrong with files.

    `whole` is the study of which this one has some of the runs.
    """

    folder: Path
    content: dict[str, Any]
    results: pd.DataFrame
    runs: list[Run]
    problems: list[str] = field(default_factory=list)
    whole: "StudyData | None" = None

    @property
    def name(self) -> str:
        """Name of the study."""
        return str(self.content["study"])

    @property
    def command(self) -> str:
        """The command that makes whatever of this study is missing."""
        return f"snakemake --cores all --config study={self.name}"

    @property
    def settings(self) -> dict[str, Any]:
        """The `report` section of the study's parameters."""
        return self.content.get("report") or {}

    @cached_property
    def configurations(self) -> list[Configuration]:
        """Every configuration in the order of the study, a calibrated one after its trained one."""
        found = [each for run in self.runs for each in run.configurations]
        return list(dict.fromkeys(found))

    @cached_property
    def places(self) -> list[tuple[str, str]]:
        """Every pair of data set and network in the order of the study."""
        return list(dict.fromkeys((run.dataset, run.network) for run in self.runs))

    @cached_property
    def _values(self) -> dict[tuple[Any, ...], float]:
        names = ("run", "ata", "measure", "split", "time_steps", "value")
        columns = [self.results[name].tolist() for name in names]
        return {
            (run, ata, measure, split, None if pd.isna(steps) else int(steps)): value
            for run, ata, measure, split, steps, value in zip(*columns, strict=True)
        }

    def values(self, cell: Cell, measure: str, split: str = "test") -> pd.Series:
        """The value of each seed (the index) that has one, as results.csv holds it.

        A measure that is not taken at every T stands at the training T, whatever the cell's own T is.
        """
        at_every = measure in (*PER_TIME_STEP, BALANCED, "accuracy_last_epoch")
        steps = cell.time_steps if at_every else cell.configuration.training_time_steps
        found: dict[int, float] = {}
        for run in self.runs_of(cell):
            key = (run.name, cell.configuration.ata, measure, split, steps)
            if key in self._values:
                found[run.seed] = self._values[key]
        return pd.Series(found, dtype=float)

    def runs_of(self, cell: Cell) -> list[Run]:
        """The runs behind a cell, made or not."""
        wanted = (cell.dataset, cell.network)
        return [
            run
            for run in self.runs
            if (run.dataset, run.network) == wanted and cell.configuration in run.configurations
        ]

    def label(self, configuration: Configuration) -> str:
        """Name of a configuration in words; names the variant where the study has several of the method."""
        return configuration.label(configuration.method in self._methods_with_variants)

    @cached_property
    def _methods_with_variants(self) -> set[str]:
        variants: dict[str, set[str]] = {}
        for each in (self.whole or self).configurations:
            variants.setdefault(each.method, set()).add(each.variant)
        return {method for method, found in variants.items() if len(found) > 1}

    @cached_property
    def evaluated_time_steps(self) -> list[int]:
        """Every T at which something was evaluated."""
        steps = self.results.loc[self.results["measure"] == "accuracy", "time_steps"]
        return sorted(int(each) for each in steps.dropna().unique())

    @cached_property
    def reported_time_steps(self) -> list[int]:
        """Where a method without a training T is reported: every training T, and the largest T evaluated."""
        trained = {each.training_time_steps for each in self.configurations}
        return sorted({each for each in trained if each} | set(self.evaluated_time_steps[-1:]))

    @cached_property
    def cells(self) -> list[Cell]:
        """One cell for each data set, network, configuration and T to report, whether its runs are made or not."""
        found = []
        for dataset, network in self.places:
            here = [r for r in self.runs if (r.dataset, r.network) == (dataset, network)]
            for each in dict.fromkeys(each for run in here for each in run.configurations):
                found += self._cells_of(Cell(dataset, network, each, each.training_time_steps))
        return found

    def cells_at(self, place: tuple[str, str]) -> list[Cell]:
        """The cells of a data set and network, in the order of the study."""
        return [cell for cell in self.cells if (cell.dataset, cell.network) == place]

    def _cells_of(self, cell: Cell) -> list[Cell]:
        if cell.time_steps is not None:
            return [cell]
        several = [replace(cell, time_steps=steps) for steps in self.reported_time_steps]
        return [each for each in several if len(self.values(each, "accuracy"))] or [cell]

    @cached_property
    def planned_runs(self) -> list[Run]:
        """The runs that the study makes; files of one that it only names are there if another study made them."""
        return [run for run in self.runs if run.planned]

    @cached_property
    def missing(self) -> list[str]:
        """Names of the runs that should be made and have no accuracy in results.csv."""
        made = set(self.results.loc[self.results["measure"] == "accuracy", "run"])
        return [run.name for run in self.planned_runs if run.name not in made]

    @cached_property
    def cost(self) -> pd.DataFrame | None:
        """The study's training cost measurement, None where there is none yet; a wrong file is added to `problems`."""
        return self._measurement("training_cost", read_cost)

    @cached_property
    def inference(self) -> pd.DataFrame | None:
        """The study's measurement of inference; None and `problems` as for `cost`."""
        return self._measurement("inference", read_inference)

    def _measurement(self, key: str, read: Callable[[Path], pd.DataFrame]) -> pd.DataFrame | None:
        path = self.folder.parent / "measurements" / (self.content.get(key) or "-")
        return try_read(read, path, self.problems) if path.exists() else None

    def finish(self, made: str) -> None:
        """Raise a UserError that lists the files found wrong, if any, once `made` has been written."""
        raise_problems(self.problems, f"{made} was made from what is there")


def load_study(study_folder: Path) -> StudyData:
    """Load study.json and results.csv.

    Raises:
        UserError: study.json or results.csv is missing or wrong.
    """
    content = read_study(study_folder)
    runs = runs_of_study(content, study_folder.parent / "runs")
    return StudyData(study_folder, content, load_results(study_folder), runs)


def runs_of_study(content: Mapping[str, Any], root: Path) -> list[Run]:
    """The runs that a study.json names, in its order.

    Args:
        content: of study.json.
        root: folder of all runs.
    """
    keys = ("runs", "not_run")
    return [_run(root, descriptor, key == "runs") for key in keys for descriptor in content.get(key) or []]


def _run(root: Path, descriptor: Descriptor, planned: bool) -> Run:
    configuration = Configuration(
        method=descriptor["method"],
        variant=descriptor["variant"] or "",
        mapping_unit=descriptor["mapping_unit"] or "",
        ata=ata_word(descriptor["ata"], False, descriptor["calibration"] is not None),
        training_time_steps=descriptor["training_time_steps"],
        setting=setting_words(descriptor["changed"]),
    )
    return Run(
        name=descriptor["name"],
        dataset=descriptor["dataset"],
        network=descriptor["network"],
        seed=int(descriptor["seed"]),
        configuration=configuration,
        folder=root / descriptor["name"],
        evaluation=descriptor["evaluation"],
        calibration=descriptor["calibration"],
        planned=planned,
    )
