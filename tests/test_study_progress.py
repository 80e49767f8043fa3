"""The bar of the whole study: what it counts, how long is left, and where it is not drawn."""

import io
import logging
import sys
from pathlib import Path

import pytest

from snn2ann.state import evaluated, state_of
from snn2ann.study import Run, load_parameters, resolve
from snn2ann.study_progress import Pace, StudyProgress, passes_of, runs_to_count, standing

ROOT = Path(__file__).parents[1]
RUNS = resolve(load_parameters(ROOT / "tests/workflow/params.yaml"), "tiny").runs
ANN, STBP, CONVERSION, COUPLED = RUNS


def write(run: Run, folder: Path, file: str, text: str = "") -> None:
    path = folder / run.name / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One run evaluated, one trained, one in its first epoch of two, one not begun."""
    write(ANN, tmp_path, f"evaluation-{ANN.evaluation_digest}.json")
    write(CONVERSION, tmp_path, "training.json")
    write(STBP, tmp_path, "live/history.csv", "epoch\n0\n")
    return tmp_path


def test_states_and_work(folder: Path) -> None:
    assert [state_of(run, folder) for run in RUNS] == ["evaluated", "training", "trained", "not made"]
    found = standing(RUNS, folder)
    epochs = STBP.spec["recipe"]["epochs"]
    assert evaluated(RUNS, folder) == found.done == 1
    assert found.training == ((STBP.name.rpartition("-")[0], 1 / epochs),)
    assert found.work == pytest.approx(sum(passes_of(ANN)) + passes_of(STBP)[0] / epochs + passes_of(CONVERSION)[0])
    assert found.text() == f"{STBP.name.rpartition('-')[0]} {1 / epochs:.0%}"


def test_an_evaluation_by_other_settings_does_not_count(folder: Path) -> None:
    write(COUPLED, folder, "evaluation-00000000.json")
    assert state_of(COUPLED, folder) == "not made"


def test_training_costs_what_its_passes_do() -> None:
    assert passes_of(CONVERSION)[0] == 0 < passes_of(ANN)[0] < passes_of(COUPLED)[0] < passes_of(STBP)[0] * 4


def test_runs_that_are_there_count_where_the_rest_is_made(folder: Path) -> None:
    missing = {run.name for run in (STBP, CONVERSION, COUPLED)}
    assert runs_to_count(RUNS, missing, folder) == list(RUNS)
    assert runs_to_count(RUNS, {STBP.name}, folder) == [STBP]


def test_the_time_left_is_that_of_the_pace_so_far_and_runs_down() -> None:
    pace = Pace(total=100, before=20, started=0)
    assert pace.seconds_left(20, 5) is None
    assert pace.seconds_left(40, 10) == 30
    assert pace.seconds_left(40, 15) == 25
    assert pace.seconds_left(40, 60) == 0
    assert pace.seconds_left(60, 60) == 60
    assert pace.seconds_left(100, 90) is None


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_logs_go_above_the_bar_and_to_the_terminal_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal, file = Terminal(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    shown, written = logging.StreamHandler(terminal), logging.StreamHandler(file)
    bar = StudyProgress.start("Study tiny", RUNS, folder, [shown, written])
    assert bar is not None
    bar.update()
    assert shown.stream is sys.stderr is not terminal and written.stream is file
    bar.end()
    bar.end()
    assert shown.stream is sys.stderr is terminal
    assert "Study tiny" in terminal.getvalue() and "1 of 4 runs" in terminal.getvalue()
    assert terminal.getvalue().rfind("\x1b[?25h") > terminal.getvalue().rfind("\x1b[?25l")


def test_without_a_terminal_or_a_run_there_is_none(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert StudyProgress.start("Study tiny", RUNS, folder, []) is None
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert StudyProgress.start("Study tiny", (), folder, []) is None
