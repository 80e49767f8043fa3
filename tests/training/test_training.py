"""Training a run: the same bytes from the same seed, also when killed half-way; what the folder holds."""

import csv
import json
from dataclasses import asdict
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from snn2ann.data import dataset_spec
from snn2ann.data.loading import PreparedDataset, load
from snn2ann.data.prepare import fetch_and_prepare
from snn2ann.errors import UserError
from snn2ann.methods import METHODS
from snn2ann.methods.build import build_model
from snn2ann.methods.model import Model, Step
from snn2ann.methods.snn2ann import Snn2Ann
from snn2ann.options import RELEASED
from snn2ann.runs.weights import load_tensors, save_tensors, split_state
from snn2ann.training import loop
from snn2ann.training.accuracy import Score
from snn2ann.training.checkpoint import load_checkpoint, save_checkpoint
from tests.recipes import PLAIN

DATASET = dataset_spec("digits", {"train_images": 200})
FILES = ["weights.safetensors", "thresholds.safetensors", "last/weights.safetensors", "last/thresholds.safetensors"]


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    folder = tmp_path_factory.mktemp("digits") / "prepared"
    fetch_and_prepare(DATASET, folder.parent / "raw", folder)
    return load(folder)


def spec(name: str, seed: int = 0, epochs: int = 2) -> dict[str, Any]:
    options = asdict(RELEASED) if name == "snn2ann" else METHODS[name].defaults
    return {
        "dataset": DATASET,
        "network": {"name": "vgg", "kind": "vgg", "blocks": [[4], [6]], "pooled_blocks": [1, 2], "dropout": [0.1, 0]},
        "method": {
            "name": name,
            "revision": METHODS[name].revision,
            "time_steps": 3 if METHODS[name].time_steps else None,
            "variant": None,
            "options": options,
        },
        "recipe": PLAIN | {"epochs": epochs},
        "seed": seed,
        "source": None,
    }


def bytes_of(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in FILES]


@pytest.mark.parametrize("name", ["ann", "stbp", "snn2ann"])
def test_two_runs_of_one_seed_give_the_same_bytes(name: str, digits: PreparedDataset, tmp_path: Path) -> None:
    for run, seed in (("one", 0), ("two", 0), ("other", 1)):
        # What was drawn before must not matter.
        torch.rand(len(run))
        loop.train(spec(name, seed), digits, tmp_path / run, "cpu")
    assert bytes_of(tmp_path / "one") == bytes_of(tmp_path / "two")
    assert bytes_of(tmp_path / "one")[0] != bytes_of(tmp_path / "other")[0]


