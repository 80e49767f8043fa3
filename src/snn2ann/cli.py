"""The command line: `snn2ann fetch|train|calibrate|evaluate|measure|...`, what the workflow's rules call."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from snn2ann.devices import claim_gpu
from snn2ann.errors import UserError
from snn2ann.files import CURES
from snn2ann.runs.folder import RunFolder, calibrated_thresholds

app = typer.Typer(
    help="SNN2ANN, reproduced: train, calibrate and evaluate spiking networks, and report on them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

Spec = Annotated[str, typer.Option(help="Specification as JSON, or the path of a YAML or JSON file.")]
Data = Annotated[Path, typer.Option(help="Folder of the prepared data set.")]
RunPath = Annotated[Path, typer.Option(help="Folder of the run.")]
StudyFolder = Annotated[Path, typer.Option(help="Folder of the study, such as results/digits.")]
Params = Annotated[Path, typer.Option(help="The parameters' file.")]
Threads = Annotated[int, typer.Option(help="Threads of torch; 0 leaves torch's own choice.")]
Runs = Annotated[Path, typer.Option(help="Folder of all runs.")]
TimeSteps = Annotated[
    int | None, typer.Option(help="T of the figures; else the training T, or the largest T evaluated.")
]
StoreUri = Annotated[str | None, typer.Option(help="URI of an MLflow store.")]
Device = Annotated[str, typer.Option(help="auto or cuda, a free GPU; cpu, or cuda:N, free or not.")]


def main() -> None:
    """Run the command line; a user's mistake, or a file that can't be written, is one message and exit status 2."""
    try:
        app()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        if error.errno not in CURES:
            raise
        print(f"error: {error.filename or 'output'}: {error.strerror}; {CURES[error.errno]}", file=sys.stderr)
        sys.exit(2)


@app.command()
def fetch(
    spec: Spec,
    raw: Annotated[Path, typer.Option(help="Folder that keeps downloads.")],
    output: Annotated[Path, typer.Option(help="Folder to make.")],
) -> None:
    """Fetch, verify and prepare a data set."""
    from snn2ann.data.prepare import fetch_and_prepare

    fetch_and_prepare(read_spec(spec), raw, output)


@app.command()
def train(
    spec: Spec,
    data: Data,
    output: Annotated[Path, typer.Option(help="The run's folder.")],
    source: Annotated[Path | None, typer.Option(help="Folder of the run to start from.")] = None,
    threads: Threads = 0,
    device: Device = "auto",
) -> None:
    """Train a run, going on where a killed one stopped."""
    chosen = set_up_torch(threads, device)
    from snn2ann.data.loading import load
    from snn2ann.training.loop import train as run_training

    run_training(read_spec(spec), load(data), output, chosen, source)


@app.command()
def calibrate(
    run: RunPath,
    data: Data,
    spec: Spec,
    output: Annotated[Path, typer.Option(help="calibration-<digits>.json in the run's folder.")],
    threads: Threads = 0,
    device: Device = "auto",
) -> None:
    """Adjust a trained run's thresholds on training images, its weights untouched."""
    chosen = set_up_torch(threads, device)
    from snn2ann.data.loading import load
    from snn2ann.evaluation.calibrate import calibrate as run_calibration

    run_calibration(read_run(run), read_spec(spec), load(data), run, output, chosen)


@app.command()
def evaluate(
    run: RunPath,
    data: Data,
    spec: Spec,
    output: Annotated[Path, typer.Option(help="evaluation-<digits>.json in the run's folder.")],
    calibration: Annotated[Path | None, typer.Option(help="calibration-<digits>.json of the run.")] = None,
    threads: Threads = 0,
    device: Device = "auto",
) -> None:
    """Evaluate a run at every T in one pass over each split."""
    chosen = set_up_torch(threads, device)
    from snn2ann.data.loading import load
    from snn2ann.evaluation.evaluate import evaluate as run_evaluation

    thresholds = calibrated_thresholds(calibration) if calibration else None
    run_evaluation(read_run(run), read_spec(spec), load(data), run, output, chosen, thresholds)


