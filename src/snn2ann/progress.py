"""Progress of a long command: a bar with rate and time left in a terminal, sparse lines in a log file."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Progress(Protocol):
    """Called after each unit of work with a short text on how it goes."""

    def __call__(self, text: str = "") -> None:
        """Advance by one."""


@contextmanager
def progress(title: str, total: int, unit: str, *, shown: bool = True) -> Iterator[Progress]:
    """Show progress on standard error.

    Args:
        title: what is being done.
        total: number of units of work.
        unit: their name, such as "epoch".
        shown: False for nothing.

    Yields:
        A function to call after each unit.
    """
    if not shown:
        yield lambda text="": None
    elif sys.stderr.isatty():
        with _bar(title, total, unit) as advance:
            yield advance
    else:
        yield _Lines(title, total, unit)


@contextmanager
def _bar(title: str, total: int, unit: str) -> Iterator[Progress]:
    from rich import progress as rich
    from rich.console import Console

    columns = (
        rich.TextColumn("{task.description}"),
        rich.BarColumn(),
        rich.MofNCompleteColumn(),
        rich.TextColumn(unit),
        rich.TimeRemainingColumn(),
        rich.TextColumn("{task.fields[text]}"),
    )
    with rich.Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=total, text="")

        def advance(text: str = "") -> None:
            bar.update(task, advance=1, text=text)

        yield advance


class _Lines:
    """A line whenever a tenth of the work or a minute has gone by."""

    def __init__(self, title: str, total: int, unit: str) -> None:
        self.title, self.total, self.unit = title, total, unit
        self.done, self.start = 0, time.monotonic()
        self.last_line, self.last_done = self.start, 0

    def __call__(self, text: str = "") -> None:
        self.done += 1
        now = time.monotonic()
        due = self.done - self.last_done >= self.total / 10 or now - self.last_line >= 60 or self.done == self.total
        if not due:
            return
        left = (now - self.start) / self.done * (self.total - self.done)
        line = f"{self.title}: {self.unit} {self.done}/{self.total}, {left:.0f} s left"
        print(f"{line}, {text}" if text else line, file=sys.stderr, flush=True)
        self.last_line, self.last_done = now, self.done
