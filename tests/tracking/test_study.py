"""MLflow on a real SQLite store: what it holds equals the files, and tracking twice adds nothing."""

import multiprocessing
import shutil
import socket
import sqlite3
from pathlib import Path

import mlflow
import pytest
import yaml

from snn2ann.errors import UserError
from snn2ann.files import write_json
from snn2ann.tracking.run_record import run_record
from snn2ann.tracking.track import track_study
from tests.tracking.hand_made import (
    NAMES,
    client,
    descriptor,
    entry,
    history,
    points,
    points_of_files,
    tracked,
    write_run,
)


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
    # That of an ANN has no T.
    assert ann.data.metrics["test_ann_accuracy"] == ann.data.metrics["test_accuracy"] == 0.75
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
    inputs = client(study).get_run(run.info.run_id).inputs
    assert inputs is not None
    (data,) = inputs.dataset_inputs
    assert (data.dataset.name, data.dataset.digest) == ("digits", "0123abcd")
    assert "variant" not in tracked(study)[NAMES[0]].data.tags
    assert run.info.run_name == NAMES[1]
    assert run.info.status == "FINISHED"


def test_models_are_children_of_the_study_whose_artifacts_hold_the_tables(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    track_study(study)
    monkeypatch.chdir(study.parents[1])
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


def test_every_number_of_the_files_is_in_the_store_once(study: Path) -> None:
    track_study(study)
    for name, steps in zip(NAMES, (None, 2), strict=True):
        folder = study.parent / "runs" / name
        assert points(study, tracked(study)[name]) == points_of_files(folder, "evaluation-0000000a.json", steps)


def test_loss_that_is_not_a_number_is_recorded_once(study: Path) -> None:
    file = study.parent / "runs" / NAMES[0] / "history.csv"
    file.write_text(file.read_text().replace("2.25", "nan").replace("1.125", "inf"))
    track_study(study)
    before = tracked(study)[NAMES[0]]
    file.write_text(file.read_text().replace("1.5", "1.75"))
    track_study(study)
    track_study(study)
    after = tracked(study)[NAMES[0]]
    assert len(history(study, after, "train_loss")) == 2
    assert before.info.run_id != after.info.run_id


def test_store_that_lost_points_is_completed(study: Path) -> None:
    track_study(study)
    run = tracked(study)[NAMES[1]]
    with sqlite3.connect(study.parents[1] / "mlflow.db") as store:
        store.execute("delete from metrics where step = 2 and run_uuid = ?", (run.info.run_id,))
        store.execute("delete from tags where key = 'snn2ann.files'")
    track_study(study)
    folder = study.parent / "runs" / NAMES[1]
    assert tracked(study)[NAMES[1]].info.run_id == run.info.run_id
    assert points(study, tracked(study)[NAMES[1]]) == points_of_files(folder, "evaluation-0000000a.json", 2)


def test_tables_are_tables_of_mlflow(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (study / "tables/classification.csv").write_text("method,accuracy\nann,0.5\nstbp,0.25\n")
    track_study(study)
    track_study(study)
    parent = tracked(study)["small"]
    monkeypatch.chdir(study.parents[1])
    mlflow.set_tracking_uri(client(study).tracking_uri)
    table = client(study).load_table(parent.info.experiment_id, "tables/classification.json")
    assert table.to_dict("list") == {"method": ["ann", "stbp"], "accuracy": [0.5, 0.25]}


def test_study_whose_outputs_are_as_they_were_uploads_nothing(study: Path) -> None:
    track_study(study)
    kept = study.parents[1] / "mlartifacts/small" / tracked(study)["small"].info.run_id / "artifacts/claims.md"
    kept.write_text("as it was uploaded")
    track_study(study)
    assert kept.read_text() == "as it was uploaded"
    (study / "claims.md").write_text("changed")
    track_study(study)
    assert kept.read_text() == "changed"


def test_nothing_secret_is_told(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "hush-hush")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        uri = f"http://someone:hush-hush@127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(UserError) as caught:
            track_study(study, uri)
    assert "hush-hush" not in str(caught.value)
    track_study(study)
    told = [text for run in tracked(study).values() for text in (*run.data.tags.values(), *run.data.params.values())]
    for secret in ("hush-hush", socket.gethostname(), str(Path.home())):
        assert [text for text in told if secret in text] == []


def test_jobs_that_record_at_once_lose_nothing_and_double_nothing(study: Path) -> None:
    (study.parents[1] / "mlflow.db").unlink()
    context = multiprocessing.get_context("fork")
    jobs = [context.Process(target=track_study, args=(study,)) for _ in range(16)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert [job.exitcode for job in jobs] == [0] * 16
    assert set(tracked(study)) == {"small", *NAMES}
    for name, steps in zip(NAMES, (None, 2), strict=True):
        folder = study.parent / "runs" / name
        assert points(study, tracked(study)[name]) == points_of_files(folder, "evaluation-0000000a.json", steps)
