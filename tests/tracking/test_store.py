"""The project's own database: whole or not there, and a damaged or foreign one gives its own cure."""

import shutil
import sqlite3
import subprocess
import sys
from contextlib import chdir
from pathlib import Path

import pytest

from snn2ann.errors import UserError
from snn2ann.passwords import without_password
from snn2ann.tracking.own_database import ARTIFACTS, DATABASE, places_elsewhere
from snn2ann.tracking.store import open_store
from snn2ann.tracking.track import track_study
from tests.tracking.hand_made import NAMES, client, tracked

MAKING = """
import os, sys
from pathlib import Path
from snn2ann.tracking import store
def killed(*_):
    os.kill(os.getpid(), 9)
Path.replace = killed
with store.open_store(None, Path(sys.argv[1])):
    pass
"""


def test_a_kill_while_the_database_is_made_leaves_none_and_the_next_makes_it(study: Path) -> None:
    project = study.parents[1]
    (project / "mlflow.db").unlink()
    done = subprocess.run([sys.executable, "-c", MAKING, str(project)], check=False)
    assert done.returncode == -9 and not (project / "mlflow.db").exists()
    assert (project / ".mlflow.db.new").stat().st_size > 0
    track_study(study)
    assert set(tracked(study)) == {"small", *NAMES}
    assert not (project / ".mlflow.db.new").exists()


def test_what_a_kill_left_of_a_database_that_is_gone_is_not_played_back_into_a_new_one(study: Path) -> None:
    track_elsewhere(study)
    database = study.parents[1] / "mlflow.db"
    journal = database.with_name("mlflow.db-journal")
    with sqlite3.connect(database) as killed:
        # A small cache is written out before the end, and with it the journal that takes it back.
        killed.execute("PRAGMA cache_size = 1")
        killed.execute("UPDATE metrics SET value = value + 1")
        killed.execute("UPDATE tags SET value = value || 'x'")
        left = journal.read_bytes()
        killed.rollback()
    killed.close()
    assert len(left) > 4096 and any(left[:8]), "no hot journal, so nothing is tested"
    database.unlink()
    journal.write_bytes(left)
    track_elsewhere(study)
    assert not journal.exists()
    assert set(tracked(study)) == {"small", *NAMES}
    with sqlite3.connect(database) as opened:
        assert opened.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    opened.close()


def track_elsewhere(study: Path) -> None:
    """Track as a user does, in a process of its own: MLflow keeps what it had opened."""
    command = [sys.executable, "-m", "snn2ann.cli", "track", "--study-folder", str(study)]
    subprocess.run(command, check=True)


def half_made(database: Path) -> None:
    """As it is when the process is killed that makes it."""
    with sqlite3.connect(database) as made:
        made.execute("DROP TABLE alembic_version")
    made.close()


def of_version(version: str, database: Path) -> None:
    with sqlite3.connect(database) as made:
        made.execute("UPDATE alembic_version SET version_num = ?", (version,))
    made.close()


@pytest.mark.parametrize(
    ("fault", "cure"),
    [
        (lambda path: half_made(path), r"It is half made, by a process that was killed: move it away \(mv "),
        (
            lambda path: of_version("451aebb31d03", path),
            "Another MLflow version made it: `mlflow db upgrade sqlite:///",
        ),
        (
            lambda path: of_version("0123456789ab", path),
            "Another MLflow version made it: `mlflow db upgrade .*` if it was an older one, or move it",
        ),
        (lambda path: path.write_text("a text " * 999), r"It is damaged, or no database: move it away \(mv "),
    ],
    ids=["half made", "older", "newer", "damaged"],
)
def test_what_is_wrong_with_a_database_has_its_own_cure(study: Path, fault: object, cure: str) -> None:
    database = study.parents[1] / "mlflow.db"
    assert callable(fault)
    fault(database)
    before = database.read_bytes()
    with pytest.raises(UserError, match=cure) as caught:
        track_study(study)
    assert "Start the server" not in str(caught.value) and len(str(caught.value).splitlines()) == 1
    assert database.read_bytes() == before
    database.rename(database.with_suffix(".db.old"))
    track_elsewhere(study)
    assert set(tracked(study)) == {"small", *NAMES}


def test_a_path_that_would_end_a_uri_is_none_from_the_folder_itself_and_refused_elsewhere(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_store: Path
) -> None:
    project = tmp_path / "what?#"
    project.mkdir()
    shutil.copy(empty_store, project / "mlflow.db")
    with pytest.raises(UserError, match=r"a path with \? or # is no database's"), open_store(None, project):
        pass
    monkeypatch.chdir(project)
    with open_store(None, project) as store:
        assert store.client.search_experiments()
    assert {path.name for path in project.iterdir()} <= {"mlflow.db", "mlflow.db.lock"}


@pytest.mark.parametrize(
    "uri",
    [
        "postgresql://someone:secret@host:5432/db",
        "http://someone:secret@host",
        "mysql://secret@h/d",
        "postgresql://host/db?user=someone&password=secret&connect_timeout=9",
        "mysql://h/d?ssl=1;sslkey=secret",
    ],
)
def test_passwords_are_not_shown(uri: str) -> None:
    assert "secret" not in without_password(uri) and without_password(uri).startswith(uri.partition("//")[0])


def artifacts_of(study: Path) -> dict[str, str]:
    """The study's artifacts as MLflow finds them when it is started in the project's folder."""
    run = tracked(study)["small"].info.run_id
    with chdir(study.parents[1]):
        found = [each.path for each in client(study).list_artifacts(run) if not each.is_dir]
        return {path: Path(client(study).download_artifacts(run, path)).read_text() for path in found}


@pytest.mark.parametrize("left", ["a copy", "a copy without artifacts", "moved"])
def test_a_moved_or_copied_store_is_that_of_its_new_folder(study: Path, tmp_path: Path, left: str) -> None:
    project, new = study.parents[1], tmp_path / "a new place"
    track_study(study)
    before = artifacts_of(study)
    assert before["claims.md"] == "claims.md"
    shutil.copytree(project, new)
    if left == "a copy without artifacts":
        shutil.rmtree(new / ARTIFACTS)
        track_elsewhere(new / "results/small")
    if left == "moved":
        shutil.rmtree(project)
    original = {path: path.stat().st_mtime_ns for path in project.rglob("*")}
    assert artifacts_of(new / "results/small") == before
    (new / "results/small/claims.md").write_text("Other verdicts")
    track_elsewhere(new / "results/small")
    assert artifacts_of(new / "results/small") == before | {"claims.md": "Other verdicts"}
    assert {path: path.stat().st_mtime_ns for path in project.rglob("*")} == original


def test_a_store_whose_places_hold_for_another_folder_is_settled(study: Path) -> None:
    track_study(study)
    database = study.parents[1] / DATABASE
    with sqlite3.connect(database) as opened:
        for table, column in (("experiments", "artifact_location"), ("runs", "artifact_uri")):
            opened.execute(
                f"UPDATE {table} SET {column} = 'file:///an%20old/place/' || {column} WHERE {column} LIKE 'mla%'"
            )
    opened.close()
    assert len(places_elsewhere(database)) == 4
    track_elsewhere(study)
    assert places_elsewhere(database) == [] and artifacts_of(study)["claims.md"] == "claims.md"
