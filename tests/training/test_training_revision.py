"""What training makes of a recipe may not move unless TRAINING_REVISION is raised, for stored runs are found by it.

After raising it, `python tests/training/test_training_revision.py` makes the record anew.
"""

import csv
import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch

from snn2ann import study
from snn2ann.data.loading import PreparedDataset
from snn2ann.options import VARIANTS
from snn2ann.parameters import load_parameters
from snn2ann.parameters.recipe import AugmentationOptions, Precision, Recipe
from snn2ann.runs.folder import RunFolder
from snn2ann.runs.weights import load_tensors
from snn2ann.study import resolve
from snn2ann.training.loop import train

RECORD = Path(__file__).with_name("training.json")
NETWORK = {"kind": "vgg", "blocks": [[6], [8]], "pooled_blocks": [2], "dropout": [0.3, 0.2]}
PLAIN = {"crop_padding": 0, "horizontal_flip": False}
ONE_CYCLE = {"kind": "one-cycle", "warmup": 0.3}
STEPS = {"kind": "multi-step", "milestones": [1, 3], "gamma": 0.2}
BASE = {
    "epochs": 4,
    "batch_size": 13,
    "weight_decay": 0.01,
    "label_smoothing": 0,
    "normalisation": None,
    "precision": "fp32",
}
# Every word of a recipe stands in one of them; the released method draws on the membrane, the refined one is priced.
RECIPES: dict[str, dict[str, Any]] = {
    "snn2ann released": {
        "optimizer": "adam",
        "learning_rate": 0.02,
        "schedule": ONE_CYCLE,
        "augmentation": {"crop_padding": 2, "horizontal_flip": True},
    },
    "snn2ann refined": {"optimizer": "sgd", "learning_rate": 0.1, "schedule": ONE_CYCLE, "augmentation": PLAIN},
    "ann": {
        "optimizer": "adamw",
        "learning_rate": 0.02,
        "schedule": STEPS,
        "augmentation": {"crop_padding": 0, "horizontal_flip": True},
        "label_smoothing": 0.1,
        "normalisation": {"mean": [0.4, 0.3], "std": [0.3, 0.2]},
    },
    "ann sgd": {
        "optimizer": "sgd",
        "learning_rate": 0.004,
        "schedule": STEPS,
        "augmentation": {"crop_padding": 1, "horizontal_flip": False},
        "precision": "bf16",
    },
    "ann last": {
        "optimizer": "adam",
        "learning_rate": 0.02,
        "schedule": STEPS,
        "augmentation": PLAIN,
        "select": "last",
    },
    "ann average": {
        "epochs": 5,
        "optimizer": "adam",
        "learning_rate": 0.02,
        "schedule": STEPS,
        "augmentation": PLAIN,
        "select": "average",
    },
    "ann by tensors": {
        "optimizer": "adamw",
        "learning_rate": 0.02,
        "schedule": ONE_CYCLE,
        "augmentation": PLAIN,
        "cuda_graph": True,
    },
    "ann in parts": {
        "optimizer": "adam",
        "learning_rate": 0.02,
        "schedule": STEPS,
        "augmentation": PLAIN,
        "micro_batches": 2,
        "precision": "tf32",
    },
}


def images() -> PreparedDataset:
    """Three classes of images that follow a formula; 40 to train on, 24 to select by."""
    places = np.arange(64 * 2 * 8 * 8).reshape(64, 2, 8, 8)
    labels = np.arange(64) % 3
    waves = np.sin(places**1.5) + np.cos(places % 8 * (1 + labels[:, None, None, None]))
    pixels = ((waves + 2) / 4 * 255).astype(np.uint8)
    indices = {"train": np.arange(40), "validation": np.arange(40, 60), "test": np.arange(60, 64)}
    return PreparedDataset("formula", "0", pixels, labels, indices, 255, [0.5, 0.5], [0.2, 0.2], ["a", "b", "c"])