@pytest.mark.parametrize("name", ["ann", "snn2ann"])
def test_a_killed_run_goes_on_to_the_same_bytes(
    name: str, digits: PreparedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop.train(spec(name, epochs=4), digits, tmp_path / "unbroken", "cpu")
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    epochs_run: list[int] = []
    original = loop.Trainer._epoch

    def dying(self: loop.Trainer, epoch: int) -> dict[str, Any]:
        epochs_run.append(epoch)
        if epochs_run == [1, 2, 3]:
            raise KeyboardInterrupt
        return original(self, epoch)

    monkeypatch.setattr(loop.Trainer, "_epoch", dying)
    with pytest.raises(KeyboardInterrupt):
        loop.train(spec(name, epochs=4), digits, tmp_path / "broken", "cpu")
    loop.train(spec(name, epochs=4), digits, tmp_path / "broken", "cpu")
    assert epochs_run == [1, 2, 3, 3, 4]
    assert bytes_of(tmp_path / "unbroken") == bytes_of(tmp_path / "broken")
    assert not (tmp_path / "broken" / "checkpoint.pt").exists()


@pytest.mark.parametrize(
    ("accuracies", "selected"),
    [([0.5, 0.7, 0.7, 0.6], 3), ([0.6, 0.4, 0.6, 0.6], 4), ([0.7, 0.7, 0.3, 0.1], 2), ([0.4, 0.3, 0.2, 0.1], 1)],
)
def test_of_equal_epochs_the_later_one_is_selected_and_its_own_state_is_kept(
    accuracies: list[float], selected: int, digits: PreparedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    states: list[dict[str, torch.Tensor]] = []

    def scored(model: Model, *arguments: Any) -> Score:
        weights, thresholds = split_state(model)
        states.append(weights | thresholds)
        return Score(1.0, accuracies[len(states) - 1], None)

    def raising(self: Snn2Ann, *arguments: Any) -> Step:
        for layer in self.network.by_label().values():
            layer.threshold.add_(0.01)
        return original(self, *arguments)

    original = Snn2Ann.training_step
    monkeypatch.setattr(Snn2Ann, "training_step", raising)
    monkeypatch.setattr(loop, "score", scored)
    loop.train(spec("snn2ann", epochs=4), digits, tmp_path, "cpu")
    assert json.loads((tmp_path / "training.json").read_text())["selected_epoch"] == selected
    for folder, epoch in ((tmp_path, selected), (tmp_path / "last", 4)):
        kept = load_tensors(folder / "weights.safetensors") | load_tensors(folder / "thresholds.safetensors")
        assert kept.keys() == states[epoch - 1].keys()
        assert all(torch.equal(value, states[epoch - 1][name]) for name, value in kept.items())
    # States of different epochs differ in every trained tensor, thresholds among them.
    name = "layers.block1_1.threshold"
    assert all(not torch.equal(one[name], other[name]) for one, other in pairwise(states))


def test_every_epoch_draws_from_a_seed_of_the_runs_own_and_its_number(
    digits: PreparedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds: list[int] = []
    original = Snn2Ann.training_step

    def watched(self: Snn2Ann, *arguments: Any) -> Step:
        seeds.append(torch.initial_seed())
        return original(self, *arguments)

    monkeypatch.setattr(Snn2Ann, "training_step", watched)
    loop.train(spec("snn2ann", seed=3, epochs=2), digits, tmp_path, "cpu")
    assert list(dict.fromkeys(seeds)) == [3_000_010, 3_000_011]


def test_the_model_is_told_how_far_its_training_is(
    digits: PreparedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[float] = []
    original = Snn2Ann.training_step

    def watched(self: Snn2Ann, *arguments: Any) -> Step:
        seen.append(float(self.progress))
        return original(self, *arguments)

    monkeypatch.setattr(Snn2Ann, "training_step", watched)
    loop.train(spec("snn2ann"), digits, tmp_path, "cpu")
    # 200 images in batches of 50, twice.
    assert seen == [batch / 8 for batch in range(8)]


@pytest.mark.parametrize(("pooled", "steps"), [(2, 2), (3, 1)], ids=["2×2 map", "1×1 map"])
def test_one_image_left_joins_the_last_batch_where_a_batchnorm_needs_two(
    pooled: int, steps: int, digits: PreparedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares: list[float] = []
    original = Snn2Ann.training_step

    def watched(self: Snn2Ann, images: torch.Tensor, *arguments: Any) -> Step:
        shares.append(len(images) / len(digits.indices["train"]))
        return original(self, images, *arguments)

    monkeypatch.setattr(Snn2Ann, "training_step", watched)
    chosen = spec("snn2ann", epochs=1)
    # The map is halved by each pooling, from 8×8, and the last block is after all of them.
    blocks = [[4]] * (pooled + 1)
    chosen["network"] |= {"blocks": blocks, "pooled_blocks": [*range(1, pooled + 1)], "dropout": [0.0] * len(blocks)}
    chosen["recipe"]["batch_size"] = len(digits.indices["train"]) - 1
    loop.train(chosen, digits, tmp_path, "cpu")
    assert len(shares) == steps and sum(shares) == pytest.approx(1)
    weights = load_tensors(tmp_path / "last" / "weights.safetensors")
    assert all(bool(value.isfinite().all()) for value in weights.values())


@pytest.mark.parametrize("what", ["the loss", "a gradient", "a threshold"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_training_that_is_not_finite_ends_with_an_error_that_names_it(
    what: str, precision: str, digits: PreparedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, calls = Snn2Ann.training_step, 0

    def failing(self: Snn2Ann, *arguments: Any) -> Step:
        nonlocal calls
        calls += 1
        step = original(self, *arguments)
        if calls == 7 and what == "a threshold":
            self.network.by_label()["layers.block2_1"].threshold[0, 3] = torch.nan
        elif calls == 7 and what == "the loss":
            step.loss = step.loss * torch.inf
        elif calls == 7:
            self.network.model.get_parameter("classifier.bias").register_hook(lambda gradient: gradient * torch.nan)
        return step

    monkeypatch.setattr(Snn2Ann, "training_step", failing)
    chosen = spec("snn2ann", epochs=3)
    chosen["recipe"]["precision"] = precision
    named = {"the loss": "the loss, ", "a gradient": "classifier.bias;", "a threshold": "layers.block2_1.threshold;"}
    with pytest.raises(UserError, match=rf"^epoch 2, batch 3: not finite .*: {named[what]}"):
        loop.train(chosen, digits, tmp_path, "cpu")
    assert calls == 8
    assert not (tmp_path / "training.json").exists() and not (tmp_path / "weights.safetensors").exists()


def test_weights_that_are_not_finite_are_not_gone_on_from(digits: PreparedDataset, tmp_path: Path) -> None:
    loop.train(spec("ann"), digits, tmp_path / "ann", "cpu")
    state = load_tensors(tmp_path / "ann" / "weights.safetensors")
    state["classifier.weight"][0, 0] = torch.nan
    save_tensors(tmp_path / "ann" / "weights.safetensors", state)
    converted = {**spec("conversion"), "source": "ann"}
    with pytest.raises(UserError, match=r"weights\.safetensors: not finite .*: classifier\.weight;"):
        loop.train(converted, digits, tmp_path / "converted", "cpu", tmp_path / "ann")


def test_a_damaged_checkpoint_or_another_runs_is_not_gone_on_from(digits: PreparedDataset, tmp_path: Path) -> None:
    loop.train(spec("ann"), digits, tmp_path / "clean", "cpu")
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "checkpoint.pt").write_bytes(b"not a checkpoint")
    loop.train(spec("ann"), digits, tmp_path / "damaged", "cpu")
    assert bytes_of(tmp_path / "clean") == bytes_of(tmp_path / "damaged")
    # A whole one, of the same network and another recipe.
    other = spec("ann")
    other["recipe"] |= {"learning_rate": 0.02}
    model = build_model(other)
    trainer = loop.Trainer(other, digits, model, torch.device("cpu"))
    trainer.history = [{"epoch": 1}]
    (tmp_path / "others").mkdir()
    checkpoint = tmp_path / "others" / "checkpoint.pt"
    save_checkpoint(checkpoint, trainer._state())
    assert load_checkpoint(checkpoint, other) is not None and load_checkpoint(checkpoint, spec("ann")) is None
    loop.train(spec("ann"), digits, tmp_path / "others", "cpu")
    assert bytes_of(tmp_path / "clean") == bytes_of(tmp_path / "others")


def test_a_runs_folder_says_what_happened(digits: PreparedDataset, tmp_path: Path) -> None:
    loop.train(spec("snn2ann", epochs=3), digits, tmp_path, "cpu")
    with (tmp_path / "history.csv").open() as file:
        history = list(csv.DictReader(file))
    training = json.loads((tmp_path / "training.json").read_text())
    accuracies = [float(row["validation_accuracy"]) for row in history]
    assert [row["epoch"] for row in history] == ["1", "2", "3"]
    assert accuracies[training["selected_epoch"] - 1] == max(accuracies)
    with (tmp_path / "layers.csv").open() as file:
        layers = list(csv.DictReader(file))
    assert [(row["epoch"], row["layer"]) for row in layers[:3]] == [
        ("0", "layers.block1_1"),
        ("0", "layers.block2_1"),
        ("1", "layers.block1_1"),
    ]
    assert layers[0]["noisy_spike_rate"] == "" and 0 <= float(layers[2]["noisy_spike_rate"]) <= 1
    thresholds = load_tensors(tmp_path / "last" / "thresholds.safetensors")
    assert float(layers[-1]["threshold_mean"]) == pytest.approx(
        float(thresholds["layers.block2_1.threshold"].mean()), rel=1e-5
    )


def test_conversion_starts_from_a_trained_ann(digits: PreparedDataset, tmp_path: Path) -> None:
    loop.train(spec("ann"), digits, tmp_path / "ann", "cpu")
    converted = {**spec("conversion"), "source": "ann"}
    loop.train(converted, digits, tmp_path / "converted", "cpu", tmp_path / "ann")
    thresholds = load_tensors(tmp_path / "converted" / "thresholds.safetensors")
    assert all(float(value.min()) > 0 for value in thresholds.values())
    assert json.loads((tmp_path / "converted" / "training.json").read_text())["epochs"] == 0


def test_missing_and_damaged_weights_are_named(digits: PreparedDataset, tmp_path: Path) -> None:
    converted = {**spec("conversion"), "source": "ann"}
    with pytest.raises(UserError, match=r"weights\.safetensors"):
        loop.train(converted, digits, tmp_path / "converted", "cpu", tmp_path / "nowhere")
    (tmp_path / "weights.safetensors").write_bytes(b"\0" * 40)
    with pytest.raises(UserError, match=r"weights\.safetensors.*make it again"):
        loop.train(converted, digits, tmp_path / "converted", "cpu", tmp_path)
    assert not (tmp_path / "converted").exists()


def test_curves_that_cannot_be_written_while_training_cost_a_warning(
    digits: PreparedDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    loop.train(spec("ann"), digits, tmp_path / "free", "cpu")
    assert not (tmp_path / "free/live").exists()
    (tmp_path / "blocked").mkdir()
    (tmp_path / "blocked/live").write_text("a file where the folder should be")
    loop.train(spec("ann"), digits, tmp_path / "blocked", "cpu")
    assert capsys.readouterr().err.count("curves are not shown live") == 1
    assert bytes_of(tmp_path / "blocked") == bytes_of(tmp_path / "free")


def test_run_keeps_what_made_it(digits: PreparedDataset, tmp_path: Path) -> None:
    loop.train(spec("ann"), digits, tmp_path, "cpu")
    kept = json.loads((tmp_path / "snapshot.json").read_text())
    assert kept["versions"]["torch"] == version("torch")
    assert {"numpy", "safetensors"} <= kept["versions"].keys()
    assert kept["changed_while_training"] is False
    training = json.loads((tmp_path / "training.json").read_text())
    assert kept["commit"] == training["commit"]
    assert kept["machine"] == training["machine"]
