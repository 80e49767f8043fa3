"""One run as its folder tells of it: its parameters, its training and every evaluation of it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from snn2ann.errors import UserError
from snn2ann.runs.columns import BALANCED
from snn2ann.runs.folder import RunFolder, find_folders
from snn2ann.runs.naming import chosen_name
from snn2ann.runs.problems import try_read
from snn2ann.runs.reading import read_evaluation, read_training
from snn2ann.runs.records import EvaluationEntry, TrainingRecord
from snn2ann.runs.spec import read_spec

Entry = EvaluationEntry


@dataclass(frozen=True)
class RecordedRun:
    """A run that is finished, or as much of it as is there.

    Attributes:
        folder: the run's folder.
        spec: what the run is.
        training: what its training came to; None where that is not finished.
        evaluations: the entries of each evaluation, by the name of its file.
        problems: what is wrong with files that are there.
        missing: what is not there yet.
    """

    folder: Path
    spec: dict[str, Any]
    training: TrainingRecord | None
    evaluations: dict[str, list[Entry]]
    problems: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.resolve().name

    @property
    def training_time_steps(self) -> int | None:
        """T of training, None for methods that are trained without time."""
        steps = self.spec["method"].get("time_steps")
        return None if steps is None else int(steps)


def find_run(run: str, root: Path) -> Path:
    """The folder of a run that is given as a folder, or in words that `chosen_name` understands, under `root`.

    Raises:
        UserError: there is none, or there are several; the message names the runs that may be meant.
    """
    if run and RunFolder(Path(run)).spec.is_file():
        return Path(run)
    names = [found.path.name for found in find_folders(root)]
    return root / chosen_name(Path(run).name, names, str(root))


def read_recorded_run(run: str, root: Path) -> RecordedRun:
    """Read a run that is given as a folder or as a name under `root`; what is wrong or missing is noted in it.

    Raises:
        UserError: no such run, or what it is can't be read.
    """
    folder = find_run(run, root)
    problems: list[str] = []
    missing: list[str] = []
    training = None
    files = RunFolder(folder)
    if files.trained:
        training = try_read(read_training, files.training, problems)
    else:
        missing.append(f"{files.training.name} (training is not finished)")
    paths = files.evaluations()
    evaluations = {path.name: try_read(read_evaluation, path, problems) or [] for path in paths}
    if not paths:
        missing.append(f"{files.evaluation('*').name} (not evaluated)")
    return RecordedRun(folder, read_spec(files.spec), training, evaluations, problems, missing)


def figures_at(run: RecordedRun, entry: Entry, time_steps: int | None) -> dict[str, float | None]:
    """What one entry of an evaluation says at one T.

    Args:
        run: the entry's run.
        entry: of an evaluation.
        time_steps: T; None for the run's training T or, where that is none or not evaluated, the largest T.

    Returns:
        time_steps, accuracy (fraction), balanced_accuracy (mean over classes; of images of one's own alone),
        spikes_per_image, noisy_spike_rate (mean over layers, always at the T at which the branches were compared) and
        energy (joule an image); None where a network has no such thing.

    Raises:
        UserError: T was not evaluated.
    """
    evaluated = entry["time_steps"]
    rates = [rate for layer in entry["layers"] if (rate := layer.get("noisy_spike_rate")) is not None]
    if not evaluated:
        balanced: list[float] = entry.get("balanced_accuracy") or []
        found = {"time_steps": None, "accuracy": entry["ann_accuracy"], "spikes_per_image": None}
        return {
            **found,
            BALANCED: balanced[0] if balanced else None,
            "noisy_spike_rate": None,
            "energy": entry.get("ann_energy"),
        }
    if time_steps is not None and time_steps not in evaluated:
        raise UserError(f"{run.folder}: not evaluated at T={time_steps}; choose {evaluated[0]} to {evaluated[-1]}")
    trained = run.training_time_steps
    chosen = time_steps or (trained if trained in evaluated else evaluated[-1])
    place = evaluated.index(chosen)
    return {
        "time_steps": chosen,
        "accuracy": entry["accuracy"][place],
        "spikes_per_image": entry["spikes_per_image"][place],
        "energy": entry["energy"][place],
        BALANCED: entry["balanced_accuracy"][place] if "balanced_accuracy" in entry else None,
        "noisy_spike_rate": sum(rates) / len(rates) if rates else None,
    }
