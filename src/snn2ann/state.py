"""How far the runs of a study are, as their folders tell."""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from snn2ann.runs.folder import RunFolder
from snn2ann.runs.packed import refuse_records_only
from snn2ann.study import Run

State = Literal["evaluated", "trained", "training", "not made"]


def state_of(run: Run, runs: Path) -> State:
    """How far a run is, of which `runs` is the folder of all."""
    folder = RunFolder(runs / run.name)
    if folder.evaluation(run.evaluation_digest).exists():
        return "evaluated"
    if folder.trained:
        return "trained"
    return "training" if folder.checkpoint.exists() or folder.live.path.exists() else "not made"


def evaluated(runs_of_study: Iterable[Run], runs: Path) -> int:
    """How many runs are whole."""
    return sum(state_of(run, runs) == "evaluated" for run in runs_of_study)


def refuse_elsewhere(runs_of_study: Iterable[Run], runs: Path) -> None:
    """Refuse what needs weights that stayed on another machine.

    Raises:
        UserError: a run is to be evaluated, or another one to start from it, and only its records are here.
    """
    for run in runs_of_study:
        if state_of(run, runs) != "evaluated":
            refuse_records_only(RunFolder(runs / run.name))
            if run.source is not None:
                refuse_records_only(RunFolder(runs / run.source))


def trained_share(run: Run, runs: Path) -> float:
    """The share of a run's training that is done, from 0 to 1, as far as its curves say."""
    folder = RunFolder(runs / run.name)
    if folder.trained:
        return 1.0
    try:
        lines = folder.live.history.read_text(encoding="utf-8").count("\n")
    except OSError:
        return 0.0
    return min(1.0, max(0, lines - 1) / run.spec["recipe"]["epochs"])
