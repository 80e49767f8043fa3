"""A bar for the whole study at the foot of a terminal: runs done, what trains, time left."""

import logging
import sys
import threading
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snn2ann.methods import METHODS
from snn2ann.specs import training_images
from snn2ann.state import state_of, trained_share
from snn2ann.study import Run

# Between two looks at the runs' folders, in seconds.
PAUSE = 1.0
# Splits and states are evaluated apart: four of them, each of about this share of the images that an epoch has.
EVALUATED_SHARE = 4 * 0.25
NAMED = 2


@dataclass(frozen=True)
class Standing:
    """How far runs are.

    Attributes:
        done: how many are evaluated.
        work: what has been done, in forward passes of one image.
        training: name, without its digest, and share of each that trains.
    """

    done: int
    work: float
    training: tuple[tuple[str, float], ...]

    def text(self) -> str:
        """What is at work."""
        named = [f"{name} {share:.0%}" for name, share in self.training[:NAMED]]
        more = len(self.training) - NAMED
        return ", ".join([*named, *([f"and {more} more"] if more > 0 else [])])


def passes_of(run: Run) -> tuple[float, float]:
    """About how many forward passes of one image a run's training and its evaluation are worth."""
    growing, fixed = METHODS[run.method].passes
    images, recipe = training_images(run.spec["dataset"]), run.spec["recipe"]
    trained = images * recipe["epochs"] * (growing * (run.training_time_steps or 0) + fixed)
    steps = run.evaluation_spec["time_steps"] if run.method != "ann" else 1
    return trained, images * EVALUATED_SHARE * steps


def standing(runs: Iterable[Run], folder: Path) -> Standing:
    """How far runs are, as their folders in `folder` tell."""
    done, work, training = 0, 0.0, []
    for run in runs:
        trained, evaluated = passes_of(run)
        state = state_of(run, folder)
        share = 1.0 if state == "evaluated" else trained_share(run, folder)
        work += trained * share + evaluated * (state == "evaluated")
        done += state == "evaluated"
        if state == "training":
            training.append((run.name.rpartition("-")[0], share))
    return Standing(done, work, tuple(training))


def runs_to_count(runs: Sequence[Run], needed: Collection[str], folder: Path) -> list[Run]:
    """Those that a bar is about: all, where whatever is missing is going to be made; else those that are."""
    missing = {run.name for run in runs if state_of(run, folder) != "evaluated"}
    return list(runs) if missing <= set(needed) else [run for run in runs if run.name in needed]


@dataclass
class Pace:
    """How fast work is done, looked at whenever some more of it is.

    Attributes:
        total: all work.
        before: what was done at the start.
        started: when that was, in seconds.
    """

    total: float
    before: float
    started: float
    now: float = 0.0
    changed: float = 0.0

    def seconds_left(self, work: float, second: float) -> float | None:
        """Time left when `work` is done at a second; None while nothing has been done, and when all has."""
        if work != self.now:
            self.now, self.changed = work, second
        if not self.before < self.now < self.total:
            return None
        left = (self.changed - self.started) * (self.total - self.now) / (self.now - self.before)
        return max(0.0, left - (second - self.changed))


class StudyProgress:
    """The bar, drawn by a thread of its own; what else is printed goes above it.

    Args:
        title: of the study.
        runs: those counted.
        folder: of all runs.
        handlers: those that write a log to the terminal.
    """

    def __init__(self, title: str, runs: Sequence[Run], folder: Path, handlers: Iterable[logging.Handler] = ()) -> None:
        from rich import progress as rich
        from rich.console import Console

        self.runs, self.folder = runs, folder
        streams = [each for each in handlers if isinstance(each, logging.StreamHandler)]
        # Not those that write a file.
        self.handlers = [each for each in streams if each.stream is sys.stderr]
        self.total = sum(map(sum, map(passes_of, runs)))
        self.pace = Pace(self.total, standing(runs, folder).work, time.monotonic())
        columns = [rich.TextColumn("{task.description}"), rich.BarColumn(bar_width=24)]
        columns += [rich.TextColumn(f"{{task.fields[{name}]}}") for name in ("count", "left", "text")]
        # Standard output may be a file.
        self.bar = rich.Progress(
            *columns, console=Console(stderr=True), transient=True, redirect_stdout=sys.stdout.isatty()
        )
        self.task = self.bar.add_task(title, total=self.total, count="", left="", text="")
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._draw, daemon=True)

    @classmethod
    def start(
        cls, title: str, runs: Sequence[Run], folder: Path, handlers: Iterable[logging.Handler]
    ) -> "StudyProgress | None":
        """Begin to draw, if there is a terminal and something to be made; else give None."""
        if not sys.stderr.isatty() or not runs:
            return None
        made = cls(title, runs, folder, handlers)
        made.bar.start()
        made._write_logs_to(sys.stderr)
        made.thread.start()
        return made

    def _write_logs_to(self, stream: Any) -> None:
        for handler in self.handlers:
            handler.setStream(stream)

    def _draw(self) -> None:
        self.update()
        while not self.over.wait(PAUSE):
            self.update()

    def update(self) -> None:
        """Look at the runs and draw what they tell."""
        now = standing(self.runs, self.folder)
        left = self.pace.seconds_left(now.work, time.monotonic())
        self.bar.update(
            self.task,
            completed=now.work,
            count=f"{now.done} of {len(self.runs)} runs",
            left="" if left is None else f"{_clock(left)} left",
            text=now.text(),
        )

    def end(self) -> None:
        """Take the bar away; a second call does nothing."""
        if self.over.is_set():
            return
        self.over.set()
        if self.thread.is_alive():
            self.thread.join()
        self.bar.stop()
        # Rich has given the terminal back.
        self._write_logs_to(sys.stderr)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
