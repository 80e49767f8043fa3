"""The workflow on a real Slurm: what goes through the queue, and what is left after a fault."""

import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from snn2ann.study import load_parameters, resolve
from tests.workflow.project import Project, wait_for
from tests.workflow.slurm import Cluster, cluster, missing_programs

pytestmark = pytest.mark.skipif(
    bool(missing_programs()), reason=f"Slurm is not installed: no {', '.join(missing_programs())}"
)
# Threads as in a local run, for the same bytes.
OPTIONS = (
    "--profile=profiles/slurm",
    "--latency-wait=5",
    *("--set-threads", "make_run=1", "measure=2", "measure_inference=2"),
    "--printshellcmds",
)
# What a second run of the same writes with the same bytes: all but clocks and what it was made with.
REPEATED = [
    "data/*/*.npy",
    *(f"results/runs/*/{name}" for name in ("run.yaml", "layers.csv", "*.safetensors", "last/*", "[ce]*-*.json")),
]
EPOCHS_ONCE = [*range(1, 9)]
# Training keeps a checkpoint and a note of each epoch, and stops behind the one that a file `hold` names.
HELD = """
                while Path("hold").exists() and epoch > int(Path("hold").read_text()):
                    checkpoint.with_name("held").touch()
                    time.sleep(0.1)
                with checkpoint.with_name("epochs").open("a") as noted:
                    print(epoch, file=noted)
"""


@pytest.fixture(scope="module")
def slurm() -> Iterator[Cluster]:
    with cluster() as running:
        yield running


def test_a_study_through_slurm_equals_a_local_run(slurm: Cluster, finished: Project, tmp_path: Path) -> None:
    project = _short(finished, tmp_path / "p", "data", "results/runs", "results/measurements", "results/tiny")
    assert "Study tiny: 4 runs, done" in _snakemake(project, slurm)
    assert project.planned() == {}
    assert _repeated(project) == _repeated(finished) != {}
    # What is short, and what needs the internet, was not in the queue.
    jobs = _jobs(slurm, project)
    queued = {"make_run": 4, "measure": 1, "measure_inference": 1}
    assert Counter(_rule(job) for job in jobs) == queued
    measuring = [job for job in jobs if _rule(job).startswith("measure")]
    assert [_rule(other) for job in measuring for other in jobs if other is not job and _beside(job, other)] == []
    assert measuring[0]["EndTime"] <= measuring[1]["StartTime"]


def test_a_failed_jobs_log_is_shown(slurm: Cluster, finished: Project, tmp_path: Path) -> None:
    project = _short(finished, tmp_path / "p", "results/runs/*_ann_*/evaluation-*.json")
    (weights,) = project.folder.glob("results/runs/*_ann_*/weights.safetensors")
    weights.write_bytes(b"no weights")
    printed = _snakemake(project, slurm, "--retries=0", "--default-resources=gres=gpu:1", "--", "runs", fails=True)
    assert "Error in rule make_run:" in printed and "3 of 4 runs are there, NOT complete" in printed
    assert "weights.safetensors" in printed[printed.index("Logfile logs/make_run/") :]
    assert [job["TresPerNode"] for job in _jobs(slurm, project)] == ["gres:gpu:1"]


def test_a_job_beyond_its_time_goes_on_at_its_checkpoint(slurm: Cluster, finished: Project, tmp_path: Path) -> None:
    project = _held_in_training(finished, tmp_path / "p", "stbp", epochs=EPOCHS_ONCE[-1], after=3)
    unbroken = project.copy(tmp_path / "unbroken", "hold")
    unbroken.snakemake(*_made(project))
    with _head(project, slurm, "--default-resources=gpu=1", "--", *_made(project)) as head:
        wait_for(lambda: _held(project) == 1)
        (first,) = _jobs(slurm, project)
        # A busy controller may refuse it once.
        wait_for(lambda: _ended(slurm, first["JobId"]))
        wait_for(lambda: _jobs(slurm, project)[0]["JobState"] == "TIMEOUT")
        (project.folder / "hold").unlink()
        assert head.wait(120) == 0
    second = _jobs(slurm, project)[1]
    assert second["JobState"] == "COMPLETED"
    assert first["TresPerJob"] == second["TresPerJob"] == "gres:gpu:1"
    assert (first["TimeLimit"], second["TimeLimit"]) == ("02:11:00", "04:22:00")
    assert _epochs(project) == [EPOCHS_ONCE]
    assert _repeated(project) == _repeated(unbroken)


