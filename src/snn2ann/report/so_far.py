"""The report of a study that is under way: every table, figure and verdict from the runs that are there."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

from snn2ann.files import write_json, write_text
from snn2ann.report.figures import FIGURES, make_figure
from snn2ann.report.judging import make_claims
from snn2ann.report.page import page
from snn2ann.report.registry import SECTIONS, listed
from snn2ann.report.results import collect_results, read_study
from snn2ann.report.study_data import load_study
from snn2ann.report.tables import TABLES, make_table
from snn2ann.report.tables.cell_columns import missing_notes
from snn2ann.report.verdict_rows import read_verdicts, verdict_table
from snn2ann.runs.problems import WrongFiles

SO_FAR = "-so-far"
"""Ends the name of the folder of a report that is not whole."""
StudyContent = Mapping[str, Any]


@dataclass(frozen=True)
class Report:
    """What came of a study, now.

    Attributes:
        folder: holds tables, figures and verdicts.
        missing: names of the runs without which they were made.
        problems: what is wrong with files of runs, a sentence each.
    """

    study: str
    folder: Path
    missing: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def finished(self) -> bool:
        """Whether it is the report of the whole study."""
        return not self.folder.name.endswith(SO_FAR)

    @property
    def index(self) -> Path:
        """The page to begin with."""
        return self.folder / ("claims.md" if self.finished else "index.html")

    @property
    def text(self) -> str:
        """What a terminal shows."""
        if not self.finished:
            lines = [f"{name}: not evaluated yet" for name in self.missing]
            return "\n".join([*lines, f"{len(self.missing)} runs missing; what there is: {self.index}"])
        places = f"tables {self.folder}/tables/, figures {self.folder}/figures/, reasons {self.index}"
        return f"Study {self.study} is finished\n\n{verdict_table(self.verdicts)}\n\n{places}"

    @property
    def verdicts(self) -> list[dict[str, str]]:
        """The paper's claims: claimed, measured, verdict."""
        return read_verdicts(self.folder / "claims.json")

    def as_json(self) -> dict[str, object]:
        """The same for a script."""
        named = {name: getattr(self, name) for name in ("study", "finished", "folder", "index", "missing", "problems")}
        return named | {"verdicts": self.verdicts}


def report_on(study_folder: Path, content: StudyContent) -> Report:
    """Find the report of a study that is finished, or make what can be made of one that is not.

    Args:
        study_folder: results/<study>, there or not.
        content: of study.json, as it is now; another one in the folder is that of a study before a change.

    The study's own folder is left alone: what stands there is taken for finished. What can be made goes to
    `<study>-so-far` beside it; runs that have not been evaluated yet are no error.

    Raises:
        UserError: study.json is wrong.
    """
    whole = all((study_folder / name).is_file() for name in ("study.json", "results.csv", "claims.json"))
    if whole and read_study(study_folder)["digest"] == content["digest"]:
        return Report(content["study"], study_folder)
    return _so_far(study_folder, content)


def _so_far(study_folder: Path, content: StudyContent) -> Report:
    output = study_folder.parent / f"{study_folder.name}{SO_FAR}"
    write_json(output / "study.json", content)
    problems: list[str] = []
    for step in _steps(output):
        try:
            step()
        except WrongFiles as error:
            problems += error.problems
    study = load_study(output)
    made = Report(study.name, output, list(study.missing), list(dict.fromkeys(problems)))
    missing = [f"{name}: not evaluated yet" for name in study.missing]
    notes = [*missing_notes(study), *missing, *made.problems]
    write_text(made.index, page(f"Study {study.name}, so far", [], _links(study.content["parameters"]), notes))
    return made


def _steps(output: Path) -> Iterator[Callable[[], None]]:
    yield partial(collect_results, output, evaluated_only=True)
    parameters = read_study(output)["parameters"]
    for name in listed(TABLES, parameters):
        yield partial(make_table, name, output)
    for name in listed(FIGURES, parameters):
        yield partial(make_figure, name, output)
    yield partial(make_claims, output)


def _links(parameters: Mapping[str, Any]) -> str:
    """A list of the pages, by section of the paper's evaluation."""
    lines = []
    for section in SECTIONS:
        lines.append(f"<h2>{escape(section)}</h2>\n<ul>")
        for folder, entries in (("tables", TABLES), ("figures", FIGURES)):
            names = listed(entries, parameters)
            here = {name: entries[name] for name in names if entries[name].section == section}
            lines += [
                f'<li><a href="{folder}/{name}.html">{escape(entry.title)}</a></li>' for name, entry in here.items()
            ]
        lines.append("</ul>")
    return "\n".join(lines)
