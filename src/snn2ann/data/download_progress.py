"""How far a long step is: a bar in a terminal, sparse lines in a log."""

import sys
import time
from types import TracebackType
from typing import Self

from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

SECONDS_BETWEEN_LINES = 15.0


class Meter:
    """Counts a step's progress.

    Args:
        title: what is being done.
        total: amount of the whole.
        bytes_: whether the amounts are bytes, else pieces.
    """

    def __init__(self, title: str, total: int, *, bytes_: bool = False) -> None:
        self.title = title
        self.bytes_ = bytes_
        self.done = 0
        self._total = total
        self._last_line = time.monotonic()
        self._started = self._last_line
        self._bar: Progress | None = None
        if sys.stderr.isatty():
            self._bar = _bar(bytes_)
            self._task = self._bar.add_task(title, total=total)
            self._bar.start()

    def update(self, amount: int) -> None:
        """Count `amount` more."""
        self.set(self.done + amount)

    def set(self, done: int) -> None:
        """Say that `done` of the whole is done."""
        self.done = done
        if self._bar is not None:
            self._bar.update(self._task, completed=done)
        elif time.monotonic() - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = time.monotonic()
            print(self._line(), file=sys.stderr, flush=True)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()

    def __enter__(self) -> Self:
        """Begin; the bar is there since the start."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _line(self) -> str:
        unit, word = (2**20, " MiB") if self.bytes_ else (1, "")
        elapsed = time.monotonic() - self._started
        left = elapsed * (self._total - self.done) / max(self.done, 1)
        return f"{self.title}: {self.done / unit:.0f} of {self._total / unit:.0f}{word}, about {left:.0f} s left"


def say(line: str) -> None:
    """Tell the user a line about the work at hand."""
    print(line, file=sys.stderr, flush=True)


def _bar(bytes_: bool) -> Progress:
    from rich.console import Console

    amounts: list[ProgressColumn]
    amounts = [DownloadColumn(), TransferSpeedColumn()] if bytes_ else [MofNCompleteColumn()]
    columns = (TextColumn("{task.description}"), BarColumn(), *amounts, TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)
