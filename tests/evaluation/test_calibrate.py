"""A run's calibration from its folder: what it writes is what its evaluation finds."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snn2ann.data.loading import PreparedDataset
from snn2ann.evaluation.calibrate import calibrate
from snn2ann.evaluation.census import AgreementCensus
from snn2ann.evaluation.evaluate import evaluate
from snn2ann.files import read_json
from snn2ann.methods.build import build_model
from snn2ann.options import RELEASED
from snn2ann.runs.folder import RunFolder, calibrated_thresholds
from snn2ann.runs.weights import load_state, load_tensors, save_state, split_state
from snn2ann.training.loop import plain_batches, train
from tests.recipes import PLAIN

SPEC: dict[str, Any] = {
    "dataset": {"shape": (2, 8, 8), "classes": 3},
    "network": {"kind": "vgg", "blocks": [[6], [8]], "pooled_blocks": [1, 2], "dropout": [0.0, 0.0]},
    "method": {
        "name": "snn2ann",
        "time_steps": 3,
        "options": asdict(RELEASED) | {"threshold_start": 0.02, "ata": False},
    },
    "recipe": PLAIN
    | {
        "batch_size": 13,
        "learning_rate": 0.02,
        "augmentation": {"crop_padding": 0, "horizontal_flip": False},
    },
    "seed": 1,
    "source": None,
}
JOB = {"time_steps": 3, "target": 0.005, "step": 0.3, "passes": 2, "images": 14}


@pytest.fixture(scope="module")
def dataset() -> PreparedDataset:
    pixels = np.random.default_rng(0).integers(0, 256, (90, 2, 8, 8), dtype=np.uint8)
    indices = {"train": np.arange(40), "validation": np.arange(40, 70), "test": np.arange(70, 90)}
    return PreparedDataset(
        "noise", "0", pixels, np.arange(90) % 3, indices, 255, [0.5, 0.5], [0.2, 0.2], ["a", "b", "c"]
    )


@pytest.fixture(scope="module")
def run(dataset: PreparedDataset, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = RunFolder(tmp_path_factory.mktemp("run"))
    train(SPEC, dataset, folder.path, "cpu")
    model = build_model(SPEC)
    load_state(model, folder.weights, folder.thresholds)
    for name, value in model.network.model.named_parameters():
        if name.endswith("norm.bias"):
            # Currents that come and go: negative totals with positive steps.
            value.data.sub_(0.4)
    save_state(folder, *split_state(model))
    calibrate(SPEC, JOB, dataset, folder.path, folder.calibration("1"), "cpu")
    return folder


def test_accuracies_are_those_of_the_evaluation_before_and_after(run: RunFolder, dataset: PreparedDataset) -> None:
    job = {"time_steps": 3, "coupled_time_steps": 3, "batch_size": 7}
    evaluate(SPEC, job, dataset, run.path, run.evaluation("1"), "cpu", calibrated_thresholds(run.calibration("1")))
    entries = [each for each in read_json(run.evaluation("1"))["entries"] if each["split"] == "validation"]
    found = {each["thresholds"]: each["accuracy"][2] for each in entries}
    passes = read_json(run.calibration("1"))["passes"]
    assert len(passes) == 3
    assert [passes[0]["validation_accuracy"], passes[-1]["validation_accuracy"]] == [
        found["trained"],
        found["calibrated"],
    ]


def test_rates_are_of_whole_batches_until_there_are_images_enough(run: RunFolder, dataset: PreparedDataset) -> None:
    model = build_model(SPEC).eval()
    load_state(model, run.weights, run.thresholds)
    census = AgreementCensus()
    batches = [images for images, _ in plain_batches(dataset, "train", 13, None, "cpu")]
    for images in batches[:2]:
        model.coupled_forward(images, 3, census.observe)
    first, *_, last = read_json(run.calibration("1"))["passes"]
    assert first["noisy_spike_rate"] == pytest.approx(census.noisy_spike_rates())
    assert read_json(run.calibration("1"))["reached"] == (max(last["noisy_spike_rate"].values()) <= JOB["target"])


def test_the_thresholds_beside_it_are_the_last_passes(run: RunFolder, tmp_path: Path) -> None:
    thresholds = load_tensors(calibrated_thresholds(run.calibration("1")))
    means = read_json(run.calibration("1"))["passes"][-1]["threshold_mean"]
    found = {name.removesuffix(".threshold"): float(value.mean()) for name, value in thresholds.items()}
    assert found == pytest.approx(means, rel=1e-5)
