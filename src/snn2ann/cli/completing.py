"""What the shell offers at the tabulator: studies of params.yaml, and runs that are there."""

from collections.abc import Iterator
from pathlib import Path

import typer

from snn2ann.errors import UserError


def complete_study(context: typer.Context, incomplete: str) -> list[str]:
    """Names of the studies in the parameters' file."""
    from snn2ann.parameters import load_parameters

    try:
        studies = load_parameters(Path(context.params.get("params") or "params.yaml")).get("studies")
    except UserError:
        return []
    return [name for name in studies or () if str(name).startswith(incomplete)]


def complete_run(context: typer.Context, incomplete: str) -> list[str]:
    """Names of the runs in the runs' folder; none twice on one command line."""
    given = context.params.get("names") or ()
    return [name for name in _runs(context) if name.startswith(incomplete) and name not in given]


def complete_target(context: typer.Context, incomplete: str) -> list[str]:
    """What can be made: a study, a run that is under way, or one of the study that the file chooses."""
    found = [*complete_study(context, incomplete), *complete_run(context, incomplete), *_planned()]
    return [name for name in dict.fromkeys(found) if name.startswith(incomplete)]


def _runs(context: typer.Context) -> Iterator[str]:
    from snn2ann.runs.folder import find_folders

    yield from (run.name for run in find_folders(Path(context.params.get("runs") or "results/runs")))


def _planned() -> list[str]:
    from snn2ann.study import load_parameters, resolve

    try:
        parameters = load_parameters("params.yaml")
        return [run.name for run in resolve(parameters, parameters.get("study", "")).runs]
    except UserError:
        return []
