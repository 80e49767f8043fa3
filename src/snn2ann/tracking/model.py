"""A run's trained network in MLflow's PyTorch flavour: a traced graph, which loads without this package or a pickle."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from snn2ann.errors import UserError
from snn2ann.tracking.store import Store, TrackedRun

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
    for run in _chosen(study, models):
        tracked = known[run["name"]]
        weights = runs_folder / run["name"] / "weights.safetensors"
        digest = _digest(weights)
        if tracked.tags.get(MODEL_TAG) == digest:
            continue
        model_id = log_model(store, tracked.run_id, runs_folder / run["name"], study["parameters"])
        store.client.set_tag(tracked.run_id, "model_id", model_id)
        store.client.set_tag(tracked.run_id, MODEL_TAG, digest)


def _chosen(study: Mapping[str, Any], models: str) -> Iterator[Mapping[str, Any]]:
    if models == "none":
        return
    headline = {key: value for key, value in study["report"]["headline"].items() if key != "ata"}
    adjusted = "training" in study["report"]["headline"].get("ata", "training")
    seen = set()
    for run in study["runs"]:
        place = (run["dataset"], run["network"])
        matches = all(run[key] == value for key, value in headline.items()) and run["ata"] in (adjusted, None)
        if models == "all" or (matches and place not in seen):
            seen.add(place)
            yield run


def _digest(path: Path) -> str:
    import hashlib

    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); make the run again") from error


def log_model(store: Store, run_id: str, folder: Path, parameters: Mapping[str, Any]) -> str:
    """Trace a run's deployed network and record it with its signature.

    Args:
        store: open.
        run_id: of the run in the store.
        folder: of the run.
        parameters: of the study; a network that is trained without T runs for the T of its calibration.

    Returns:
        The model's id: mlflow.pytorch.load_model(f"models:/{id}") takes images [B, C, H, W], normalised as the run's recipe
        says, to logits [B, classes].

    Raises:
        UserError: the run's weights can't be read.
    """
    import mlflow.pytorch
    import numpy as np
    import torch
    from mlflow.models import Model, ModelSignature
    from mlflow.types import Schema, TensorSpec

    spec = yaml.safe_load((folder / "run.yaml").read_text(encoding="utf-8"))
    network = deployed(spec, folder, parameters["calibration"]["time_steps"])
    shape, classes = tuple(spec["dataset"]["shape"]), spec["dataset"]["classes"]
    floats = np.dtype("float32")
    # Two images: a batch of one would be traced as a constant.
    example = np.zeros((2, *shape), dtype=floats)
    signature = ModelSignature(Schema([TensorSpec(floats, (-1, *shape))]), Schema([TensorSpec(floats, (-1, classes))]))
    mlflow.set_tracking_uri(store.client.tracking_uri)
    with torch.no_grad():
        info = Model.log(
            None,
            mlflow.pytorch,
            run_id=run_id,
            name="model",
            pytorch_model=network,
            signature=signature,
            input_example=example,
            serialization_format="pt2",
            # Otherwise MLflow loads the model in a process of its own to find this out.
            pip_requirements=[f"torch=={torch.__version__.split('+')[0]}"],
        )
    return str(info.model_id)


def deployed(spec: Mapping[str, Any], folder: Path, time_steps: int) -> "nn.Module":
    """A run's selected network as one module, images [B, C, H, W] to logits [B, classes], in evaluation mode.

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
    from snn2ann.training.weights import load_state

    model = build_model(dict(spec))
    load_state(model, folder / "weights.safetensors", folder / "thresholds.safetensors")
    steps = spec["method"]["time_steps"] or time_steps
    if isinstance(model, CoupledModel):
        # A graph holds PyTorch's operations only.
        model.event_driven = False

    class Deployed(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = model.network

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return model.spiking_forward(images, steps)[-1] if model.spiking else model.ann_forward(images)

    return Deployed().eval()
