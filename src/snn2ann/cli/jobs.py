"""What the workflow's jobs call: data, training, calibration, evaluation, measurement, each from a specification."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from snn2ann.cli.device import set_up_torch
from snn2ann.cli.options import Data, Device, RunFolderPath, Spec, Threads
from snn2ann.cli.processes import joined, start_processes
from snn2ann.errors import UserError
from snn2ann.runs.folder import RunFolder, calibrated_thresholds


def fetch(
    spec: Spec,
    raw: Annotated[Path, typer.Option(help="Folder that keeps downloads.")],
    output: Annotated[Path, typer.Option(help="Folder to make.")],
) -> None:
    """Fetch, verify and prepare a data set."""
    from snn2ann.data.prepare import fetch_and_prepare

    fetch_and_prepare(read_spec(spec), raw, output)


def train(
    spec: Spec,
    data: Data,
    output: Annotated[Path, typer.Option(help="The run's folder.")],
    source: Annotated[Path | None, typer.Option(help="Folder of the run to start from.")] = None,
    threads: Threads = 0,
    device: Device = "auto",
    processes: Annotated[
        int, typer.Option(help="How many processes train it together, each on a GPU of its own; torchrun's are seen.")
    ] = 1,
) -> None:
    """Train a run, going on where a killed one stopped."""
    described = read_spec(spec)
    if start_processes(processes, device, described):
        return
    with joined(device):
        chosen = set_up_torch(threads, device)
        from snn2ann.data.loading import load
        from snn2ann.training.loop import train as run_training

        run_training(described, load(data), output, chosen, source)


def calibrate(
    run: RunFolderPath,
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
    from snn2ann.runs.spec import read_spec as read_run

    run_calibration(read_run(RunFolder(run).spec), read_spec(spec), load(data), run, output, chosen)


def evaluate(
    run: RunFolderPath,
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
    from snn2ann.runs.spec import read_spec as read_run

    thresholds = calibrated_thresholds(calibration) if calibration else None
    run_evaluation(read_run(RunFolder(run).spec), read_spec(spec), load(data), run, output, chosen, thresholds)


def make_run(
    spec: Spec,
    data: Data,
    run: RunFolderPath,
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


def read_spec(text: str) -> dict[str, Any]:
    """Read a specification: JSON, or the path of a YAML or JSON file.

    Raises:
        UserError: neither.
    """
    import yaml

    if text.lstrip().startswith("{"):
        return _json_map(text, "--spec")
    try:
        content = Path(text).read_text(encoding="utf-8")
        # YAML takes JSON's 5e-05 for a word.
        found = _json_map(content, text) if content.lstrip().startswith("{") else yaml.safe_load(content)
    except OSError as error:
        raise UserError(f"{text}: cannot be read ({error.strerror}); give JSON or the path of a file") from error
    except yaml.YAMLError as error:
        raise UserError(f"{text}: not valid YAML ({error})") from error
    if not isinstance(found, dict):
        raise UserError(f"{text}: expected a map, found {type(found).__name__}")
    return found


def _json_map(text: str, place: str) -> dict[str, Any]:
    try:
        return dict(json.loads(text))
    except ValueError as error:
        raise UserError(f"{place}: not valid JSON ({error})") from error
