"""Commands that make something: runs, a run once more, a report, a run of a checkpoint, a package."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from snn2ann.cli.app import NO
from snn2ann.cli.completing import complete_study, complete_target
from snn2ann.cli.device import set_up_torch
from snn2ann.cli.json_output import print_json
from snn2ann.cli.options import PARAMS, RUNS, Json, Params, RunName, Runs, StudyFolder
from snn2ann.errors import UserError


def run(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="STUDY|RUN",
            help="A study, or runs of one: names, or the beginnings of names or digests; else params.yaml's study.",
            autocompletion=complete_target,
        ),
    ] = None,
    cores: Annotated[str, typer.Option(help="How many cores to use, or all.")] = "all",
    profile: Annotated[
        str | None, typer.Option(help="A profile of Snakemake, such as profiles/slurm for a cluster.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Say what would be made, and make nothing.")] = False,
) -> None:
    """Make a study, or single runs: fetch, train, calibrate, evaluate.

    The workflow does it, so that nothing is made twice and whatever is stopped goes on where it was: the same command again.
    Exit status 1: a job failed.
    """
    from snn2ann.workflow import make, target_of

    make(target_of(names or []), cores, profile, dry_run)


def rerun(
    name: RunName,
    runs: Runs = RUNS,
    data: Annotated[Path, typer.Option(help="Folder of the prepared data sets.")] = Path("data"),
    output: Annotated[Path | None, typer.Option(help="Folder to make; else a temporary one.")] = None,
    anyway: Annotated[bool, typer.Option("--anyway", help="Go on where the code is not what made the run.")] = False,
    print_diff: Annotated[
        bool, typer.Option("--print-diff", help="Print the changes to tracked files that the run was made with.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Make a run again, apart from it, and say whether it is the same to the byte (exit status 1 if not)."""
    from snn2ann.runs.recorded_run import find_run
    from snn2ann.training.rerun import code_differences, read_recorded, surroundings
    from snn2ann.training.rerun import rerun as run_again

    found = read_recorded(find_run(name, runs))
    if print_diff:
        print((found.snapshot["diff"] if found.snapshot else None) or "", end="")
        return
    if (differences := code_differences(found)) and not anyway:
        raise UserError(f"{found.folder}: {'; '.join(differences)}. Or give --anyway")
    notes = [*differences, *surroundings(found)]
    for text in notes:
        print(f"note: {text}", file=sys.stderr)
    device = set_up_torch(found.training["threads"], found.training["device"])
    same = run_again(found, data, runs, device, output)
    if as_json:
        print_json({"run": found.folder.resolve().name, "same": all(same.values()), "files": same, "notes": notes})
    else:
        for file, equal in same.items():
            print(f"{file}: {'the same bytes' if equal else 'DIFFERENT'}")
    if not all(same.values()):
        raise typer.Exit(NO)


def report(
    study: Annotated[
        str | None,
        typer.Argument(
            metavar="STUDY",
            help="Name of a study, or its folder; else params.yaml's own choice.",
            autocompletion=complete_study,
        ),
    ] = None,
    study_folder: Annotated[Path | None, typer.Option(help="Likewise, a folder such as results/digits.")] = None,
    params: Params = PARAMS,
    as_json: Json = False,
) -> None:
    """Say what came of a study; of one under way, make tables, figures and verdicts of the runs that are there."""
    from snn2ann.cli.planning import resolved_study
    from snn2ann.report.results import read_study
    from snn2ann.report.so_far import report_on
    from snn2ann.runs.problems import raise_problems

    folder = study_folder or Path(study or "")
    if study_folder is not None or (study and (folder / "study.json").is_file()):
        content = read_study(folder)
    else:
        resolved = resolved_study(params, study)
        folder, content = Path("results") / resolved.name, resolved.study_json()
    found = report_on(folder, content)
    if as_json:
        print_json(found.as_json())
    else:
        print(found.text)
    raise_problems(found.problems, f"{found.index} shows the rest")


def crate(
    study_folder: StudyFolder,
    output: Annotated[Path, typer.Option(help="Folder to make, or a file that ends in .zip.")],
) -> None:
    """Pack a finished study as an RO-Crate: runs, results, verdicts and what made them, for an archive."""
    from snn2ann.report.crate import write_crate

    write_crate(study_folder, output)


def import_checkpoint(
    file: Annotated[Path, typer.Argument(help="A checkpoint of the paper's authors.")],
    mapping_unit: Annotated[str, typer.Option(help="resu or stsu: what it was trained with.")],
    dataset: Annotated[str, typer.Option(help="What it was trained on.")] = "cifar100",
    network: Annotated[str | None, typer.Option(help="Of params.yaml; else vgg-13 or resnet-17, as it is.")] = None,
    time_steps: Annotated[
        int | None, typer.Option(help="T; else the authors' own, 4 for VGG-13, 5 for ResNet-17.")
    ] = None,
    recipe: Annotated[str, typer.Option(help="Of params.yaml, by whose normalisation it is given images.")] = "paper",
    params: Params = PARAMS,
    runs: Runs = RUNS,
) -> None:
    """Make a run of a checkpoint of the paper's authors, to be evaluated without training."""
    from snn2ann.study import load_parameters
    from snn2ann.training.authors import Choice, import_checkpoint

    choice = Choice(dataset, mapping_unit, recipe, network, time_steps)
    imported = import_checkpoint(file, load_parameters(params), choice, runs)
    for why, names in imported.unused.items():
        print(f"left out, {why}: {', '.join(names)}")
    print(f"{imported.run.path}\nin a study's `runs`: {json.dumps(imported.entry)}")
