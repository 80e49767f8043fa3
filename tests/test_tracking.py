"""MLflow on a real SQLite store: what it holds equals the files, and tracking twice adds nothing."""

import shutil
import socket
from pathlib import Path
from typing import Any

import pytest
import yaml
from mlflow import MlflowClient
from mlflow.entities import Run

from snn2ann.errors import UserError
from snn2ann.files import write_csv, write_json, write_text
from snn2ann.tracking.record import run_record
from snn2ann.tracking.store import NAME_TAG
from snn2ann.tracking.study import track_study

NAMES = ("digits_vgg_ann_s0-00000001", "digits_vgg_snn2ann_T2_s0-00000002")
HISTORY = [
    {
        "epoch": 1,
        "seconds": 0.5,
        "train_loss": 2.25,
        "validation_accuracy": 0.25,
        "ann_branch_validation_accuracy": None,
    },
    {
        "epoch": 2,
        "seconds": 1.5,
        "train_loss": 1.125,
        "validation_accuracy": 0.5,
        "ann_branch_validation_accuracy": None,
    },
]
LAYERS = [
    {"epoch": epoch, "layer": "block1", "noisy_spike_rate": rate} for epoch, rate in ((0, None), (1, 0.25), (2, 0.125))
]


def entry(split: str, thresholds: str, accuracy: list[float]) -> dict[str, Any]:
    """One entry of an evaluation; an ANN's lists are empty."""
    return {
        "checkpoint": "selected",
        "thresholds": thresholds,
        "split": split,
        "ann_accuracy": 0.75,
        "time_steps": list(range(1, len(accuracy) + 1)),
        "accuracy": accuracy,
        **{name: [10.0 * value for value in accuracy] for name in ("spikes_per_image", "firing_rate")},
        **{name: [20.0 * value for value in accuracy] for name in ("synaptic_operations", "energy")},
    }


def write_run(folder: Path, method: str, entries: list[dict[str, Any]]) -> None:
    spec = {
        "dataset": {"name": "digits", "digest": "0123abcd"},
        "method": {"name": method, "options": {"ata": method == "snn2ann", "reset": "zero"}},
        "recipe": {"epochs": 2, "schedule": {"kind": "multi-step", "milestones": [1]}},
        "seed": 0,
        "source": None,
    }
    write_text(folder / "run.yaml", yaml.safe_dump(spec))
    write_csv(folder / "history.csv", list(HISTORY[0]), HISTORY)
    write_csv(folder / "layers.csv", list(LAYERS[0]), LAYERS if method == "snn2ann" else [])
    training = {
        "parameters": 1234,
        "selected_epoch": 2,
        "seconds": 1.5,
        "device": "cpu",
        "commit": "c" * 40,
        "dirty": False,
    }
    write_json(folder / "training.json", training | {"machine": {"system": "Linux", "cores": 2}})
    write_json(folder / "evaluation-0000000a.json", {"run": folder.name, "entries": entries})


def descriptor(name: str, method: str) -> dict[str, Any]:
    return {
        "name": name,
        "dataset": "digits",
        "network": "vgg",
        "method": method,
        "variant": "released" if method == "snn2ann" else None,
        "mapping_unit": "stsu" if method == "snn2ann" else None,
        "ata": True if method == "snn2ann" else None,
        "training_time_steps": 2 if method == "snn2ann" else None,
        "seed": 0,
        "evaluation": "evaluation-0000000a.json",
        "calibration": None,
    }


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
    parameters = {key: {"of": key} for key in ("calibration", "evaluation", "report")}
    content = {"study": "small", "digest": "0badcafe", "runs": runs, "not_run": [], "parameters": parameters}
    write_json(results / "small/study.json", content)
    for name in ("results.csv", "claims.md", "tables/classification.csv", "figures/convergence.png"):
        write_text(results / "small" / name, name)
    shutil.copy(empty_store, results.parent)
    return results / "small"