@app.command()
def make_run(
    spec: Spec,
    data: Data,
    run: RunPath,
    evaluation: Annotated[str, typer.Option(help="Specification of the evaluation: JSON, or a file.")],
    output: Annotated[Path, typer.Option(help="evaluation-<digits>.json in the run's folder.")],
    calibration: Annotated[str, typer.Option(help="Specification of the calibration, or null.")] = "null",
    source: Annotated[Path | None, typer.Option(help="Folder of the run to start from.")] = None,
    threads: Threads = 0,
    device: Device = "auto",
) -> None:
    """Train, calibrate and evaluate a run; what of it is there already is kept."""
    chosen = set_up_torch(threads, device)
    from snn2ann.data.loading import load
    from snn2ann.evaluation.make_run import Phases
    from snn2ann.evaluation.make_run import make_run as make

    calibrated = None if calibration == "null" else read_spec(calibration)
    make(Phases(read_spec(spec), calibrated, read_spec(evaluation)), load(data), run, output, chosen, source)


@app.command()
def measure(
    spec: Spec,
    output: Annotated[Path, typer.Option(help="CSV file to write.")],
    threads: Threads = 0,
    device: Device = "auto",
) -> None:
    """Measure the time and the memory of a training step, methods alternating."""
    chosen = set_up_torch(threads, device)
    from snn2ann.evaluation.cost import measure as run_measurement

    run_measurement(read_spec(spec), output, chosen)


@app.command()
def measure_inference(
    spec: Spec,
    output: Annotated[Path, typer.Option(help="CSV file to write.")],
    threads: Threads = 0,
    device: Device = "auto",
) -> None:
    """Measure the time of inference at each T, methods alternating."""
    chosen = set_up_torch(threads, device)
    from snn2ann.evaluation.inference import measure_inference as run_measurement

    run_measurement(read_spec(spec), output, chosen)


@app.command()
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


@app.command()
def collect(study_folder: StudyFolder) -> None:
    """Collect a study's runs into results.csv."""
    from snn2ann.report.results import collect_results

    collect_results(study_folder)


@app.command()
def table(names: Annotated[list[str], typer.Argument(metavar="NAME")], study_folder: StudyFolder) -> None:
    """Make tables."""
    from snn2ann.report.tables import make_table
    from snn2ann.runs.problems import each_in_turn

    each_in_turn(make_table, names, study_folder)


@app.command()
def figure(names: Annotated[list[str], typer.Argument(metavar="NAME")], study_folder: StudyFolder) -> None:
    """Make figures."""
    from snn2ann.report.figures import make_figure
    from snn2ann.runs.problems import each_in_turn

    each_in_turn(make_figure, names, study_folder)


@app.command()
def claims(study_folder: StudyFolder) -> None:
    """Hold the paper's claims against what was measured, and that against the reference run, if there is one."""
    from snn2ann.report.judging import make_claims
    from snn2ann.report.metrics import make_metrics

    make_claims(study_folder)
    make_metrics(study_folder)


