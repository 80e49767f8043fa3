"""The report of a study that is under way: every table, figure and verdict from the runs that are there."""

from collections.abc import Callable, Iterator, Mapping
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
from snn2ann.runs.problems import WrongFiles, raise_problems


def report_so_far(study_folder: Path) -> Path:
    """Write everything that can be made now into `<study>-so-far`, beside the study's folder, and give its index.

    The study's own folder is left alone: what stands there is taken for finished.

    Args:
        study_folder: results/<study>, of which study.json alone is needed.

    Raises:
        UserError: study.json is missing or wrong; or, after all else has been written, files of runs are wrong. Runs
            that have not been evaluated yet are no error: they are listed in the index and printed.
    """
    output = study_folder.parent / f"{study_folder.name}-so-far"
    write_json(output / "study.json", read_study(study_folder))
    problems: list[str] = []
    for step in _steps(output):
        try:
            step()
        except WrongFiles as error:
            problems += error.problems
    study = load_study(output)
    missing = [f"{name}: not evaluated yet" for name in study.missing]
    index = output / "index.html"
    notes = [*missing_notes(study), *missing, *dict.fromkeys(problems)]
    write_text(index, page(f"Study {study.name}, so far", [], _links(study.content["parameters"]), notes))
    print("\n".join([*missing, f"{len(study.missing)} runs missing; what there is: {index}"]))
    raise_problems(problems, f"{index} shows the rest")
    return index


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
