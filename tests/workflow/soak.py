"""A campaign of faults at random moments: `make soak`. Afterwards all is as if none had been, or it says what is not.

The study is small, sixteen trainings run at once, and each keeps a checkpoint of every epoch. While `snakemake` runs,
processes are killed (-9), its disk becomes full, or what writes MLflow's store is killed; the same command
is then called again.
"""

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import psutil  # type: ignore[import-untyped]
from tabulate import tabulate

from snn2ann.pipeline import LEAST_ROOM
from snn2ann.report import blocks
from tests.tracking.hand_made import points, points_of_files, tracked
from tests.workflow.project import ROOT, Project, new_project

RESULTS, PAGE = Path("benchmarks/results/faults.csv"), Path("docs/operating.md")
JOBS = 16
STUDY = "tiny"
# What a run made, but for the times that it took.
SAME = ("*.safetensors", "layers.csv", "evaluation-*.json", "calibration-*.json")
KINDS = {
    "head": "`snakemake` itself killed, its jobs go on",
    "job": "one job killed",
    "all": "`snakemake` and all its jobs killed",
    "watch": "the watcher of the curves killed",
    "store": "the job that writes MLflow's store killed",
    "disk": "the disk full",
}


def soaked(folder: Path, seeds: int) -> Project:
    """The project with a study of four trainings a seed, and a checkpoint after each epoch."""
    project = new_project(folder)
    project.trim()
    loop = project.folder / "src/snn2ann/training/loop.py"
    assert "\nCHECKPOINT_SECONDS = 60.0\n" in loop.read_text()
    loop.write_text(loop.read_text().replace("CHECKPOINT_SECONDS = 60.0", "CHECKPOINT_SECONDS = -1.0"))
    project.edit("recipes", "tiny", "epochs", value=4)
    project.edit("studies", "tiny", "seeds", value=list(range(seeds)))
    project.commit("The study")
    return project


