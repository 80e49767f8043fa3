"""The project's own MLflow store, a database in a file: made whole, moved with its folder, and cured by name."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlparse

DATABASE = "mlflow.db"
ARTIFACTS = "mlartifacts"
# Where MLflow keeps whole paths.
_PATHS = (
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
    uri = f"sqlite:///{aside}"
    MlflowClient(tracking_uri=uri, registry_uri=uri).search_experiments(max_results=1)
    aside.replace(database)


def former_homes(database: Path) -> list[str]:
    """The folders that a database keeps its artifacts in, other than its own: it was moved or copied, or they were.

    Raises:
        sqlite3.Error: it is no database of MLflow's.
    """
    with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as opened:
        places = [row[0] or "" for row in opened.execute("SELECT artifact_location FROM experiments")]
    homes = {place.rpartition(f"/{ARTIFACTS}/")[0] for place in places}
    return sorted(home for home in homes if home and not _is(home, database.parent))


def bring_home(database: Path) -> None:
    """Name a moved or copied database's own folder wherever it names the one that it came from.

    Else a copy would write into the original's artifacts, and the pages of a moved one would show none.

    Raises:
        sqlite3.Error: it is no database of MLflow's, or can't be written.
    """
    here = database.parent.absolute().as_uri()
    for home in former_homes(database):
        with closing(sqlite3.connect(database, timeout=120)) as opened, opened:
            for table, column in _PATHS:
                opened.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?",
                    (here, len(home) + 1, len(home) + 1, f"{home}/"),
                )


def path_of(place: str) -> Path:
    """The path that a place of MLflow's names, a URI or a path itself."""
    return Path(unquote(urlparse(place).path) if place.startswith("file:") else place)


def _is(home: str, folder: Path) -> bool:
    """Whether a place is a folder, by whatever way it is reached."""
    path = path_of(home)
    return path == folder or (path.exists() and folder.exists() and path.samefile(folder))


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
