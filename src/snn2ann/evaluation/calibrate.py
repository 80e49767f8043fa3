"""Calibration: adjust a trained network's thresholds on training images until few of its spikes are noisy.

The weights stay as they are. Works for any model with an ANN branch, a converted plain ANN's among them.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from snn2ann.data.loading import PreparedDataset
from snn2ann.evaluation.census import AgreementCensus
from snn2ann.files import write_json
from snn2ann.methods.build import build_model, placed
from snn2ann.methods.model import Model
from snn2ann.parameters.jobs import CalibrationJob
from snn2ann.parameters.recipe import Recipe
from snn2ann.parameters.whole import part_of
from snn2ann.progress import progress
from snn2ann.runs.folder import RunFolder, calibrated_thresholds
from snn2ann.runs.weights import load_state, save_tensors, split_state
from snn2ann.training.loop import plain_batches

Batches = Callable[[], Iterator[Tensor]]


@torch.no_grad()
def calibrate_thresholds(
    model: Model, batches: Batches, *, time_steps: int, target: float, step: float, passes: int
) -> Iterator[dict[str, Any]]:
    """Raise the thresholds of every layer whose noisy-spike rate is above the target, pass by pass.

    A raised layer's thresholds grow by `step` times their mean, all alike, as ATA does in training. It changes the input of
    the layers after it, so rates are measured anew in each pass.

    Args:
        model: a coupled one; put into evaluation mode here.
        batches: gives training images [B, C, H, W], anew at each call.
        time_steps: T to measure at.
        target: rate (0 to 1) that no layer shall exceed.
        step: rise of a pass, as a share of the layer's mean threshold.
        passes: limit of passes.

    Yields:
        After each measurement, {"pass", "noisy_spike_rate", "threshold_mean"}, by layer; pass 0 is before any change. The
        caller may look at the model before it goes on.
    """
    model.eval()
    layers = model.network.by_label()
    for number in range(passes + 1):
        census = AgreementCensus()
        for images in batches():
            model.coupled_forward(images, time_steps, census.observe)
        rates = census.noisy_spike_rates()
        means = {name: float(layer.threshold.mean()) for name, layer in layers.items()}
        yield {"pass": number, "noisy_spike_rate": rates, "threshold_mean": means}
        noisy = [name for name, rate in rates.items() if rate > target]
        if not noisy or number == passes:
            return
        for name in noisy:
            layers[name].threshold.add_(step * means[name])


def calibrate(
    spec: Mapping[str, Any],
    calibration: Mapping[str, Any],
    dataset: PreparedDataset,
    run: Path,
    output: Path,
    device: str,
) -> None:
    """Calibrate a run; write the record, and the thresholds beside it.

    Args:
        spec: the run's specification.
        calibration: time_steps, target, step, passes and images (how many training images).
        dataset: prepared images.
        run: the run's folder.
        output: the JSON file to write; see `runs.folder.calibrated_thresholds` for the other.
        device: a torch device.

    Raises:
        UserError: a file of the run is missing or damaged.
    """
    model = placed(build_model(spec), device)
    load_state(model, RunFolder(run).weights, RunFolder(run).thresholds)
    job = part_of(CalibrationJob, calibration, "calibration")
    recipe = part_of(Recipe, spec["recipe"], "recipe")
    time_steps = job.time_steps

    def split(name: str) -> Iterator[tuple[Tensor, Tensor]]:
        return plain_batches(dataset, name, recipe.batch_size, recipe.channels, device)

    def training_images() -> Iterator[Tensor]:
        seen = 0
        for images, _ in split("train"):
            if seen >= job.images:
                return
            seen += len(images)
            yield images

    found = []
    with progress(f"calibrate {run.name}", job.passes + 1, "pass") as advance:
        for row in calibrate_thresholds(
            model, training_images, time_steps=time_steps, target=job.target, step=job.step, passes=job.passes
        ):
            row["validation_accuracy"] = _accuracy(model, split("validation"), time_steps)
            found.append(row)
            advance(f"highest noisy-spike rate {max(row['noisy_spike_rate'].values()):.3f}")
    save_tensors(calibrated_thresholds(output), split_state(model)[1])
    reached = max(found[-1]["noisy_spike_rate"].values()) <= job.target
    write_json(
        output,
        {
            "time_steps": time_steps,
            "target": job.target,
            "reached": reached,
            "passes": found,
        },
    )


def _accuracy(model: Model, batches: Iterator[tuple[Tensor, Tensor]], time_steps: int) -> float:
    correct = seen = 0
    for images, labels in batches:
        correct += int((model.spiking_forward(images, time_steps)[-1].argmax(1) == labels).sum())
        seen += len(labels)
    return correct / seen
