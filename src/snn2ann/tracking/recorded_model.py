"""A run's trained network in MLflow's PyTorch flavour: a traced graph, which loads without this package or a pickle."""

import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from snn2ann.errors import UserError
from snn2ann.runs.folder import RunFolder
from snn2ann.runs.spec import read_spec
from snn2ann.tracking.store import MODEL_ID, Store, TrackedRun

if TYPE_CHECKING:
    from torch import nn

MODEL_TAG = "snn2ann.model"
CHOICES = ("none", "headline", "all")


def record_models(
    store: Store, study: Mapping[str, Any], runs_folder: Path, known: Mapping[str, TrackedRun], models: str
) -> None:
    """Record the models of a study's runs; those that are recorded already are left alone.

    Args:
        store: open.
        study: content of study.json.
        runs_folder: of all runs.
        known: the runs in the store by name.
        models: "none"; "headline", for each data set and network the first seed of the rows that the claims are about;
            or "all". Tracing one takes seconds.

    Raises:
        UserError: an unknown choice, or a run's weights can't be read.
    """
    if models not in CHOICES:
        raise UserError(f"models: {models!r} is not allowed; give one of {', '.join(CHOICES)}")
    for name in _chosen(study, runs_folder, models):
        if RunFolder(runs_folder / name).records_only:
            print(f"note: {name}: no model is recorded, its weights stayed where it was made", file=sys.stderr)
            continue
        tracked = known[name]
        digest = _digest(RunFolder(runs_folder / name).weights)
        if tracked.tags.get(MODEL_TAG) == digest and store.keeps(_place(store, tracked)):
            continue
        log_model(store, tracked, runs_folder / name, study["parameters"])
        with store.lock:
            store.client.set_tag(tracked.run_id, MODEL_TAG, digest)


def _chosen(study: Mapping[str, Any], runs_folder: Path, models: str) -> list[str]:
    """Names of the runs whose models are recorded."""
    if models == "headline":
        from snn2ann.report.selection import headline_runs
        from snn2ann.report.study_data import runs_of_study

        return [run.name for run in headline_runs(runs_of_study(study, runs_folder), study.get("report") or {})]
    return [run["name"] for run in study["runs"]] if models == "all" else []


def _place(store: Store, tracked: TrackedRun) -> str:
    """Where the store keeps a run's model."""
    return str(store.client.get_logged_model(tracked.tags[MODEL_ID]).artifact_location)


def _digest(path: Path) -> str:
    import hashlib

    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); make the run again") from error


def log_model(store: Store, tracked: TrackedRun, folder: Path, parameters: Mapping[str, Any]) -> None:
    """Trace a run's deployed network and record it, with its signature, as the run's entry in the list of models.

    mlflow.pytorch.load_model(f"models:/{id}") then takes images [B, C, H, W], or frames [B, T, C, H, W], normalised as the
    run's recipe says, to logits [B, classes].

    Args:
        store: open.
        tracked: the run in the store.
        folder: of the run.
        parameters: of the study; a network that is trained without T runs for the T of its calibration.

    Raises:
        UserError: the run's weights can't be read.
    """
    import mlflow.pytorch
    import numpy as np
    import torch
    from mlflow.models import Model, ModelSignature
    from mlflow.types import Schema, TensorSpec

    spec = read_spec(RunFolder(folder).spec)
    network = deployed(spec, folder, parameters["calibration"]["time_steps"])
    dataset = spec["dataset"]
    shape, classes = (*([dataset["frames"]] if "frames" in dataset else []), *dataset["shape"]), dataset["classes"]
    floats = np.dtype("float32")
    # Two images: a batch of one would be traced as a constant.
    example = np.zeros((2, *shape), dtype=floats)
    signature = ModelSignature(Schema([TensorSpec(floats, (-1, *shape))]), Schema([TensorSpec(floats, (-1, classes))]))
    model_id = tracked.tags[MODEL_ID]
    with TemporaryDirectory() as aside, torch.no_grad():
        mlflow.pytorch.save_model(
            network,
            f"{aside}/model",
            mlflow_model=Model(run_id=tracked.run_id, model_uuid=model_id, model_id=model_id),
            signature=signature,
            input_example=example,
            serialization_format="pt2",
            # Otherwise MLflow loads the model in a process of its own to find this out.
            pip_requirements=[f"torch=={torch.__version__.split('+')[0]}"],
        )
        store.client.log_model_artifacts(model_id, f"{aside}/model")


def deployed(spec: Mapping[str, Any], folder: Path, time_steps: int) -> "nn.Module":
    """A run's selected network as one module, in evaluation mode: images [B, C, H, W], or frames [B, T, C, H, W], to logits.

    Args:
        spec: of the run.
        folder: of the run.
        time_steps: T for a network that was trained without one.

    Raises:
        UserError: the weights can't be read.
    """
    import torch

    from snn2ann.methods.build import build_model
    from snn2ann.methods.coupled import CoupledModel
    from snn2ann.runs.weights import load_state

    model = build_model(dict(spec))
    load_state(model, RunFolder(folder).weights, RunFolder(folder).thresholds)
    steps = spec["method"]["time_steps"] or time_steps
    if isinstance(model, CoupledModel):
        # A graph holds PyTorch's operations only.
        model.event_driven = False

    class Deployed(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = model.network

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            images = images.transpose(0, 1) if model.frames else images
            return model.spiking_forward(images, steps)[-1] if model.spiking else model.ann_forward(images)

    return Deployed().eval()
