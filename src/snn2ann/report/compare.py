"""Runs side by side: the parameters in which they differ, and what came of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tabulate import tabulate

from snn2ann.errors import UserError
from snn2ann.report.configurations import flatten
from snn2ann.report.table import number, shown
from snn2ann.runs.columns import BALANCED
from snn2ann.runs.problems import raise_problems
from snn2ann.runs.recorded_run import Entry, RecordedRun, figures_at, read_recorded_run
from snn2ann.runs.records import TrainingRecord


@dataclass(frozen=True)
class Side:
    """One column: a run in one of its states; `entry` is None where the run has not been evaluated."""

    title: str
    run: RecordedRun
    entry: Entry | None


def compare_runs(names: Sequence[str], root: Path, time_steps: int | None = None) -> None:
    """Print runs side by side, a calibrated one in two columns.

    Args:
        names: folders of runs, or their names under `root`.
        root: the folder of all runs.
        time_steps: T of the figures; None for each run's training T or, where it has none, the largest T evaluated.

    Raises:
        UserError: fewer than two runs, no such run, T was not evaluated; or, once the rest has been printed, files of
            some runs are wrong.
    """
    runs = _read(names, root)
    sides = [side for position, run in enumerate(runs, start=1) for side in _sides(str(position), run)]
    rows = [*differing_parameters(sides), *_outcomes(sides, time_steps)]
    for position, run in enumerate(runs, start=1):
        print(f"{position}  {run.name}" + "".join(f"\n   missing: {each}" for each in run.missing))
    print()
    headers = ["", *(side.title for side in sides)]
    print(tabulate(rows, headers, tablefmt="simple", stralign="left", disable_numparse=True))
    raise_problems([each for run in runs for each in run.problems], "the runs were compared by the rest")


def compared_runs(names: Sequence[str], root: Path, time_steps: int | None = None) -> dict[str, object]:
    """Tell what `compare_runs` prints as maps and lists for a script.

    Raises:
        UserError: fewer than two runs, no such run, or T was not evaluated.
    """
    runs = _read(names, root)
    sides = [side for position, run in enumerate(runs, start=1) for side in _sides(str(position), run)]
    flat = [flatten(side.run.spec) for side in sides]
    differing = [str(row[0]) for row in differing_parameters(sides)]
    return {
        "runs": [
            {
                "run": side.run.name,
                "thresholds": side.entry["thresholds"] if side.entry else None,
                "parameters": {key: parameters.get(key) for key in differing},
                "training_time_steps": side.run.training_time_steps,
                "selected_epoch": side.run.training.get("selected_epoch") if side.run.training else None,
                "training_seconds": side.run.training["seconds"] if side.run.training else None,
                **(figures_at(side.run, side.entry, time_steps) if side.entry else {}),
            }
            for side, parameters in zip(sides, flat, strict=True)
        ],
        "missing": {run.name: run.missing for run in runs if run.missing},
        "problems": [each for run in runs for each in run.problems],
    }


def _read(names: Sequence[str], root: Path) -> list[RecordedRun]:
    if len(names) < 2:
        raise UserError("give two runs or more; `snn2ann show` prints a single one")
    return [read_recorded_run(name, root) for name in names]


def _sides(position: str, run: RecordedRun) -> Iterator[Side]:
    """The run's selected epoch on the test images, in each evaluation, as trained and as calibrated."""
    several = len(run.evaluations) > 1
    found = False
    for file, entries in run.evaluations.items():
        for entry in entries:
            if (entry["checkpoint"], entry["split"]) != ("selected", "test"):
                continue
            words = [position, "calibrated" * (entry["thresholds"] == "calibrated"), file * several]
            found = True
            yield Side(" ".join(word for word in words if word), run, entry)
    if not found:
        yield Side(position, run, None)


def differing_parameters(sides: Sequence[Side]) -> list[list[str]]:
    """A row for each parameter of run.yaml, dotted where nested, whose value is not the same in all runs."""
    flat = [flatten(side.run.spec) for side in sides]
    keys = dict.fromkeys(key for each in flat for key in each)
    rows = [[key, *(shown(each.get(key)) for each in flat)] for key in keys]
    return [row for row in rows if len(set(row[1:])) > 1]


def _outcomes(sides: Sequence[Side], time_steps: int | None) -> Iterator[list[str]]:
    figures = [figures_at(side.run, side.entry, time_steps) if side.entry else {} for side in sides]
    yield ["training T", *(shown(side.run.training_time_steps) for side in sides)]
    yield ["T", *(shown(each.get("time_steps")) for each in figures)]
    yield ["selected epoch", *(selected_epoch(side.run.training) for side in sides)]
    for header, key, digits, factor in (
        ("test accuracy (%)", "accuracy", 2, 100),
        *([("balanced accuracy (%)", BALANCED, 2, 100)] if any(map(_is_balanced, sides)) else []),
        ("spikes per image", "spikes_per_image", 1, 1),
        ("noisy spikes (%)", "noisy_spike_rate", 2, 100),
        ("energy per image (µJ)", "energy", 4, 1e6),
    ):
        yield [header, *(shown_number(each.get(key), digits, factor) for each in figures)]
    yield [
        "training (s)",
        *(shown_number(side.run.training["seconds"] if side.run.training else None, 1) for side in sides),
    ]


def _is_balanced(side: Side) -> bool:
    """Whether its images are of one's own, whose classes may be of any size."""
    return side.entry is not None and BALANCED in side.entry


def selected_epoch(training: TrainingRecord | None) -> str:
    """The epoch that the validation images chose, of how many; a dash where nothing was trained."""
    if not training or not training["epochs"]:
        return shown(None)
    return f"{shown(training.get('selected_epoch'))} of {training['epochs']}"


def shown_number(value: float | None, digits: int, factor: float = 1) -> str:
    """`value` times `factor` with `digits` decimals; a dash where there is none."""
    return shown(None) if value is None else number(value * factor, digits)
