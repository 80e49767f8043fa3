"""What the workflow calls after its runs: a study's files, tables, figures and verdicts, and their places elsewhere."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from snn2ann.cli.options import Params, Runs, StoreUri, StudyFolder
from snn2ann.errors import UserError


def study(
    study: Annotated[str, typer.Option(help="Name of the study.")],
    digest: Annotated[str, typer.Option(help="Digest that the workflow resolved.")],
    output: Annotated[Path, typer.Option(help="study.json to write.")],
    params: Params = Path("params.yaml"),
) -> None:
    """Write down what a study consists of."""
    from snn2ann.files import write_json
    from snn2ann.study import load_parameters, resolve

    resolved = resolve(load_parameters(params), study)
    if resolved.digest != digest:
        raise UserError(
            f"{params}: changed since the workflow read it (study {study} is {resolved.digest}, not {digest}); "
            "start the workflow again"
        )
    write_json(output, resolved.study_json())


def collect(study_folder: StudyFolder) -> None:
    """Collect a study's runs into results.csv."""
    from snn2ann.report.results import collect_results

    collect_results(study_folder)


def table(names: Annotated[list[str], typer.Argument(metavar="NAME")], study_folder: StudyFolder) -> None:
    """Make tables."""
    from snn2ann.report.tables import make_table
    from snn2ann.runs.problems import each_in_turn

    each_in_turn(make_table, names, study_folder)


def figure(names: Annotated[list[str], typer.Argument(metavar="NAME")], study_folder: StudyFolder) -> None:
    """Make figures."""
    from snn2ann.report.figures import make_figure
    from snn2ann.runs.problems import each_in_turn

    each_in_turn(make_figure, names, study_folder)


def claims(study_folder: StudyFolder) -> None:
    """Hold the paper's claims against what was measured, and that against the reference run, if there is one."""
    from snn2ann.report.judging import make_claims
    from snn2ann.report.metrics import make_metrics

    make_claims(study_folder)
    make_metrics(study_folder)


def publish(
    study_folder: StudyFolder,
    output: Annotated[Path, typer.Option(help="Folder of the documentation to make.")],
    page: Annotated[
        list[Path], typer.Option(help="File whose marked blocks to bring up to date; may be repeated.")
    ] = [],  # noqa: B006
    paper: Annotated[Path | None, typer.Option(help="Folder with the template of a paper, to be filled.")] = None,
    second: Annotated[
        Path | None, typer.Option(help="The same study as made on another kind of processor, to stand beside.")
    ] = None,
) -> None:
    """Put a study's tables, figures and verdicts into the documentation."""
    from snn2ann.report.publish import publish as run_publication

    run_publication(study_folder, output, page, paper, second)


def crate(
    study_folder: StudyFolder,
    output: Annotated[Path, typer.Option(help="Folder to make, or a file that ends in .zip.")],
) -> None:
    """Pack a finished study as an RO-Crate: runs, results, verdicts and what made them, for an archive."""
    from snn2ann.report.crate import write_crate

    write_crate(study_folder, output)


def registered(
    pages: Annotated[list[Path] | None, typer.Argument(help="Pages; else those of the documentation.")] = None,
) -> None:
    """Bring the documentation's tables of methods, data sets and parameters up to date with what the code says."""
    from snn2ann.report.registered import fill

    fill(pages or [Path("docs/method.md"), Path("docs/data.md"), Path("docs/parameters.md")])


def schema(
    output: Annotated[Path, typer.Option(help="JSON file to write.")] = Path("workflow/schemas/params.schema.json"),
) -> None:
    """Write the JSON schema of params.yaml, which editors complete and check by."""
    from snn2ann.files import write_json
    from snn2ann.parameters.schema import published

    write_json(output, published())


def track(
    study_folder: StudyFolder,
    store: StoreUri = None,
    models: Annotated[str, typer.Option(help="Whose networks to record as well: none, headline or all.")] = "none",
    params: Annotated[
        Path | None, typer.Option(help="The parameters' file, whose store it is; on a command line others may read it.")
    ] = None,
    mark: Annotated[
        Path | None,
        typer.Option(
            help="File to write in the end; a store that does not answer is then a warning and the file says so."
        ),
    ] = None,
) -> None:
    """Log a study's files to MLflow; logged runs are updated, not doubled."""
    from snn2ann.files import write_json
    from snn2ann.parameters import load_parameters, validate
    from snn2ann.tracking.store import StoreError
    from snn2ann.tracking.track import track_study

    if params is not None:
        parameters = load_parameters(params)
        validate(parameters)
        store = store or parameters["tracking"]["store"]
    try:
        pages = track_study(study_folder, store, models)
    except StoreError as error:
        if mark is None:
            raise
        print(f"warning: {error}", file=sys.stderr)
        write_json(mark, {"lacks": str(error)})
    else:
        print(*pages.lines(), sep="\n")
        if mark is not None:
            write_json(mark, {"pages": pages.lines()})


def watch(
    study: Annotated[str, typer.Option(help="Name of the study.")],
    params: Params = Path("params.yaml"),
    runs: Runs = Path("results/runs"),
    store: StoreUri = None,
) -> None:
    """Show the curves of a study's runs in MLflow while they train; `snakemake` starts this by itself."""
    from snn2ann.study import load_parameters, resolve
    from snn2ann.tracking.watch import watch_study

    parameters = load_parameters(params)
    watch_study(resolve(parameters, study), runs, store or parameters["tracking"]["store"])
