"""Commands about what params.yaml stands for: its runs, their cost, and what no study names any more."""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from snn2ann.cli.app import NO
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
    return _read(params, named, option)[1]


def _read(params: Path, named: str | None, option: str | None) -> "tuple[dict[str, Any], Study]":
    """The parameters, and the study that `resolved_study` gives."""
    from snn2ann.study import load_parameters, resolve

    if named and option and named != option:
        raise UserError(f"--study {option}: another study, {named}, is named as well; name one")
    parameters = load_parameters(params)
    return parameters, resolve(parameters, named or option or parameters.get("study", ""))


def check(
    name: StudyName = None,
    params: Params = PARAMS,
    study: StudyOption = None,
    runs: Runs = RUNS,
    as_json: Json = False,
) -> None:
    """Validate the parameters, build and trace a study's networks, and list its runs.

    Exit status 2, and one message, where something is wrong. What no study uses is noted on standard error.
    """
    parameters, resolved = _read(params, name, study)
    # After the parameters, whose faults are said without waiting for torch.
    from snn2ann.foresight import foresee
    from snn2ann.parameters.whole import typed
    from snn2ann.study.checks import unused_sections

    foresee(resolved)
    unused = list(unused_sections(typed(parameters)))
    if as_json:
        print_json(_described(resolved, runs) | {"unused": unused})
    else:
        for note in unused:
            print(f"note: {note}", file=sys.stderr)
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
        float | None,
        typer.Option(
            min=1e-6, help="What the machine sustains, in 10^12 operations a second; else 20, and 60 in bfloat16."
        ),
    ] = None,
    memory: Annotated[
        float | None, typer.Option(min=1e-6, help="Memory of a device, in GiB; else that of the GPUs here, if any.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Estimate how long a study's training takes and what its steps keep in memory, from its parameters alone.

    Exit status 1: a training step does not fit into the memory.
    """
    from snn2ann.devices import gpu_memory
    from snn2ann.evaluation.estimate import estimate as estimate_runs
    from snn2ann.evaluation.estimate import too_large

    groups = estimate_runs(resolved_study(params, name, study).runs)
    room = gpu_memory() if memory is None else int(memory * 2**30)
    problems = list(too_large(groups, room)) if room else []
    if as_json:
        rows = [asdict(group) | {"hours": group.hours(teraflops)} for group in groups]
        whole = {name: sum(row[name] for row in rows) for name in ("operations", "hours")}
        print_json({"teraflops": teraflops, "groups": rows, "total": whole, "too_large": problems})
    else:
        _print_estimate(groups, teraflops)
        for problem in problems:
            print(problem)
    if problems:
        raise typer.Exit(NO)


def _print_estimate(groups: Sequence["Estimate"], teraflops: float | None) -> None:
    print("data set | network | method | T | runs | passes a step | 10^15 operations | hours | GiB for backward")
    for group in groups:
        name = f"{group.dataset} | {group.network} | {group.method} | {group.time_steps or '-'}"
        counted = f"{group.runs} | {group.passes} | {group.operations / 1e15:.3g} | {group.hours(teraflops):.3g}"
        print(f"{name} | {counted} | {group.saved_bytes / 2**30:.3g}")
    total, hours = sum(group.operations for group in groups), sum(group.hours(teraflops) for group in groups)
    print(f"total: {total / 1e15:.4g} x 10^15 operations, {hours:.3g} h")


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