@app.command()
def agree(
    here: Annotated[Path, typer.Argument(help="Folder of a study: results/<study>, or a published one.")],
    there: Annotated[Path, typer.Argument(help="Folder to compare with, such as docs/reference/<study>.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Say of each claim and headline cell whether two makings of a study agree (exit status 1 if one differs)."""
    from snn2ann.report.agreement import agreement_content, agreement_text, compare_studies

    rows = compare_studies(here, there)
    content = agreement_content(rows, here, there)
    print(json.dumps(content, indent=1, ensure_ascii=False) if as_json else agreement_text(rows))
    if content["differs"]:
        sys.exit(1)


@app.command()
def report(study_folder: StudyFolder) -> None:
    """Report on a study that is not finished: tables, figures and verdicts of the runs that are there."""
    from snn2ann.report.so_far import report_so_far

    report_so_far(study_folder)


@app.command()
def publish(
    study_folder: StudyFolder,
    output: Annotated[Path, typer.Option(help="Folder of the documentation to make.")],
    page: Annotated[
        list[Path], typer.Option(help="File whose marked blocks to bring up to date; may be repeated.")
    ] = [],  # noqa: B006
    second: Annotated[
        Path | None, typer.Option(help="The same study as made on another kind of processor, to stand beside.")
    ] = None,
) -> None:
    """Put a study's tables, figures and verdicts into the documentation."""
    from snn2ann.report.publish import publish as run_publication

    run_publication(study_folder, output, page, second)


@app.command()
def registered(
    pages: Annotated[list[Path] | None, typer.Argument(help="Pages; else those of the documentation.")] = None,
) -> None:
    """Bring the documentation's tables of methods, data sets and parameters up to date with what the code says."""
    from snn2ann.report.registered import fill

    fill(pages or [Path("docs/method.md"), Path("docs/data.md"), Path("docs/parameters.md")])


@app.command()
def schema(
    output: Annotated[Path, typer.Option(help="JSON file to write.")] = Path("workflow/schemas/params.schema.json"),
) -> None:
    """Write the JSON schema of params.yaml, which editors complete and check by."""
    from snn2ann.files import write_json
    from snn2ann.parameters.schema import published

    write_json(output, published())


@app.command()
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
    from snn2ann.files import write_text
    from snn2ann.parameters import load_parameters, validate
    from snn2ann.tracking.store import StoreError
    from snn2ann.tracking.track import track_study

    if params is not None:
        parameters = load_parameters(params)
        validate(parameters)
        store = store or parameters["tracking"]["store"]
    try:
        track_study(study_folder, store, models)
    except StoreError as error:
        if mark is None:
            raise
        print(f"warning: {error}", file=sys.stderr)
        write_text(mark, f"{error}\n")
    else:
        if mark is not None:
            write_text(mark, "")


@app.command()
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


@app.command()
def rerun(
    name: Annotated[str, typer.Argument(metavar="RUN", help="Folder of a run, or its name.")],
    runs: Runs = Path("results/runs"),
    data: Annotated[Path, typer.Option(help="Folder of the prepared data sets.")] = Path("data"),
    output: Annotated[Path | None, typer.Option(help="Folder to make; else a temporary one.")] = None,
    anyway: Annotated[bool, typer.Option("--anyway", help="Go on where the code is not what made the run.")] = False,
    print_diff: Annotated[
        bool, typer.Option("--print-diff", help="Print the changes to tracked files that the run was made with.")
    ] = False,
) -> None:
    """Make a run again, apart from it, and say whether it is the same to the byte (exit status 1 if not)."""
    from snn2ann.runs.recorded_run import find_run
    from snn2ann.training.rerun import code_differences, read_recorded, surroundings
    from snn2ann.training.rerun import rerun as run_again

    run = read_recorded(find_run(name, runs))
    if print_diff:
        print((run.snapshot or {}).get("diff") or "", end="")
        return
    if (differences := code_differences(run)) and not anyway:
        raise UserError(f"{run.folder}: {'; '.join(differences)}. Or give --anyway")
    for text in [*differences, *surroundings(run)]:
        print(f"note: {text}", file=sys.stderr)
    device = set_up_torch(run.training["threads"], run.training["device"])
    same = run_again(run, data, runs, device, output)
    for file, equal in same.items():
        print(f"{file}: {'the same bytes' if equal else 'DIFFERENT'}")
    if not all(same.values()):
        sys.exit(1)


@app.command()
def check(
    params: Params = Path("params.yaml"),
    study: Annotated[str | None, typer.Option(help="Name of the study; else the file's own choice.")] = None,
) -> None:
    """Validate the parameters, build and trace the study's networks, and list its runs."""
    from snn2ann.study import load_parameters, resolve

    parameters = load_parameters(params)
    resolved = resolve(parameters, study or parameters.get("study", ""))
    # After the parameters, whose faults are said without waiting for torch.
    from snn2ann.foresight import foresee

    foresee(resolved)
    for run in resolved.runs:
        print(run.name)


@app.command()
def compare(
    names: Annotated[list[str], typer.Argument(metavar="RUN", help="Folders of two runs or more, or their names.")],
    runs: Runs = Path("results/runs"),
    time_steps: TimeSteps = None,
) -> None:
    """Print runs side by side: the parameters that differ, and what came of them."""
    from snn2ann.report.compare import compare_runs

    compare_runs(names, runs, time_steps)


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="RUN", help="Folder of a run, or its name.")],
    runs: Runs = Path("results/runs"),
    time_steps: TimeSteps = None,
) -> None:
    """Print one run: its parameters, its curves as text, its final figures."""
    from snn2ann.report.show import show_run

    show_run(name, runs, time_steps)


