"""A study made by hand in a project of its own, and an empty store."""

import shutil
from pathlib import Path

import pytest
from mlflow import MlflowClient

from snn2ann.files import write_json, write_text
from tests.tracking.hand_made import NAMES, descriptor, entry, write_run


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with its tables and nothing in them: making one takes MLflow seconds."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_store: Path) -> Path:
    """A study of two runs in a project folder, and no MLflow or DVC around it."""
    for name in ("MLFLOW_TRACKING_URI", "DVC_ROOT"):
        monkeypatch.delenv(name, raising=False)
    results = tmp_path / "project" / "results"
    write_run(results / "runs" / NAMES[0], "ann", [entry("test", "trained", [])])
    spiking = [entry("test", "trained", [0.25, 0.5, 0.75]), entry("test", "calibrated", [0.5, 0.625, 0.75])]
    write_run(results / "runs" / NAMES[1], "snn2ann", spiking)
    runs = [descriptor(NAMES[0], "ann"), descriptor(NAMES[1], "snn2ann")]
    parameters: dict[str, object] = {key: {"of": key} for key in ("calibration", "evaluation", "report")}
    parameters["studies"] = {"small": {"title": "Small"}}
    content = {"study": "small", "digest": "0badcafe", "runs": runs, "not_run": [], "parameters": parameters}
    write_json(results / "small/study.json", content)
    for name in ("results.csv", "claims.md", "tables/classification.csv", "figures/convergence.png"):
        write_text(results / "small" / name, name)
    shutil.copy(empty_store, results.parent)
    return results / "small"
