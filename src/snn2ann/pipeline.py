"""What Snakemake does when it starts and ends: one at a time in a folder, the curves' watch, and a summary."""

import errno
import fcntl
import os
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from snn2ann.errors import UserError
from snn2ann.files import CURES, read_json
from snn2ann.locks import warn_of_no_locks
from snn2ann.parameters import digest
from snn2ann.passwords import without_password
from snn2ann.runs.made_with import commit_or_why
from snn2ann.tracking.own_database import ARTIFACTS, DATABASE, home_of
from snn2ann.tracking.store import chosen_store

# With less room on a disk nothing is started.
LEAST_ROOM = 1 << 20
# How long the watch may take to log what it has still to log.
LAST_SECONDS = 20


def claim_folder(lock: Path) -> IO[str]:
    """Refuse to run beside another Snakemake in a folder.

    Snakemake's own lock outlives a killed process and then stops the next one; this one ends with its process.

    Args:
        lock: the file to lock.

    Returns:
        The open file; the folder is claimed for as long as it is open.

    Raises:
        UserError: another process holds it.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    file = lock.open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise UserError("another snakemake is at work in this folder; wait for it or stop it") from None
    except OSError as error:
        warn_of_no_locks(lock, error)
    return file


def find_cache() -> None:
    """Let Snakemake keep its cache in the project where a home can't be written; it would end with a traceback.

    The default profile calls it, which is read before all else.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    with suppress(OSError):
        cache.mkdir(parents=True, exist_ok=True)
    if not os.access(cache, os.W_OK | os.X_OK):
        os.environ["XDG_CACHE_HOME"] = str(Path(".snakemake/cache").absolute())


def warn_of_no_commit() -> None:
    """Say, once, that the results will not tell which commit made them."""
    commit, why = commit_or_why()
    if commit is None:
        cure = "; git's own message says how to trust this folder" if "dubious" in why else ""
        print(f"warning: git does not tell the commit ({why}); results will say so{cure}", file=sys.stderr)


def warn_of_login_node() -> None:
    """Say, once, that the jobs don't go into the queue of the cluster whose machine this is."""
    if "SLURM_JOB_ID" not in os.environ:
        print(
            "warning: this machine has Slurm and all jobs run on it; --profile profiles/slurm puts them into the queue",
            file=sys.stderr,
        )


def refuse_unwritable(folders: Iterable[Path]) -> None:
    """Refuse to start where results could not be written.

    Raises:
        UserError: a folder that is there is read-only, or its disk has no room.
    """
    for folder in filter(Path.exists, folders):
        if not os.access(folder, os.W_OK | os.X_OK):
            raise UserError(f"{folder.absolute()}: cannot be written; {CURES[errno.EACCES]}")
        if (left := room_left(folder)) < LEAST_ROOM:
            raise UserError(f"{folder.absolute()}: the disk is full, {left >> 20} MiB are left; {CURES[errno.ENOSPC]}")


def say_if_full(folders: Iterable[Path]) -> None:
    """Say last of all, after what Snakemake makes of it, that a disk is full."""
    for folder in filter(Path.exists, folders):
        if room_left(folder) < LEAST_ROOM:
            print(f"error: the disk of {folder.absolute()} is full; {CURES[errno.ENOSPC]}", file=sys.stderr)
            return


def room_left(folder: Path) -> int:
    """Bytes that can still be written in a folder."""
    return shutil.disk_usage(folder).free


def warn_of_password(store: str | None) -> None:
    """Say of a store that params.yaml names with a password what becomes of it."""
    if store and without_password(store) != store:
        said = "a password in params.yaml goes wherever that file goes; name the store by MLFLOW_TRACKING_URI instead"
        print(f"warning: tracking.store: {said}", file=sys.stderr)