def tiny_run(case: str, folder: Path) -> dict[str, Any]:
    """What training of a case leaves, in few numbers."""
    name, _, variant = case.partition(" ")
    options = asdict(VARIANTS[variant]) if name == "snn2ann" else {}
    spec = {
        "dataset": {"shape": (2, 8, 8), "classes": 3},
        "network": NETWORK,
        "method": {"name": name, "time_steps": 3 if options else None, "options": options},
        "recipe": BASE | RECIPES[case],
        "seed": 1,
        "source": None,
    }
    train(spec, images(), folder, "cpu")
    run = RunFolder(folder)
    with run.history.open() as file:
        rows = list(csv.DictReader(file))
    kept = ("learning_rate", "train_loss", "validation_loss")
    found: dict[str, Any] = {key: [round(float(row[key]), 6) for row in rows] for key in kept}
    for state, place in (("selected", run), ("last", run.last)):
        for part, path in (("weights", place.weights), ("thresholds", place.thresholds)):
            # A bias before a BatchNorm has a gradient that is nothing but rounding, which Adam enlarges.
            tensors = {
                name: value for name, value in load_tensors(path).items() if name.endswith(("weight", "threshold"))
            }
            found[f"{state} {part}"] = [round(float(value.double().norm()), 6) for value in tensors.values()]
    return found


@pytest.mark.parametrize("case", RECIPES)
def test_trained_networks_move_only_with_the_revision(case: str, tmp_path: Path) -> None:
    record = json.loads(RECORD.read_text())
    assert record["revision"] == study.TRAINING_REVISION, "the revision was raised: make the record anew"
    recorded, found = record["cases"][case], tiny_run(case, tmp_path)
    message = (
        f"{case}: training gives other networks; raise TRAINING_REVISION in snn2ann.study and make the record anew"
    )
    assert found.keys() == recorded.keys(), message
    for key, expected in recorded.items():
        # Another processor rounds otherwise, which running means of biases show most.
        tolerance = {"learning_rate": 1e-5, "validation_loss": 0.05}.get(key, 0.01)
        assert found[key] == pytest.approx(expected, rel=tolerance), f"{key}: {message}"


def test_the_cases_have_every_word_of_a_recipe() -> None:
    recipes = [BASE | recipe for recipe in RECIPES.values()]
    assert {recipe["precision"] for recipe in recipes} == {*get_args(Precision)}
    assert {recipe["optimizer"] for recipe in recipes} == {*get_args(Recipe.model_fields["optimizer"].annotation)}
    kinds = {
        get_args(kind.model_fields["kind"].annotation)[0]
        for kind in get_args(Recipe.model_fields["schedule"].annotation)
    }
    assert {recipe["schedule"]["kind"] for recipe in recipes} == kinds
    selections = {*get_args(Recipe.model_fields["select"].annotation)}
    assert {recipe.get("select", "best") for recipe in recipes} == selections
    assert {key for recipe in recipes for key in recipe} == {*Recipe.model_fields} - {"inherit"}
    for option in AugmentationOptions.model_fields:
        assert {bool(recipe["augmentation"][option]) for recipe in recipes} == {True, False}
    for key in ("normalisation", "label_smoothing"):
        assert {bool(recipe[key]) for recipe in recipes} == {True, False}


def test_a_raised_revision_names_every_trained_run_anew_and_the_first_none(monkeypatch: pytest.MonkeyPatch) -> None:
    parameters = load_parameters(Path(__file__).parents[2] / "params.yaml")
    before = resolve(parameters, "digits").runs
    assert all("training_revision" not in run.spec for run in before)
    monkeypatch.setattr(study, "TRAINING_REVISION", 2)
    after = resolve(parameters, "digits").runs
    assert {run.name for run in before}.isdisjoint(run.name for run in after)
    assert [run.evaluation_digest for run in before] == [run.evaluation_digest for run in after]


if __name__ == "__main__":
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        cases = {case: tiny_run(case, Path(place) / str(number)) for number, case in enumerate(RECIPES)}
    RECORD.write_text(json.dumps({"revision": study.TRAINING_REVISION, "cases": cases}, indent=1) + "\n")
