"""The entries of a study's runs, and the cells that they stand for: one value for each key."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from snn2ann.errors import UserError
from snn2ann.methods import METHODS, MethodEntry
from snn2ann.parameters import choose
from snn2ann.parameters.study import Entry, StudySection
from snn2ann.parameters.whole import Given
from snn2ann.specs import Chosen, refuse_two_values

T = TypeVar("T")


@dataclass(frozen=True)
class Cell:
    """One run before it is known from which it starts: an entry of `runs` with one value for each key."""

    key: str  # where in params.yaml, for messages
    chosen: Chosen
    calibrate: bool
    planned: bool
    dataset: str
    network: str
    seed: int
    recipe: str
    own_recipe: bool  # not the study's
    checkpoint: str | None

    @property
    def method(self) -> MethodEntry:
        """What the registry says of its method."""
        return METHODS[self.chosen.method]


def cells_of(given: Given, section: StudySection, study_name: str) -> Iterator[Cell]:
    """The cells of a study, in the order of its entries.

    Raises:
        UserError: an entry names what is not the study's, or gives an option twice.
    """
    for index, entry in enumerate(section.runs):
        key = given.key_of_run(study_name, index)
        refuse_two_values(entry.as_given(), entry.options, key)
        datasets = _narrowed(section.datasets, entry.datasets, f"{key}.datasets")
        networks = _narrowed(section.networks, entry.networks, f"{key}.networks")
        _check_checkpoint(entry, key)
        seeds = [0] if entry.checkpoint else _narrowed(section.seeds, entry.seeds, f"{key}.seeds")
        recipe = choose(f"{key}.recipe", section.recipe if entry.recipe is None else entry.recipe, given.typed.recipes)
        for dataset, network in itertools.product(datasets, networks):
            for chosen in combinations(entry, key):
                for seed in seeds:
                    own = recipe != section.recipe
                    yield Cell(
                        key, chosen, entry.calibrate, entry.run, dataset, network, seed, recipe, own, entry.checkpoint
                    )


def _check_checkpoint(entry: Entry, key: str) -> None:
    """Refuse a method of a file's weights without the file, a file of another method, and seeds that a file has not."""
    if not METHODS[entry.method].imported:
        if entry.checkpoint is not None:
            able = ", ".join(name for name, method in METHODS.items() if method.imported)
            raise UserError(
                f"{key}.checkpoint: {entry.checkpoint!r} is not allowed for {entry.method}; it is for {able}"
            )
    elif entry.checkpoint is None:
        raise UserError(f"{key}.checkpoint: missing; `snn2ann import-checkpoint FILE` prints it (docs/authors.md)")
    elif entry.seeds is not None:
        raise UserError(f"{key}.seeds: {entry.seeds} is not allowed: a file is one run, which stands at seed 0")


def _narrowed(of_study: list[T], of_entry: list[T] | None, key: str) -> list[T]:
    for value in of_entry or ():
        if value not in of_study:
            name, allowed = key.rpartition(".")[2], ", ".join(map(str, of_study))
            raise UserError(f"{key}: {value!r} is not in the study's {name}; an entry may narrow them: {allowed}")
    return list(of_study if of_entry is None else of_entry)


def combinations(entry: Entry, key: str) -> Iterator[Chosen]:
    """Give the product of an entry's lists, `options` included, with one value for each key."""
    given = entry.as_given()
    axes: list[tuple[str, Any]] = [
        (name, given[name]) for name in ("variant", "time_steps", "mapping_unit", "ata") if name in given
    ]
    axes += [(f"options.{name}", value) for name, value in entry.options.items()]
    for name, value in axes:
        if value == []:
            raise UserError(f"{key}.{name}: [] is not allowed; expected a value, or a list of at least one")
    for values in itertools.product(*(value if isinstance(value, list) else [value] for _, value in axes)):
        chosen = dict(zip((name for name, _ in axes), values, strict=True))
        options = {name.removeprefix("options."): chosen.pop(name) for name in list(chosen) if "." in name}
        yield Chosen(method=entry.method, options=options, **chosen)


def refuse_needless_calibration(cell: Cell) -> None:
    """Refuse to calibrate what has no thresholds of its own to adjust.

    Raises:
        UserError: the entry asks for it, and its method has none.
    """
    if cell.calibrate and cell.method.source is None and cell.method.options != "variants":
        allowed = ", ".join(name for name, entry in METHODS.items() if entry.source or entry.options == "variants")
        name = cell.chosen.method
        raise UserError(f"{cell.key}.calibrate: true is not allowed for method {name}; it is for {allowed}")