def client(study: Path) -> MlflowClient:
    return MlflowClient(f"sqlite:///{study.parents[1] / 'mlflow.db'}")


def tracked(study: Path) -> dict[str, Run]:
    """Runs of the study's experiment by name."""
    found = client(study).get_experiment_by_name("small")
    assert found is not None
    runs = client(study).search_runs([found.experiment_id])
    by_name = {run.data.tags[NAME_TAG]: run for run in runs}
    assert len(by_name) == len(runs)
    return by_name


def history(study: Path, run: Run, metric: str) -> list[tuple[int, float]]:
    return sorted((point.step, point.value) for point in client(study).get_metric_history(run.info.run_id, metric))


def test_store_equals_the_files(study: Path) -> None:
    track_study(study)
    runs = tracked(study)
    assert set(runs) == {"small", *NAMES}
    ann, coupled = (runs[name] for name in NAMES)
    assert history(study, coupled, "train_loss") == [(1, 2.25), (2, 1.125)]
    assert history(study, coupled, "validation_accuracy") == [(1, 0.25), (2, 0.5)]
    assert history(study, coupled, "noisy_spike_rate/block1") == [(1, 0.25), (2, 0.125)]
    assert history(study, coupled, "test_accuracy_over_time_steps") == [(1, 0.25), (2, 0.5), (3, 0.75)]
    assert history(study, coupled, "calibrated_test_accuracy_over_time_steps") == [(1, 0.5), (2, 0.625), (3, 0.75)]
    # The figure of a run is that at its training T.
    assert coupled.data.metrics["test_accuracy"] == 0.5
    assert coupled.data.metrics["calibrated_test_accuracy"] == 0.625
    assert coupled.data.metrics["test_energy"] == 10.0
    assert ann.data.metrics["test_ann_accuracy"] == 0.75
    assert "test_accuracy" not in ann.data.metrics
    assert coupled.data.metrics["training_parameters"] == 1234
    assert "ann_branch_validation_accuracy" not in coupled.data.metrics


def test_parameters_and_tags(study: Path) -> None:
    track_study(study)
    run = tracked(study)[NAMES[1]]
    assert run.data.params["recipe.schedule.milestones"] == "[1]"
    assert run.data.params["method.options.ata"] == "true"
    assert run.data.params["source"] == "None"
    expected = {"study": "small", "method": "snn2ann", "ata": "true", "training_time_steps": "2", "git_dirty": "false"}
    assert expected.items() <= run.data.tags.items()
    assert run.data.tags["mlflow.source.git.commit"] == "c" * 40
    assert run.data.tags["dataset_digest"] == "0123abcd"
    assert run.data.tags["machine"] == "2, Linux"
    assert "variant" not in tracked(study)[NAMES[0]].data.tags
    assert run.info.run_name == NAMES[1]
    assert run.info.status == "FINISHED"


def test_models_are_children_of_the_study_whose_artifacts_hold_the_tables(study: Path) -> None:
    track_study(study)
    runs = tracked(study)
    parent = runs["small"].info.run_id
    assert [runs[name].data.tags["mlflow.parentRunId"] for name in NAMES] == [parent, parent]
    assert "mlflow.parentRunId" not in runs["small"].data.tags
    here = client(study)
    found = {item.path for folder in ("", "tables", "figures") for item in here.list_artifacts(parent, folder)}
    assert {"results.csv", "claims.md", "study.json", "tables/classification.csv", "figures/convergence.png"} <= found
    assert (study.parents[1] / "mlartifacts/small").is_dir()


def test_tracking_twice_adds_nothing(study: Path) -> None:
    track_study(study)
    before = tracked(study)
    points = history(study, before[NAMES[1]], "test_accuracy_over_time_steps")
    track_study(study)
    after = tracked(study)
    assert {name: run.info.run_id for name, run in after.items()} == {
        name: run.info.run_id for name, run in before.items()
    }
    assert history(study, after[NAMES[1]], "test_accuracy_over_time_steps") == points


