"""What Slurm is asked on the machine where Snakemake runs: how to follow jobs, and which an earlier Snakemake has left."""

import subprocess
import time
from pathlib import Path

from snn2ann.errors import UserError

# Begins the names of this project's jobs, so that they are found again.
NAME = "snn2ann"
# How long a cancelled job may take to end: Slurm kills it some 30 seconds after it has asked it to.
LAST_SECONDS = 300.0


def answers(*command: str) -> bool:
    """Whether one of Slurm's commands does its work here; its client may be installed on a machine of no cluster."""
    try:
        return subprocess.run(command, capture_output=True, timeout=60).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def is_here() -> bool:
    """Whether this is a machine of a cluster."""
    return answers("squeue", "--me")


def status_command() -> str:
    """What can tell how jobs end: "sacct" where the cluster keeps accounts, else "squeue".

    The program `sacct` is also there where accounting is off, and then fails for ever.
    """
    return "sacct" if answers("sacct", "--noheader", "--allocations") else "squeue"


def cancel_earlier_jobs(folder: Path, seconds: float = LAST_SECONDS) -> int:
    """End the jobs that a Snakemake which is no more has left in the queue, so that no two work on one file.

    Args:
        folder: the one that Snakemake runs in; the caller has claimed it.
        seconds: how long to wait for the end of those that run.

    Returns:
        How many there were.

    Raises:
        UserError: Slurm does not answer, or a job does not end.
    """
    jobs = left = _jobs_in(folder)
    end = time.monotonic() + seconds
    while left:
        # Its own answer says little: a job may have ended by itself in between.
        answers("scancel", "--quiet", *left)
        time.sleep(1)
        left = _jobs_in(folder)
        if left and time.monotonic() > end:
            raise UserError(f"Slurm does not end jobs {', '.join(left)} of an earlier snakemake; see squeue")
    return len(jobs)


def _jobs_in(folder: Path) -> list[str]:
    """This user's jobs of this project and folder that wait, run or are ending."""
    # A name has no blanks, a folder may.
    lines = _slurm("squeue", "--me", "--noheader", "--format=%i %j %Z").splitlines()
    jobs = [line.split(maxsplit=2) for line in lines]
    return [
        number
        for number, name, place in jobs
        if name.startswith(f"{NAME}_") and Path(place).resolve() == folder.resolve()
    ]


def _slurm(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except OSError as error:
        raise UserError(f"{command[0]} cannot be run ({error.strerror}); is this a machine of the cluster?") from None
    except subprocess.CalledProcessError as error:
        raise UserError(f"{command[0]} failed: {_last_line(error.stderr)}") from None


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["it does not say why"])[-1]