@dataclass
class Campaign:
    """What was done to a project and what became of it.

    Attributes:
        project: disturbed.
        expected: the files of an undisturbed one, by name.
        moment: seconds until a fault, drawn anew each time.
        faults: how many of each kind were done.
        falsely_done: how often `snakemake` said done and a file was missing or another.
        lost: files that were missing or another at the end, and runs of which the store is not what the files say.
    """

    project: Project
    expected: dict[str, bytes]
    moment: Callable[[float, float], float]
    faults: Counter[str] = field(default_factory=Counter)
    falsely_done: int = 0
    lost: list[str] = field(default_factory=list)

    def start(self) -> subprocess.Popen[str]:
        """Start `snakemake`."""
        log = (self.project.folder / "soak.log").open("w")
        command = ["snakemake", "--cores", str(JOBS)]
        return subprocess.Popen(
            command, cwd=self.project.folder, env=self.project.environment, stdout=log, stderr=log, text=True
        )

    def said(self) -> list[str]:
        """What the last `snakemake` printed."""
        return (self.project.folder / "soak.log").read_text().splitlines()

    def round(self, kinds: list[str]) -> None:
        """Make the study from nothing while faults happen, one kind after another; then hold it against what is expected."""
        self.project.run("rm", "-rf", "results", "data", "logs", "mlartifacts", "mlflow.db", "mlflow.db.lock")
        while kinds:
            head = self.start()
            time.sleep(self.moment(1, 12))
            while kinds and self._fault(kinds[0], head):
                self.faults[kinds.pop(0)] += 1
                time.sleep(self.moment(0, 3))
            self._ended(head.wait())
            if not self._missing():
                break
        self.finish()

    def finish(self) -> None:
        """Let `snakemake` end what is left, undisturbed."""
        ended = self.start().wait()
        self._ended(ended)
        runs = [] if ended else self._of_the_store()
        self.lost += [*self._missing(), *runs, *([f"exit status {ended}"] if ended else [])]

    def _ended(self, status: int) -> None:
        self.falsely_done += status == 0 and bool(self._missing())

    def _fault(self, kind: str, head: "subprocess.Popen[str]") -> bool:
        """Do a fault; False where `snakemake` has ended."""
        while head.poll() is None:
            if chosen := self._victims(kind, head):
                return _killed(chosen) or self._fault(kind, head)
            # Nothing to kill just now is no fault.
            time.sleep(0.2)
        return False

    def _victims(self, kind: str, head: "subprocess.Popen[str]") -> "list[psutil.Process | subprocess.Popen[str]]":
        below = _below(head)
        jobs = [process for process in below if " watch " not in _command(process) and "snn2ann" in _command(process)]
        watches = [process for process in below if " watch " in _command(process)]
        return {
            "head": [head],
            "all": [head, *below],
            "job": [random.choice(jobs)] if jobs else [],
            "watch": watches,
        }[kind]

    def kill_writers(self, times: int) -> None:
        """Kill the job that records in MLflow's store, with the store there or not, at a random moment."""
        # Where the writer has ended before it was killed, that was no fault.
        for _ in range(3 * times):
            if self.faults["store"] == times:
                break
            if random.random() < 0.5:
                self.project.run("rm", "-rf", "mlflow.db", "mlflow.db.lock")
            self.project.run("rm", "-rf", *map(str, self.project.folder.glob("results/tiny/.made/tracked-*")))
            head = self.start()
            while head.poll() is None and not (
                writers := [each for each in _below(head) if " track " in _command(each)]
            ):
                time.sleep(0.02)
            time.sleep(self.moment(0, 6))
            if head.poll() is None and _killed(writers):
                self.faults["store"] += 1
            self._ended(head.wait())
        self.finish()

    def fill_disk(self, place: Path, needed: int) -> None:
        """Make the study on a disk that becomes full; with more room the same command ends it.

        Args:
            place: what the disk holds: the project, or a folder of it.
            needed: bytes that an undisturbed study adds there.
        """
        place.mkdir(exist_ok=True)
        kept = Path(tempfile.mkdtemp())
        shutil.copytree(place, kept, symlinks=True, dirs_exist_ok=True)
        # With less room than this it does not even start.
        size = _size(place) + LEAST_ROOM + int(self.moment(0.1, 0.9) * (needed - LEAST_ROOM))
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)], check=True)
        try:
            shutil.copytree(kept, place, symlinks=True, dirs_exist_ok=True)
            log = Path(tempfile.gettempdir()) / "soak-disk.log"
            command = ["snakemake", "--cores", str(JOBS)]
            with log.open("w") as said:
                ended = subprocess.call(
                    command, cwd=self.project.folder, env=self.project.environment, stdout=said, stderr=said
                )
            self._ended(ended)
            if ended and "make room on its disk" in log.read_text():
                self.faults["disk"] += 1
            elif ended:
                self.lost.append(f"no word of the full disk: {log.read_text().splitlines()[-1]}")
            _quiet(self.project.folder)
            subprocess.run(["mount", "-o", "remount,size=200m", str(place)], check=True)
            self.finish()
        finally:
            subprocess.run(["umount", "--lazy", str(place)], check=True)
            shutil.rmtree(kept)

    def _missing(self) -> list[str]:
        """The files that are not as they are in an undisturbed project, and outputs that are not there."""
        found = deterministic(self.project)
        outputs = ("claims.md", "claims.json", "results.csv", "metrics.json", "tables", "figures")
        gone = [name for name in outputs if not (self.project.folder / "results/tiny" / name).exists()]
        return [name for name, content in self.expected.items() if found.get(name) != content] + gone

    def _of_the_store(self) -> list[str]:
        """The runs of which the store does not hold what the files say."""
        # In a process of its own: MLflow keeps a database open that was replaced.
        looking = (
            f"import json; from tests.workflow.soak import contradicted; print(json.dumps(contradicted({STUDY!r})))"
        )
        environment = {**self.project.environment, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
        command = [sys.executable, "-c", looking]
        found = subprocess.run(
            command, cwd=self.project.folder, env=environment, text=True, stdout=subprocess.PIPE, check=True
        )
        return list(json.loads(found.stdout))


def contradicted(study: str) -> list[str]:
    """The runs of a study in this folder of which its store does not hold what the files say."""
    folder = Path("results").absolute() / study
    described, runs = json.loads((folder / "study.json").read_text()), tracked(folder, study)
    wanted = {
        run["name"]: points_of_files(
            folder.parent / "runs" / run["name"], run["evaluation"], run["training_time_steps"]
        )
        for run in described["runs"]
    }
    return [name for name, each in wanted.items() if name not in runs or points(folder, runs[name]) != each]


def deterministic(project: Project) -> dict[str, bytes]:
    """The files of all runs that are the same to the byte whenever they are made."""
    return {name: content for kind in SAME for name, content in project.contents(f"results/runs/**/{kind}").items()}


def _killed(processes: "Sequence[psutil.Process | subprocess.Popen[str]]") -> bool:
    """Kill processes, and say whether any was there to be killed."""
    killed = False
    for process in processes:
        with suppress(psutil.Error):
            process.kill()
            killed = True
    return killed


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline()) + " "
    except psutil.Error:
        return ""


