"""Runs of a study trained for themselves, with no files left of them, and what they came to on validation images."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import torch

from snn2ann.data.loading import PreparedDataset, load
from snn2ann.data.prepare import fetch_and_prepare
from snn2ann.evaluation.census import SpikeCensus
from snn2ann.methods.build import build_model
from snn2ann.runs.folder import RunFolder
from snn2ann.study import Run, resolve
from snn2ann.training.live import LiveFiles
from snn2ann.training.loop import Trainer

DATA = Path("data")
SPIKES_ON = 512  # images
ACTIVITY = ("spikes", "operations")
# What a training is changed by before it starts.
Change = Callable[[Trainer, Run], None]


def runs_of(
    parameters: Mapping[str, Any], study: Mapping[str, Any], recipe: Mapping[str, Any], entry: Mapping[str, Any]
) -> tuple[Run, ...]:
    """The runs of one entry in a study, and under a recipe, that params.yaml has not.

    Args:
        parameters: those of params.yaml.
        study: its section without title, recipe and runs.
        recipe: a section; it may inherit.
        entry: of the study's runs.
    """
    section = {**study, "title": "Apart", "recipe": "apart", "runs": [entry]}
    recipes = {**parameters["recipes"], "apart": recipe}
    changed = {**parameters, "recipes": recipes, "studies": {**parameters["studies"], "apart": section}}
    return resolve(changed, "apart").runs


def dataset_of(run: Run) -> PreparedDataset:
    """The run's images, where the workflow keeps them."""
    folder = DATA / run.dataset_folder
    fetch_and_prepare(run.spec["dataset"], DATA / "raw", folder)
    return load(folder)


def trainer_of(run: Run) -> Trainer:
    """What trains a run, on one thread of a CPU."""
    torch.set_num_threads(1)
    dataset = dataset_of(run)
    torch.manual_seed(run.seed)
    return Trainer(run.spec, dataset, build_model(run.spec), torch.device("cpu"))


def train(trainer: Trainer) -> None:
    """Train all epochs."""
    with TemporaryDirectory() as folder:
        trainer.run(Path(folder) / "checkpoint", LiveFiles(RunFolder(Path(folder)), trainer.spec, works=False))


def outcome(run: Run, change: Change | None = None) -> dict[str, Any]:
    """Train a run: accuracy on validation images after the last epoch; spikes and synaptic operations an image, at its T."""
    trainer = trainer_of(run)
    if change is not None:
        change(trainer, run)
    train(trainer)
    found = {"validation": trainer.history[-1]["validation_accuracy"]} | _activity(trainer)
    return found | {"seconds": round(trainer.seconds, 1)}


@torch.no_grad()
def _activity(trainer: Trainer) -> dict[str, float]:
    model, seen = trainer.model.eval(), 0
    if not model.spiking:
        return dict.fromkeys(ACTIVITY, 0.0)
    census = SpikeCensus(model.time_steps)
    for images, _ in trainer.evaluation_batches("validation"):
        model.spiking_forward(images, model.time_steps, census.observe)
        seen += len(images)
        if seen >= SPIKES_ON:
            break
    spikes = sum(float(each.sum()) for each in census.spikes.values())
    return {"spikes": round(spikes / seen, 1), "operations": round(float(census.operations.sum()) / seen)}


@dataclass(frozen=True)
class Job:
    """A run, its row's columns that are known before, of which `run` tells it apart, and how it is changed."""

    run: Run
    row: Mapping[str, Any]
    change: Change | None = None


def rows_of(results: Path, columns: Sequence[str]) -> pd.DataFrame:
    """The rows that are there."""
    return pd.read_csv(results) if results.exists() else pd.DataFrame(columns=list(columns))


def make(
    results: Path,
    columns: Sequence[str],
    jobs: Sequence[Job],
    processes: int,
    of: Callable[[Run, Change | None], dict[str, Any]] = outcome,
) -> None:
    """Add the rows that are not there, each as soon as it is known.

    Args:
        results: a CSV file.
        columns: of the file.
        jobs: those that are wanted.
        processes: how many are trained at a time.
        of: gives the columns that a training fills.
    """
    known = set(rows_of(results, columns)["run"])
    # Spawned, for a fork takes over locks of threads that it has not.
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        begun = {pool.submit(of, job.run, job.change): job for job in jobs if job.row["run"] not in known}
        for done in as_completed(begun):
            row = {**begun[done].row, **done.result()}
            text = pd.DataFrame([row], columns=list(columns))
            text.to_csv(results, mode="a", header=not results.exists(), index=False, lineterminator="\n")
            print({key: row[key] for key in columns if key != "run"}, flush=True)
