"""Files that are missing or wrong: all are named at once, after everything that can be made without them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from snn2ann.errors import UserError

T = TypeVar("T")


class WrongFiles(UserError):
    """Files are missing or wrong; what could be made without them has been made.

    Attributes:
        problems: one sentence for each file, which names it.
    """

    def __init__(self, problems: list[str], rest: str) -> None:
        self.problems = list(dict.fromkeys(problems))
        lines = "\n".join(f"  {problem}" for problem in self.problems)
        super().__init__(f"{rest}, but these files are missing or wrong:\n{lines}")


def raise_problems(problems: list[str], rest: str) -> None:
    """Raise WrongFiles with every problem, if there is any; `rest` says what was made all the same."""
    if problems:
        raise WrongFiles(problems, rest)


def try_read(read: Callable[[Path], T], path: Path, problems: list[str]) -> T | None:
    """`read(path)`, or None with its message added to `problems` when it raises a UserError."""
    try:
        return read(path)
    except UserError as error:
        problems.append(str(error))
        return None


def each_in_turn(make: Callable[[str, Path], None], names: Sequence[str], study_folder: Path) -> None:
    """Make several outputs of a study, all of them before files that are wrong are named."""
    problems: list[str] = []
    for name in names:
        try:
            make(name, study_folder)
        except WrongFiles as error:
            problems += error.problems
    raise_problems(problems, f"{', '.join(names)} made from what is there")