def _below(head: "subprocess.Popen[str]") -> list[psutil.Process]:
    try:
        return psutil.Process(head.pid).children(recursive=True)
    except psutil.Error:
        return []


def _quiet(folder: Path) -> None:
    """Wait until no process works in a folder."""
    while any(_works_in(process, folder) for process in psutil.process_iter()):
        time.sleep(0.2)


def _works_in(process: psutil.Process, folder: Path) -> bool:
    try:
        return Path(process.cwd()) == folder
    except psutil.Error:
        return False


def _size(folder: Path) -> int:
    # By pages of files alone, as a disk in memory counts.
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return sum(-(-path.stat().st_size // 4096) * 4096 for path in files)


def main() -> None:
    """Run the campaign, write its figures and put them into the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--disks", type=int, default=10)
    parser.add_argument("--stores", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    random.seed(chosen.seed)
    rows = []
    with tempfile.TemporaryDirectory() as made:
        expected, needed = {}, 0
        for seeds in (6, 1):
            undisturbed = soaked(Path(made) / f"undisturbed-{seeds}", seeds)
            undisturbed.snakemake()
            expected[seeds] = deterministic(undisturbed)
            needed = _size(undisturbed.folder / "results")
        killed = Campaign(soaked(Path(made) / "killed", 6), expected[6], random.uniform)
        kinds = random.choices(("head", "job", "all", "watch"), weights=(5, 3, 1, 1), k=chosen.kills)
        while kinds:
            killed.round(kinds)
            print(f"{dict(killed.faults)}; falsely done {killed.falsely_done}, lost {killed.lost}", flush=True)
        killed.kill_writers(chosen.stores)
        campaigns = [killed]
        # A disk that was large enough after all was no fault.
        for index in range(3 * chosen.disks):
            if sum(each.faults["disk"] for each in campaigns) == chosen.disks:
                break
            filled = Campaign(soaked(Path(made) / f"disk-{index}", 1), expected[1], random.uniform)
            filled.fill_disk(filled.project.folder / ("results" if index % 2 else "."), needed)
            campaigns.append(filled)
            print(f"{dict(filled.faults)}; falsely done {filled.falsely_done}, lost {filled.lost}", flush=True)
    faults = sum((each.faults for each in campaigns), Counter())
    rows = [{"fault": kind, "times": faults[kind]} for kind in KINDS]
    rows += [{"fault": "falsely done", "times": sum(each.falsely_done for each in campaigns)}]
    rows += [{"fault": "lost or other files and store records", "times": sum(len(each.lost) for each in campaigns)}]
    pd.DataFrame(rows).to_csv(RESULTS, index=False, lineterminator="\n")
    fill(PAGE)
    sys.exit(any(each.lost or each.falsely_done for each in campaigns))


def fill(page: Path) -> None:
    """Put the figures into a page, between its marks."""
    data = pd.read_csv(RESULTS)
    shown = [[KINDS.get(row["fault"], row["fault"]), row["times"]] for row in data.to_dict("records")]
    table = tabulate(shown, ["What happened", "Times"], tablefmt="github")
    blocks.fill(page, {"faults": table})


if __name__ == "__main__":
    main()