@dataclass(frozen=True)
class StorePlace:
    """Where MLflow's store is, as far as is known without opening it.

    Attributes:
        uri: of a server or database that was named; "" for the project's own database.
        database: the project's own.
    """

    uri: str
    database: Path

    @classmethod
    def of(cls, store: str | None) -> "StorePlace":
        """The store that the parameters name, or the environment."""
        return cls(chosen_store(store), home_of(Path()) / DATABASE)

    @property
    def lost(self) -> bool:
        """Whether the project's own database or its artifacts are gone."""
        # The database's lock tells that it was here; a clone has had none.
        lock, artifacts = (self.database.with_name(name) for name in (f"{DATABASE}.lock", ARTIFACTS))
        return not self.uri and lock.exists() and not (self.database.exists() and artifacts.exists())

    @property
    def suffix(self) -> str:
        """Ends the name of a mark that says what the store holds; "" for the project's own."""
        return f"-{digest(self.uri)}" if self.uri else ""


@dataclass(frozen=True)
class Watch:
    """A process of its own that shows curves in MLflow while they grow, so that no job waits for MLflow."""

    process: subprocess.Popen[bytes]

    @classmethod
    def start(cls, command: list[str], log: Path) -> "Watch":
        """Start it; its warnings go to the terminal, what MLflow says to `log`."""
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("w") as file:
            # A session of its own: it ends when told to, or with this process, not by a Ctrl-C that is meant for the jobs.
            process = subprocess.Popen(command, stdout=sys.stderr.fileno(), stderr=file, start_new_session=True)
        return cls(process)

    def end(self, seconds: float = LAST_SECONDS) -> None:
        """Let it log what it has still to log; a store that keeps it waiting is left to the next recording."""
        self.process.terminate()
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def watch_command(study: str) -> list[str]:
    """The command that watches a study."""
    return [sys.executable, "-m", "snn2ann.cli", "watch", "--study", study]


@dataclass(frozen=True)
class Ending:
    """What is said when Snakemake ends.

    Attributes:
        study: its name.
        folder: results/<study>.
        runs: how many the study has.
        made: how many of them are there, evaluated.
        started: when Snakemake started, in seconds since 1970.
        benchmarks: the folder of Snakemake's benchmarks, <rule>/<job>.tsv.
        tracked: the study's mark of what MLflow holds; it says why, where the store lacks the study.
    """

    study: str
    folder: Path
    runs: int
    made: int
    started: float
    benchmarks: Path
    tracked: Path

    def summary(self, *, failed: bool = False) -> str:
        """What ran, how long it took, and where to look."""
        state = "NOT complete; the log of each job that failed is above; the same command goes on" if failed else "done"
        counted = f"{self.runs} runs" if self.made == self.runs else f"{self.made} of {self.runs} runs are there"
        lines = [f"Study {self.study}: {counted}, {state}, {time.time() - self.started:.0f} s"]
        lines += [
            f"  {rule:<10} {len(times):>4} jobs {sum(times):>9.1f} s, the longest {max(times):.1f} s"
            for rule, times in self._seconds().items()
        ]
        recorded = self._recorded()
        if reason := recorded.get("lacks"):
            lines.append(f"  not in MLflow: {reason}")
        return "\n".join([*lines, *self._places(), *recorded.get("pages", [])])

    def _seconds(self) -> dict[str, list[float]]:
        """Seconds of each job that ran, by rule."""
        found: dict[str, list[float]] = defaultdict(list)
        for path in self.benchmarks.glob("*/*.tsv"):
            if path.stat().st_mtime >= self.started:
                header, values = path.read_text().splitlines()[:2]
                found[path.parent.name].append(float(values.split("\t")[header.split("\t").index("s")]))
        return found

    def _recorded(self) -> dict[str, Any]:
        """Lines that say where MLflow shows the study, or why its store lacks it; the next `snakemake` then records it."""
        if not self.tracked.exists():
            return {}
        try:
            recorded = read_json(self.tracked)
        except UserError:
            # Written before marks said where.
            recorded = {}
        if "pages" not in recorded:
            self.tracked.unlink()
        return recorded

    def _places(self) -> Iterable[str]:
        folder, page = self.folder, self.folder / "report.html"
        report = str(page) if page.exists() else f"snakemake --report {page}"
        places = {
            folder / "claims.md": f"  verdicts    {folder}/claims.md",
            folder / "results.csv": f"  tables      {folder}/tables/   figures {folder}/figures/   "
            f"results {folder}/results.csv",
            folder / "study.json": f"  report      {report}",
        }
        return [line for path, line in places.items() if path.exists()]