@app.command()
def estimate(
    params: Params = Path("params.yaml"),
    study: Annotated[str | None, typer.Option(help="Name of the study; else the file's own choice.")] = None,
    teraflops: Annotated[float, typer.Option(help="What the machine sustains, in 10^12 operations a second.")] = 20.0,
) -> None:
    """Estimate how long a study's training takes, from its arithmetic alone."""
    from snn2ann.evaluation.estimate import estimate as estimate_runs
    from snn2ann.study import load_parameters, resolve

    parameters = load_parameters(params)
    groups = estimate_runs(resolve(parameters, study or parameters.get("study", "")).runs)
    print("data set | network | method | T | runs | passes a step | 10^15 operations | hours")
    for group in groups:
        hours = group.operations / teraflops / 1e12 / 3600
        name = f"{group.dataset} | {group.network} | {group.method} | {group.time_steps or '-'}"
        print(f"{name} | {group.runs} | {group.passes} | {group.operations / 1e15:.3g} | {hours:.3g}")
    total = sum(group.operations for group in groups)
    print(f"total: {total / 1e15:.4g} x 10^15 operations, {total / teraflops / 1e12 / 3600:.3g} h")


@app.command()
def prune(
    params: Params = Path("params.yaml"),
    runs: Runs = Path("results/runs"),
    yes: Annotated[bool, typer.Option("--yes", help="Remove them; else only list them.")] = False,
) -> None:
    """List, or remove, the run folders that no study names."""
    import shutil

    from snn2ann.study import load_parameters, resolve, validate

    parameters = load_parameters(params)
    validate(parameters)
    named = {run.name for name in parameters["studies"] for run in resolve(parameters, name).runs}
    for folder in sorted(path for path in runs.glob("*") if path.is_dir() and path.name not in named):
        print(folder)
        if yes:
            shutil.rmtree(folder)


def read_spec(text: str) -> dict[str, Any]:
    """Read a specification: JSON, or the path of a YAML or JSON file.

    Raises:
        UserError: neither.
    """
    import yaml

    if text.lstrip().startswith("{"):
        try:
            return dict(json.loads(text))
        except ValueError as error:
            raise UserError(f"--spec: not valid JSON ({error})") from error
    try:
        found = yaml.safe_load(Path(text).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{text}: cannot be read ({error.strerror}); give JSON or the path of a file") from error
    except yaml.YAMLError as error:
        raise UserError(f"{text}: not valid YAML ({error})") from error
    if not isinstance(found, dict):
        raise UserError(f"{text}: expected a map, found {type(found).__name__}")
    return found


def read_run(folder: Path) -> dict[str, Any]:
    """Read the specification that a run's folder keeps.

    Raises:
        UserError: the folder holds no run.
    """
    return read_spec(str(RunFolder(folder).spec))


def set_up_torch(threads: int, device: str) -> str:
    """Set torch's threads, choose the device, and make a GPU deterministic; "auto" and "cuda" take a GPU that is free.

    Raises:
        UserError: a device that is not there.
    """
    if device in ("auto", "cuda"):
        claim_gpu()
    import torch

    if threads:
        torch.set_num_threads(threads)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"--device {device}: not there ({str(error).splitlines()[0]}); give auto or cpu") from error
    if device != "cpu":
        # The CPU's operations that we use are deterministic anyway, and this call takes two seconds to load.
        torch.use_deterministic_algorithms(True, warn_only=True)
    return device


if __name__ == "__main__":
    main()
