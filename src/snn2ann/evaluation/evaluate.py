"""Evaluate a trained run: one pass over a split gives accuracy, spikes, operations and energy at every T."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from snn2ann.data.loading import PreparedDataset
from snn2ann.evaluation.arithmetic import (
    JOULE_PER_ACCUMULATE,
    JOULE_PER_MAC,
    image_operations,
)
from snn2ann.evaluation.census import AgreementCensus, ClassCensus, SpikeCensus
from snn2ann.files import write_json
from snn2ann.methods.build import build_model, placed
from snn2ann.methods.model import Model
from snn2ann.parameters.jobs import EvaluationJob
from snn2ann.parameters.recipe import Recipe
from snn2ann.parameters.whole import part_of
from snn2ann.progress import progress
from snn2ann.runs.folder import RunFolder
from snn2ann.runs.records import Measures
from snn2ann.runs.weights import load_state
from snn2ann.training.loop import plain_batches

Batches = Callable[[], Iterator[tuple[Tensor, Tensor]]]
# The test split is read for what is reported, and for nothing else.
STATES = (
    ("selected", "trained", "validation"),
    ("selected", "trained", "test"),
    ("last", "trained", "test"),
    ("selected", "calibrated", "validation"),
    ("selected", "calibrated", "test"),
)


def evaluate(
    spec: Mapping[str, Any],
    evaluation: Mapping[str, Any],
    dataset: PreparedDataset,
    run: Path,
    output: Path,
    device: str,
    calibrated: Path | None = None,
) -> None:
    """Evaluate every state of a run and write the result.

    Args:
        spec: the run's specification.
        evaluation: time_steps (largest T), coupled_time_steps (T at which the branches are compared), batch_size.
        dataset: prepared images.
        run: the run's folder.
        output: the JSON file to write.
        device: a torch device.
        calibrated: calibrated thresholds, if the run has them.

    Raises:
        UserError: a file of the run is missing or damaged.
    """
    model = placed(build_model(spec), device)
    model.eval()
    job = part_of(EvaluationJob, evaluation, "evaluation")
    recipe = part_of(Recipe, spec["recipe"], "recipe")

    def split_batches(split: str) -> Iterator[tuple[Tensor, Tensor]]:
        return plain_batches(dataset, split, job.batch_size, recipe.channels, device)

    states = [state for state in STATES if calibrated is not None or state[1] == "trained"]
    entries = []
    # The last epoch is often the selected one, and thresholds that met the target stay as they were: not measured twice.
    measured: dict[tuple[bytes, bytes, str], Measures] = {}
    with progress(f"evaluate {run.name}", len(states), "state") as advance:
        for checkpoint, thresholds, split in states:
            folder = RunFolder(run) if checkpoint == "selected" else RunFolder(run).last
            files = (folder.weights, calibrated if calibrated and thresholds == "calibrated" else folder.thresholds)
            load_state(model, *files)
            key = (files[0].read_bytes(), files[1].read_bytes(), split)
            if key not in measured:
                measured[key] = evaluate_split(
                    model,
                    partial(split_batches, split),
                    job.time_steps,
                    job.coupled_time_steps,
                    dataset.classes if job.by_class else None,
                )
            entries.append({"checkpoint": checkpoint, "thresholds": thresholds, "split": split, **measured[key]})
            advance(f"{checkpoint}, {thresholds}, {split}")
    write_json(output, {"run": run.name, "entries": entries})


@torch.no_grad()
def evaluate_split(
    model: Model, batches: Batches, time_steps: int, coupled_time_steps: int, classes: int | None = None
) -> Measures:
    """Measure a model on one split.

    Args:
        model: in evaluation mode.
        batches: gives the split's images [B, C, H, W] and labels [B], anew at each call.
        time_steps: largest T.
        coupled_time_steps: T at which the branches are compared.
        classes: how many there are, where answers are to be counted by class; see `ClassCensus`.

    Returns:
        The fields of an evaluation entry: accuracies 0 to 1, spikes and operations an image, energy in joule an image.
    """
    census = ClassCensus(classes)
    if not model.spiking:
        return {**_evaluate_ann(model, batches(), census), **census.entry(1, 1)}
    measured = _evaluate_spiking(model, batches(), time_steps, census)
    entry: Measures = {**measured, **census.entry(time_steps, coupled_time_steps)}
    if model.coupled:
        _add_agreement(entry, model, batches(), coupled_time_steps)
    if model.converted:
        entry["ann_accuracy"] = _evaluate_ann(model, batches(), ClassCensus(None))["ann_accuracy"]
    return entry


def _evaluate_ann(model: Model, batches: Iterator[tuple[Tensor, Tensor]], by_class: ClassCensus) -> Measures:
    correct = images_seen = 0
    for images, labels in batches:
        answers = model.ann_forward(images).argmax(1)
        by_class.observe(answers[None], labels)
        correct += int((answers == labels).sum())
        images_seen += len(labels)
    operations = image_operations(model.network).all
    return {
        "images": images_seen,
        "ann_accuracy": correct / images_seen,
        "multiply_accumulates": operations,
        "ann_energy": operations * JOULE_PER_MAC,
        "time_steps": [],
        "accuracy": [],
        "spikes_per_image": [],
        "firing_rate": [],
        "synaptic_operations": [],
        "energy": [],
        "layers": [],
    }


def _evaluate_spiking(
    model: Model, batches: Iterator[tuple[Tensor, Tensor]], time_steps: int, by_class: ClassCensus
) -> Measures:
    census = SpikeCensus(time_steps)
    correct: Tensor | None = None
    images_seen = 0
    for images, labels in batches:
        answers = model.spiking_forward(images, time_steps, census.observe).argmax(2)
        by_class.observe(answers, labels)
        hits = (answers == labels).sum(1)
        correct = hits if correct is None else correct + hits
        images_seen += len(labels)
    assert correct is not None
    spikes = {name: (found.cumsum(0) / images_seen).tolist() for name, found in census.spikes.items()}
    totals = [sum(values) for values in zip(*spikes.values(), strict=True)]
    neurons = {label: layer.threshold.numel() for label, layer in model.network.by_label().items()}
    operations, products = ((each.cumsum(0) / images_seen).tolist() for each in (census.operations, census.products))
    # What the image alone decides is done once, its input being the same at every step; that of frames is not.
    analog = 0 if model.frames else image_operations(model.network).analog
    return {
        "images": images_seen,
        "ann_accuracy": None,
        "time_steps": list(range(1, time_steps + 1)),
        "accuracy": [hits / images_seen for hits in correct.tolist()],
        "spikes_per_image": totals,
        "firing_rate": [total / sum(neurons.values()) / step for step, total in enumerate(totals, start=1)],
        "synaptic_operations": [sum(both) for both in zip(operations, products, strict=True)],
        "multiply_accumulates": analog,
        "energy": [
            (analog + product) * JOULE_PER_MAC + operation * JOULE_PER_ACCUMULATE
            for operation, product in zip(operations, products, strict=True)
        ],
        "ann_energy": None,
        "layers": [
            {
                "name": name,
                "neurons": neurons[name],
                "spikes_per_image": values,
                "noisy_spike_rate": None,
                "agreement": None,
            }
            for name, values in spikes.items()
        ],
    }


def _add_agreement(entry: Measures, model: Model, batches: Iterator[tuple[Tensor, Tensor]], time_steps: int) -> None:
    """Fill in what needs both branches."""
    census = AgreementCensus()
    correct = 0
    for images, labels in batches:
        ann, _ = model.coupled_forward(images, time_steps, census.observe)
        correct += int((ann.argmax(1) == labels).sum())
    rates, correlations = census.noisy_spike_rates(), census.correlations()
    entry["ann_accuracy"] = correct / entry["images"]
    for layer in entry["layers"]:
        layer["noisy_spike_rate"] = rates[layer["name"]]
        layer["agreement"] = correlations[layer["name"]]
