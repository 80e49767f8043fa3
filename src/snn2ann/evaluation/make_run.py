"""A run from beginning to end in one process: trained, calibrated, evaluated."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snn2ann.data.loading import PreparedDataset
from snn2ann.evaluation.allocator import keep_freed_memory
from snn2ann.evaluation.calibrate import calibrate
from snn2ann.evaluation.evaluate import evaluate
from snn2ann.runs.folder import RunFolder, trained_files
from snn2ann.runs.packed import refuse_records_only
from snn2ann.training.loop import train


@dataclass(frozen=True)
class Phases:
    """What is done: the specification of the run, of its calibration (None without one) and of its evaluation."""

    training: Mapping[str, Any]
    calibration: Mapping[str, Any] | None
    evaluation: Mapping[str, Any]


def make_run(
    phases: Phases, dataset: PreparedDataset, run: Path, output: Path, device: str, source: Path | None = None
) -> None:
    """Do the phases of a run whose files are not there yet; the evaluation is always made.

    Args:
        phases: what is done.
        dataset: prepared images.
        run: the run's folder.
        output: the evaluation's JSON file in it.
        device: a torch device.
        source: folder of the run whose weights this one starts from.

    Raises:
        UserError: a file of the run or of its source is missing or damaged, or the training is not finite.
    """
    folder = RunFolder(run)
    refuse_records_only(folder)
    if not all(path.exists() for path in trained_files(folder)):
        train(phases.training, dataset, run, device, source)
    # Evaluation is of large tensors of few sizes; training's differ more, and would leave gaps.
    keep_freed_memory()
    thresholds = None
    if phases.calibration is not None:
        digest = phases.evaluation["calibration"]
        thresholds = folder.calibrated_thresholds(digest)
        if not (folder.calibration(digest).exists() and thresholds.exists()):
            calibrate(phases.training, phases.calibration, dataset, run, folder.calibration(digest), device)
    evaluate(phases.training, phases.evaluation, dataset, run, output, device, thresholds)
