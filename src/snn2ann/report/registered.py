"""Tables of the documentation whose rows are the registries' entries."""

from collections.abc import Callable, Sequence
from pathlib import Path

from snn2ann.data import DATASETS
from snn2ann.data.source import load_source
from snn2ann.errors import UserError
from snn2ann.files import write_text
from snn2ann.methods import METHODS
from snn2ann.report import blocks, parameter_tables
from snn2ann.report.parameter_tables import grid


def relatives() -> str:
    """The methods that have a row among the relatives."""
    rows = [
        [f"`{name}`", row.source, row.shares, row.differs, _passes(*entry.passes), row.memory]
        for name, entry in METHODS.items()
        if (row := entry.relative) is not None
    ]
    return grid(["method", "source", "shares with SNN2ANN", "differs", "passes", "memory over T"], rows)


def datasets() -> str:
    """Every data set."""
    rows = []
    for name, entry in DATASETS.items():
        test = f" + {entry.test_images:,}" if entry.official_test else ", no official test part"
        most = load_source(entry).maximum_value
        size = "×".join(map(str, entry.shape)) + (f", values 0 to {most}" if most != 255 else "")
        rows.append([f"`{name}`", f"{entry.images:,}{test}", size, str(entry.classes), entry.origin])
    return grid(["name", "images (training + test)", "size", "classes", "comes from"], rows)


TABLES: dict[str, Callable[[], str]] = {"relatives": relatives, "datasets": datasets, **parameter_tables.TABLES}


def fill(pages: Sequence[Path]) -> None:
    """Bring the pages' tables up to date.

    Raises:
        UserError: a page that cannot be read.
    """
    for page in pages:
        try:
            text = page.read_text(encoding="utf-8")
        except OSError as error:
            raise UserError(f"{page}: cannot be read ({error.strerror}); name a page of the documentation") from error
        made = {name: TABLES[name]() for name in blocks.shown(text) if name in TABLES}
        write_text(page, blocks.filled(text, made))


def _passes(each_step: int, once: int) -> str:
    """`(1, 3)` as T + 3."""
    steps = [f"{each_step if each_step > 1 else ''}T"] if each_step else []
    return " + ".join([*steps, *([str(once)] if once else [])])
