"""Commands about what params.yaml stands for: its runs, their cost, and what no study names any more."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from snn2ann.cli.json_output import print_json
from snn2ann.cli.options import PARAMS, RUNS, Json, Params, Runs, StudyName, StudyOption
from snn2ann.errors import UserError

if TYPE_CHECKING:
    from snn2ann.evaluation.estimate import Estimate
    from snn2ann.study import Study


def resolved_study(params: Path, named: str | None, option: str | None = None) -> "Study":
    """The study that a command line names, or else the parameters' file.

    Raises:
        UserError: it is named twice, there is none of that name, or the parameters are wrong.
    """
    from snn2ann.study import load_parameters, resolve

    if named and option and named != option:
        raise UserError(f"--study {option}: another study, {named}, is named as well; name one")
    parameters = load_parameters(params)
    return resolve(parameters, named or option or parameters.get("study", ""))


def check(
    name: StudyName = None,
    params: Params = PARAMS,
    study: StudyOption = None,
    runs: Runs = RUNS,
    as_json: Json = False,
) -> None:
    """Validate the parameters, build and trace a study's networks, and list its runs.

    Exit status 2, and one message, where something is wrong.
    """
    resolved = resolved_study(params, name, study)
    # After the parameters, whose faults are said without waiting for torch.
    from snn2ann.foresight import foresee

    foresee(resolved)
    if as_json:
        print_json(_described(resolved, runs))
    else:
        print("\n".join(run.name for run in resolved.runs))


def _described(study: "Study", runs: Path) -> dict[str, object]:
    from snn2ann.state import state_of

    listed = [run.descriptor() | {"state": state_of(run, runs), "recipe": run.recipe} for run in study.runs]
    return {
        "study": study.name,
        "digest": study.digest,
        "runs": listed,
        "not_run": [run.descriptor() for run in study.not_run],
        "datasets": study.datasets,
        "report": study.report,
    }


def estimate(
    name: StudyName = None,
    params: Params = PARAMS,
    study: StudyOption = None,
    teraflops: Annotated[
        float, typer.Option(min=1e-6, help="What the machine sustains, in 10^12 operations a second.")
    ] = 20.0,
    as_json: Json = False,
) -> None:
    """Estimate how long a study's training takes, from its arithmetic alone."""
    from snn2ann.evaluation.estimate import estimate as estimate_runs

    groups = estimate_runs(resolved_study(params, name, study).runs)
    if as_json:
        total = sum(group.operations for group in groups)
        rows = [asdict(group) | {"hours": _hours(group.operations, teraflops)} for group in groups]
        whole = {"operations": total, "hours": _hours(total, teraflops)}
        print_json({"teraflops": teraflops, "groups": rows, "total": whole})
    else:
        _print_estimate(groups, teraflops)


def _print_estimate(groups: Sequence["Estimate"], teraflops: float) -> None:
    print("data set | network | method | T | runs | passes a step | 10^15 operations | hours")
    for group in groups:
        hours = _hours(group.operations, teraflops)
        name = f"{group.dataset} | {group.network} | {group.method} | {group.time_steps or '-'}"
        print(f"{name} | {group.runs} | {group.passes} | {group.operations / 1e15:.3g} | {hours:.3g}")
    total = sum(group.operations for group in groups)
    print(f"total: {total / 1e15:.4g} x 10^15 operations, {_hours(total, teraflops):.3g} h")


def _hours(operations: float, teraflops: float) -> float:
    return operations / teraflops / 1e12 / 3600


def prune(
    params: Params = PARAMS,
    runs: Runs = RUNS,
    yes: Annotated[bool, typer.Option("--yes", help="Remove them; else only list them.")] = False,
    as_json: Json = False,
) -> None:
    """List, or remove, the run folders that no study names."""
    import shutil

    from snn2ann.study import load_parameters, resolve, validate

    parameters = load_parameters(params)
    validate(parameters)
    named = {run.name for name in parameters["studies"] for run in resolve(parameters, name).runs}
    found = sorted(path for path in runs.glob("*") if path.is_dir() and path.name not in named)
    for folder in found:
        if not as_json:
            print(folder)
        if yes:
            shutil.rmtree(folder)
    if as_json:
        print_json({"folders": found, "removed": yes})
