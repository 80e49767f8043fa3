"""MLflow beside the real workflow: the store equals the files, models load by themselves, a silent server stops nothing."""

import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tracking.hand_made import points, points_of_files, tracked
from tests.workflow.project import Project

LOAD = """
import sys
import mlflow, torch
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pytorch.load_model(f"models:/{sys.argv[2]}")
images = torch.load(sys.argv[3])
torch.save(model(images), sys.argv[4])
info = mlflow.models.get_model_info(f"models:/{sys.argv[2]}")
print(*info.signature.inputs.inputs[0].shape, *info.signature.outputs.inputs[0].shape)
print("snn2ann" in sys.modules)
"""


def test_store_equals_the_files(finished: Project) -> None:
    study = finished.folder / "results/tiny"
    described = json.loads((study / "study.json").read_text())
    runs = tracked(study, "tiny")
    assert set(runs) == {"tiny", *(run["name"] for run in described["runs"])}
    for run in described["runs"]:
        folder = study.parent / "runs" / run["name"]
        expected = points_of_files(folder, run["evaluation"], run["training_time_steps"])
        assert points(study, runs[run["name"]]) == expected
        assert runs[run["name"]].info.status == "FINISHED"
        snapshot = json.loads((folder / "snapshot.json").read_text())
        assert runs[run["name"]].data.tags["mlflow.source.git.commit"] == snapshot["commit"]
        assert runs[run["name"]].data.tags["git_dirty"] == "false"


def test_models_load_without_this_package_and_give_the_same(small: Project, tmp_path: Path) -> None:
    import torch
    import yaml

    from snn2ann.tracking.recorded_model import deployed

    project = small.copy(tmp_path / "p")
    study = project.folder / "results/tiny"
    project.run("python", "-m", "snn2ann.cli", "track", "--study-folder", str(study), "--models", "all")
    store = f"sqlite:///{project.folder / 'mlflow.db'}"
    runs = [run for run in tracked(study, "tiny").values() if run.data.tags["kind"] == "model"]
    assert {run.data.tags["method"] for run in runs} == {"ann", "stbp", "conversion", "snn2ann"}
    torch.save(images := torch.rand(7, 1, 8, 8), tmp_path / "images.pt")
    for run in runs:
        if run.data.tags["method"] not in ("ann", "snn2ann"):
            continue
        model_id = run.data.tags["model_id"]
        command = [
            sys.executable,
            "-c",
            LOAD,
            store,
            model_id,
            str(tmp_path / "images.pt"),
            str(tmp_path / "logits.pt"),
        ]
        environment = {key: value for key, value in project.environment.items() if key != "PYTHONPATH"}
        done = subprocess.run(command, cwd=project.folder, env=environment, capture_output=True, text=True, check=True)
        assert done.stdout.split() == ["-1", "1", "8", "8", "-1", "10", "False"]
        folder = study.parent / "runs" / str(run.info.run_name)
        network = deployed(yaml.safe_load((folder / "run.yaml").read_text()), folder, 2)
        with torch.no_grad():
            torch.testing.assert_close(torch.load(tmp_path / "logits.pt"), network(images))
    # A second time, every model is there already.
    project.run("python", "-m", "snn2ann.cli", "track", "--study-folder", str(study), "--models", "all")
    again = [run for run in tracked(study, "tiny").values() if run.data.tags["kind"] == "model"]
    assert {run.data.tags["model_id"] for run in again} == {run.data.tags["model_id"] for run in runs}


def test_only_the_headline_has_a_model_where_so_chosen(small: Project, tmp_path: Path) -> None:
    project = small.copy(tmp_path / "p")
    project.edit("tracking", "models", value="headline")
    (project.folder / "results/tiny/.made").joinpath(_mark(project)).unlink()
    project.snakemake("track")
    with_model = [
        run for run in tracked(project.folder / "results/tiny", "tiny").values() if "snn2ann.model" in run.data.tags
    ]
    assert [run.data.tags["method"] for run in with_model] == ["snn2ann"]


def _mark(project: Project) -> str:
    return next((project.folder / "results/tiny/.made").glob("tracked-*")).name


@pytest.mark.slow
def test_server_that_never_answers_stops_nothing(small: Project, tmp_path: Path) -> None:
    project = small.copy(tmp_path / "p", "results/runs/*_stbp_*")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(100)
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
        project.edit("tracking", value={"store": uri, "live": True, "models": "none"})
        impatient = ("env", "MLFLOW_HTTP_REQUEST_TIMEOUT=2", "MLFLOW_HTTP_REQUEST_MAX_RETRIES=0")
        (project.folder / "results/tiny/.made").joinpath(_mark(project)).unlink()
        printed = project.run(*impatient, "snakemake", "--cores", "2")
    # None where so short a training is over before anyone looks.
    assert printed.count("warning: curves are not shown live; training goes on.") <= 1
    assert printed.count(f"not in MLflow: MLflow store {uri}: does not answer") == 1
    assert not list((project.folder / "results/tiny/.made").glob("tracked-*"))
    original = small.contents("results/runs/*_stbp_*/*.safetensors")
    assert project.contents("results/runs/*_stbp_*/*.safetensors") == original != {}
    # Later, with a store that answers, what is missing is recorded and nothing else is done.
    project.edit("tracking", "store", value=None)
    assert project.planned() == {"record": 1, "all": 1}
    (project.folder / "mlflow.db").unlink()
    shutil.rmtree(project.folder / "mlartifacts")
    project.snakemake()
    assert len(tracked(project.folder / "results/tiny", "tiny")) == 5
    assert project.planned() == {}
