"""Which configurations are compared: the headline one and the reference, as the report's parameters name them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from snn2ann.report.configurations import Configuration, matches
from snn2ann.report.study_data import Cell, Run, StudyData

HEADLINE = {
    "method": "snn2ann",
    "variant": "released",
    "mapping_unit": "resu",
    "ata": "training",
    "training_time_steps": 5,
}
REFERENCE = {"method": "stbp", "training_time_steps": 8}
ACCURACY_MARGIN = 1.0


@dataclass(frozen=True)
class Comparison:
    """The two sides of every claim as parameters name them, and the margin of accuracy in percentage points.

    `beside` names rows that are judged beside the headline, if any: another variant of the method.
    """

    headline: Mapping[str, Any]
    reference: Mapping[str, Any]
    margin: float
    beside: Mapping[str, Any] | None = None

    @property
    def judged(self) -> str:
        """What is judged, in a word: the headline's variant, or its method."""
        return str(self.headline.get("variant") or self.headline["method"])

    def every(self) -> "list[Comparison]":
        """This comparison and that of what is judged beside it, the variant as released first."""
        found = [self, *([replace(self, headline=self.beside)] if self.beside else [])]
        return sorted(found, key=lambda each: each.judged != "released")

    def equal_time_steps(self) -> dict[str, Any]:
        """The reference's method at the headline's training T."""
        return {**self.reference, "training_time_steps": self.headline["training_time_steps"]}


def comparison(study: StudyData) -> Comparison:
    """What the `report` section names, the paper's pairing where it names nothing."""
    return comparison_of(study.settings)


def comparison_of(settings: Mapping[str, Any]) -> Comparison:
    """What a `report` section names, the paper's pairing where it names nothing."""
    return Comparison(
        headline=settings.get("headline") or HEADLINE,
        reference=settings.get("reference") or REFERENCE,
        margin=float(settings.get("accuracy_margin", ACCURACY_MARGIN)),
        beside=settings.get("beside"),
    )


def side_of(configurations: Iterable[Configuration], wanted: Mapping[str, Any]) -> Configuration | None:
    """The configuration that is a side of the claims: the first that has the values of `wanted`.

    One with the variant's own options goes before one in which some were changed, as in a row of an ablation, unless
    `wanted` names these.
    """
    found = [each for each in configurations if matches(each, wanted)]
    return min(found, key=lambda each: each.setting != "", default=None)


def find_cell(study: StudyData, place: tuple[str, str], wanted: Mapping[str, Any]) -> Cell | None:
    """The first cell of a data set and network that is a side of the claims; see `side_of`."""
    cells = study.cells_at(place)
    side = side_of((cell.configuration for cell in cells), wanted)
    return next((cell for cell in cells if cell.configuration == side), None)


def without_ablation(study: StudyData, calibrated: bool = False) -> StudyData:
    """The study as readers compare methods: of the headline's method only what is judged or aimed at, at every T.

    Its other configurations belong to the ablation. Labels and looks stay those of the whole.

    Args:
        study: the whole.
        calibrated: whether what is judged stays after calibration, too.
    """
    sides = comparison(study)
    aimed = [aim["of"] for aim in study.settings.get("aims", [])]
    found = [(rows, side_of(study.configurations, rows)) for rows in [*(one.headline for one in sides.every()), *aimed]]
    judged = [{"setting": side.setting if side else "", **rows, "training_time_steps": None} for rows, side in found]
    runs = []
    for run in study.runs:
        own = run.configuration.method == sides.headline["method"]
        at_any = replace(run.configuration, training_time_steps=None)
        if not own or any(matches(at_any, side) for side in judged):
            runs.append(replace(run, calibration=None) if own and not calibrated else run)
    return replace(study, runs=runs, whole=study)


def headline_runs(runs: Iterable[Run], settings: Mapping[str, Any]) -> list[Run]:
    """For each data set and network the first run of the headline, in the order of the study.

    Args:
        runs: of the study; those that it only names are left out.
        settings: the `report` section of its parameters.
    """
    places: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        if run.planned:
            places.setdefault((run.dataset, run.network), []).append(run)
    chosen = []
    for here in places.values():
        side = side_of((each for run in here for each in run.configurations), comparison_of(settings).headline)
        chosen += [run for run in here if side in run.configurations][:1]
    return chosen


def one_cell_each(study: StudyData, place: tuple[str, str]) -> list[Cell]:
    """One cell for each configuration of a data set and network, at the T that it was trained for.

    Of one that is trained without T and reported at several, the cell at the headline's T, else its first.
    """
    wanted = comparison(study).headline["training_time_steps"]
    chosen: dict[Configuration, Cell] = {}
    for cell in study.cells_at(place):
        if cell.configuration not in chosen or cell.time_steps == wanted:
            chosen[cell.configuration] = cell
    return list(chosen.values())