def test_what_a_killed_head_has_left_in_the_queue_is_ended_and_made_again(
    slurm: Cluster, finished: Project, tmp_path: Path
) -> None:
    project = _held_in_training(finished, tmp_path / "p", "stbp", "ann", epochs=1, after=0)
    one_at_a_time = "--default-resources=slurm_extra='--exclusive --nodelist=n1'"
    with _head(project, slurm, one_at_a_time, "--", *_made(project)):
        wait_for(lambda: _held(project) == 1 and len(_jobs(slurm, project)) == 2)
    # The head is killed here.
    assert sorted(job["JobState"] for job in _jobs(slurm, project)) == ["PENDING", "RUNNING"]
    with _head(project, slurm, "--", *_made(project)) as head:
        wait_for(lambda: len(_jobs(slurm, project)) == 4)
        (project.folder / "hold").unlink()
        assert head.wait(120) == 0
    message = "2 jobs of an earlier snakemake were in the queue: cancelled, to be made anew"
    assert message in (project.folder / "head.log").read_text()
    former, later = _jobs(slurm, project)[:2], _jobs(slurm, project)[2:]
    assert [job["JobState"] for job in (*former, *later)] == ["CANCELLED", "CANCELLED", "COMPLETED", "COMPLETED"]
    assert max(job["EndTime"] for job in former) <= min(job["StartTime"] for job in later)
    assert _epochs(project) == [[1], [1]]
    assert _repeated(project).items() <= _repeated(finished).items()


def test_jobs_that_ended_after_their_head_was_killed_are_taken(
    slurm: Cluster, finished: Project, tmp_path: Path
) -> None:
    project = _held_in_training(finished, tmp_path / "p", "ann", epochs=1, after=0)
    with _head(project, slurm, *_made(project)):
        wait_for(lambda: _held(project) == 1)
    (project.folder / "hold").unlink()
    wait_for(lambda: _jobs(slurm, project)[0]["JobState"] == "COMPLETED")
    assert "Nothing to be done" in _snakemake(project, slurm, "--", *_made(project))
    assert len(_jobs(slurm, project)) == 1
    assert _repeated(project).items() <= _repeated(finished).items()


def _short(finished: Project, folder: Path, *without: str) -> Project:
    """A copy of the finished study that makes few tables and no curves live."""
    project = finished.copy(folder, *without)
    project.trim()
    project.edit("tracking", "live", value=False)
    return project


def _ended(slurm: Cluster, job: str) -> bool:
    """Whether a job's time could be made to be over."""
    try:
        slurm.ask("scontrol", "update", f"JobId={job}", "EndTime=now")
    except subprocess.CalledProcessError as error:
        print(error.stderr)
        return False
    return True


def _held_in_training(finished: Project, folder: Path, *methods: str, epochs: int, after: int) -> Project:
    """A study of runs that are to be trained, and then stop after an epoch for as long as there is a file `hold`."""
    project = _short(finished, folder, "results/runs", "results/tiny")
    project.edit("recipes", "tiny", "epochs", value=epochs)
    runs = [{"method": method, **({"time_steps": 2} if method == "stbp" else {})} for method in methods]
    project.edit("studies", "tiny", "runs", value=runs)
    code = project.folder / "src/snn2ann/training/loop.py"
    code.write_text(code.read_text().replace("CHECKPOINT_SECONDS = 60.0", "CHECKPOINT_SECONDS = 0.0"))
    place = "                row = self._epoch(epoch)\n"
    assert code.read_text().count(place) == 1
    code.write_text(code.read_text().replace(place, HELD + place))
    (project.folder / "hold").write_text(str(after))
    return project


def _made(project: Project) -> list[str]:
    """What to ask for, to make the runs and no more."""
    study = resolve(load_parameters(project.folder / "params.yaml"), "tiny")
    return [f"results/runs/{run.name}/evaluation-{run.evaluation_digest}.json" for run in study.runs]


def _held(project: Project) -> int:
    """How many trainings have stopped, their checkpoint written."""
    return len(list(project.folder.glob("results/runs/*/held")))


def _epochs(project: Project) -> list[list[int]]:
    """The epochs that were trained for each run, in all attempts."""
    return [[*map(int, path.read_text().split())] for path in project.folder.glob("results/runs/*/epochs")]


def _snakemake(project: Project, slurm: Cluster, *options: str, fails: bool = False) -> str:
    assigned = [f"{name}={value}" for name, value in slurm.environment.items()]
    return project.run("env", *assigned, "snakemake", *OPTIONS, *options, fails=fails)


@contextmanager
def _head(project: Project, slurm: Cluster, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """A `snakemake` under way, killed in the end where it has not ended."""
    environment = project.environment | slurm.environment
    with (project.folder / "head.log").open("w") as log:
        head = subprocess.Popen(
            ["snakemake", *OPTIONS, *options], cwd=project.folder, env=environment, stdout=log, stderr=log
        )
    try:
        yield head
    finally:
        head.send_signal(signal.SIGKILL)
        head.wait()


def _jobs(slurm: Cluster, project: Project) -> list[dict[str, str]]:
    """The project's jobs, in the order of their submission."""
    return [job for job in slurm.jobs() if job["WorkDir"] == str(project.folder)]


def _rule(job: dict[str, str]) -> str:
    return job["Comment"].removeprefix("rule_").split("_wildcards_")[0]


def _beside(job: dict[str, str], other: dict[str, str]) -> bool:
    """Whether another job was on a job's node while it ran."""
    apart = other["EndTime"] <= job["StartTime"] or job["EndTime"] <= other["StartTime"]
    return other["NodeList"] == job["NodeList"] and not apart


def _repeated(project: Project) -> dict[str, bytes]:
    """The files that a second run of the same writes with the same bytes."""
    found: dict[str, bytes] = {}
    for pattern in REPEATED:
        found |= project.contents(pattern)
    return found