def test_changed_run_is_brought_up_to_date(study: Path) -> None:
    track_study(study)
    before = tracked(study)
    write_run(study.parent / "runs" / NAMES[1], "snn2ann", [entry("test", "trained", [0.125, 0.875])])
    track_study(study)
    after = tracked(study)
    assert after[NAMES[1]].data.metrics["test_accuracy"] == 0.875
    assert history(study, after[NAMES[1]], "test_accuracy_over_time_steps") == [(1, 0.125), (2, 0.875)]
    assert after[NAMES[0]].info.run_id == before[NAMES[0]].info.run_id
    assert after["small"].info.run_id == before["small"].info.run_id


def test_run_that_left_the_study_is_marked_and_comes_back(study: Path) -> None:
    track_study(study)
    content = yaml.safe_load((study / "study.json").read_text())
    write_json(study / "study.json", {**content, "runs": content["runs"][:1]})
    track_study(study)
    assert {name: run.data.tags["in_study"] for name, run in tracked(study).items()} == {
        "small": "true",
        NAMES[0]: "true",
        NAMES[1]: "false",
    }
    write_json(study / "study.json", content)
    track_study(study)
    assert {run.data.tags["in_study"] for run in tracked(study).values()} == {"true"}


def test_deleted_experiment_is_restored(study: Path) -> None:
    track_study(study)
    found = client(study).get_experiment_by_name("small")
    assert found is not None
    client(study).delete_experiment(found.experiment_id)
    track_study(study)
    assert set(tracked(study)) == {"small", *NAMES}


def test_store_can_be_chosen(study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_store: Path) -> None:
    (study.parents[1] / "mlflow.db").unlink()
    shutil.copy(empty_store, tmp_path / "chosen.db")
    shutil.copy(empty_store, tmp_path / "environment.db")
    track_study(study, f"sqlite:///{tmp_path / 'chosen.db'}")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'environment.db'}")
    track_study(study)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    # An experiment of DVC in a temporary copy records in the project that it came from.
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    track_study(study)
    assert {path.name for path in tmp_path.glob("*.db")} == {"chosen.db", "environment.db", "mlflow.db"}
    assert not (study.parents[1] / "mlflow.db").exists()


def test_server_that_is_down_is_named(study: Path) -> None:
    with socket.socket() as taken:  # bound and not listening: every connection is refused
        taken.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(UserError) as caught:
            track_study(study, uri)
    assert f"MLflow store {uri}: does not answer" in str(caught.value)
    assert "snakemake track" in str(caught.value)


def test_store_that_is_no_database_is_named_and_left_alone(study: Path) -> None:
    store = study.parents[1] / "mlflow.db"
    store.write_text("this is no database, it is a text that someone put there")
    with pytest.raises(UserError, match=r"mlflow\.db: does not answer"):
        track_study(study)
    assert store.read_text().startswith("this is no database")


@pytest.mark.parametrize("name", ["run.yaml", "history.csv", "training.json", "evaluation-0000000a.json"])
def test_incomplete_run_is_named(study: Path, name: str) -> None:
    folder = study.parent / "runs" / NAMES[1]
    (folder / name).unlink()
    with pytest.raises(UserError, match=NAMES[1]):
        run_record("small", descriptor(NAMES[1], "snn2ann"), folder)
    with pytest.raises(UserError, match=NAMES[1]):
        track_study(study)
    assert client(study).get_experiment_by_name("small") is None


def test_evaluation_of_another_shape_is_named(study: Path) -> None:
    folder = study.parent / "runs" / NAMES[1]
    wrong = entry("test", "trained", [0.5, 0.5])
    write_json(folder / "evaluation-0000000a.json", {"entries": [wrong | {"accuracy": [0.5]}]})
    with pytest.raises(UserError, match="not a complete run"):
        run_record("small", descriptor(NAMES[1], "snn2ann"), folder)
