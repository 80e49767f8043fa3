"""The project's own MLflow store, a database in a file: made whole, at home wherever its folder is, and cured by name."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

DATABASE = "mlflow.db"
ARTIFACTS = "mlartifacts"
# Where MLflow keeps whole paths.
_PLACES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


def home_of(project: Path) -> Path:
    """Where a project's own database lies."""
    # An experiment of DVC runs in a copy that is thrown away; DVC_ROOT is the project itself.
    return Path(os.environ.get("DVC_ROOT") or project.absolute())


def make_database(database: Path) -> None:
    """Make a database aside and rename it: one that a kill left half made would never work again."""
    from mlflow import MlflowClient

    database.parent.mkdir(parents=True, exist_ok=True)
    aside = database.with_name(f".{database.name}.new")
    aside.unlink(missing_ok=True)
    _remove_journals(aside)
    uri = f"sqlite:///{aside}"
    MlflowClient(tracking_uri=uri, registry_uri=uri).search_experiments(max_results=1)
    # SQLite would play that of a database that is gone back into the new one.
    _remove_journals(database)
    aside.replace(database)


def _remove_journals(database: Path) -> None:
    for kind in ("-journal", "-wal", "-shm"):
        database.with_name(f"{database.name}{kind}").unlink(missing_ok=True)


def places_elsewhere(database: Path) -> list[tuple[str, str, str]]:
    """The artifacts' places that hold for one folder only, as MLflow makes them: table, column and place.

    Raises:
        sqlite3.Error: it is no database of MLflow's.
    """
    with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as opened:
        return [
            (table, column, place)
            for table, column in _PLACES
            for (place,) in opened.execute(f"SELECT DISTINCT {column} FROM {table}")
            if place and place.startswith(("/", "file:")) and f"/{ARTIFACTS}/" in place
        ]


def settle(database: Path) -> None:
    """Name artifacts from the project's folder on, as `mlartifacts/...`.

    MLflow, started in the folder, then finds them wherever the folder is moved, renamed or copied to, and a copy writes
    nothing into the original's.

    Raises:
        sqlite3.Error: it is no database of MLflow's, or can't be written.
    """
    if not (places := places_elsewhere(database)):
        return
    with closing(sqlite3.connect(database, timeout=120)) as opened, opened:
        for table, column, place in places:
            here = f"{ARTIFACTS}/{place.rpartition(f'/{ARTIFACTS}/')[2]}"
            opened.execute(f"UPDATE {table} SET {column} = ? WHERE {column} = ?", (here, place))


def cure_of(error: str, database: Path) -> str:
    """What to do about a database in a file that MLflow cannot use."""
    away = f"move it away (mv {database} {database}.old)"
    half_made = ("found version None", "already exists", "duplicate column", "no such table", "no such column")
    if any(words in error for words in half_made):
        return f"It is half made, by a process that was killed: {away}"
    if "out-of-date" in error or "Can't locate revision" in error:
        return f"Another MLflow version made it: `mlflow db upgrade sqlite:///{database}` if it was an older one, or {away}"
    if any(word in error for word in ("not a database", "malformed", "disk image")):
        return f"It is damaged, or no database: {away}"
    return f"Look whether it can be written and its disk has room, or {away}"
