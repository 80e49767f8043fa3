"""What a report consists of: for each table and figure, what makes it, where it stands and how it is read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from snn2ann.methods import METHODS

# In the order of the paper's evaluation; the verdicts go before it, what all was made with comes after it.
SECTIONS = (
    "Verdicts",
    "Classification",
    "Training efficiency",
    "Inference efficiency",
    "Ablation",
    "Provenance",
)


@dataclass(frozen=True)
class Entry:
    """A table or a figure.

    Attributes:
        title: in words.
        path: "module:function" of what makes it from a study's data; loaded when it is needed.
        section: one of `SECTIONS`.
        sources: the files that it is made from.
        reading: how to read it, a few sentences.
        only: of which studies it is made, one of `KINDS`; else of all.
    """

    title: str
    path: str
    section: str
    sources: str
    reading: str
    only: str = ""

    def load(self) -> Callable[..., Any]:
        """Import the function that makes it."""
        module, _, function = self.path.partition(":")
        made: Callable[..., Any] = getattr(import_module(module), function)
        return made

    def made(self, command: str, study: str) -> str:
        """A sentence on where it comes from; `command` is what follows `snn2ann`."""
        return f"Made from {self.sources} by `snn2ann {command} --study-folder results/{study}`."


def listed(entries: Mapping[str, Entry], parameters: Mapping[str, Any]) -> list[str]:
    """The names of the tables or figures that a study has.

    Args:
        entries: a registry.
        parameters: what study.json holds of params.yaml.
    """
    return [name for name, entry in entries.items() if not entry.only or KINDS[entry.only](parameters)]


def _has_own_data(parameters: Mapping[str, Any]) -> bool:
    return any("kind" in each for each in parameters.get("datasets", {}).values())


def _has_bars(parameters: Mapping[str, Any]) -> bool:
    runs = [entry for study in parameters.get("studies", {}).values() for entry in study["runs"]]
    relatives = [METHODS[entry["method"]].relative for entry in runs if entry["method"] in METHODS]
    return any(each is not None and each.bars for each in relatives)


def _has_aims(parameters: Mapping[str, Any]) -> bool:
    own = [study.get("report", {}) for study in parameters.get("studies", {}).values()]
    return any(report.get("aims") for report in [parameters.get("report") or {}, *own])


# Studies that some tables and figures are for: with data of one's own, whose classes may be of any size; with methods that
# have bars; and with aims.
KINDS: dict[str, Callable[[Mapping[str, Any]], bool]] = {
    "own data": _has_own_data,
    "bars": _has_bars,
    "aims": _has_aims,
}
