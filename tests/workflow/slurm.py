"""A Slurm cluster on this machine: two virtual nodes, no accounting. Its daemons need Debian's munge, slurmctld and slurmd.

`python -m tests.workflow.slurm COMMAND...` runs a command in one.
"""

import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.workflow.project import wait_for

DAEMONS = ("munged", "slurmctld", "slurmd")
COMMANDS = ("sbatch", "squeue", "srun", "scancel", "scontrol", "sinfo", "sacct")
NODES = ("n1", "n2")
# More cores than the machine may have, so that what Slurm decides doesn't rest on it. No GPU is needed to count one.
CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
SlurmUser={user}
SlurmdUser={user}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
JobCompType=jobcomp/none
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
SchedulerType=sched/builtin
KillWait=2
SchedulerParameters=batch_sched_delay=0
ReturnToService=2
GresTypes=gpu
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=8 RealMemory=64000 Gres=gpu:1
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=8 RealMemory=64000 Gres=gpu:1
PartitionName=main Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
"""
# Snakemake, asking Slurm every second. The plugin asks the more seldom the longer nothing ends, which suits jobs of hours.
IMPATIENT = """
import asyncio
import sys
from snakemake.cli import main
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor

RemoteExecutor.sleep = lambda self: asyncio.sleep(1)
main(sys.argv[1:])
"""


def missing_programs() -> list[str]:
    """What of Slurm is not installed."""
    return [name for name in (*DAEMONS, *COMMANDS) if program(name) is None]


def program(name: str) -> str | None:
    """Where a program is; daemons are in a folder that a user's PATH may lack."""
    return shutil.which(name, path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin")


@dataclass(frozen=True)
class Cluster:
    """A running cluster; its commands find it by `environment`."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """Where the commands are that know this cluster."""
        return {"PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"}

    def ask(self, *command: str) -> str:
        """What one of Slurm's commands prints."""
        environment = os.environ | self.environment
        return subprocess.run(command, env=environment, text=True, capture_output=True, check=True).stdout

    def jobs(self) -> list[dict[str, str]]:
        """All jobs that Slurm remembers, newest last: their fields as `scontrol show job` names them."""
        lines = self.ask("scontrol", "--oneliner", "show", "job").splitlines()
        fields = [dict(part.split("=", 1) for part in line.split() if "=" in part) for line in lines]
        return [found for found in fields if "JobId" in found]


@contextmanager
def cluster() -> Iterator[Cluster]:
    """Start a cluster, give it, and end its daemons with all jobs."""
    # A short name: a socket's path must not be longer than 107 characters.
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    folder.chmod(0o755)
    _configure(folder)
    daemons = [_start(folder, "munged", *_munge_options(folder))]
    try:
        wait_for((folder / "munge.socket").exists)
        daemons.append(_start(folder, "slurmctld", "-D", "-c", "-f", str(folder / "slurm.conf")))
        daemons += [_start(folder, "slurmd", "-D", "-N", node, "-f", str(folder / "slurm.conf")) for node in NODES]
        made = Cluster(folder)
        wait_for(lambda: _idle(made))
        yield made
        made.ask("scancel", "--me")
        wait_for(lambda: made.ask("squeue", "--noheader") == "")
    finally:
        for daemon in reversed(daemons):
            daemon.terminate()
            daemon.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


def _configure(folder: Path) -> None:
    values = {"host": socket.gethostname(), "folder": folder, "user": pwd.getpwuid(os.getuid()).pw_name}
    (folder / "slurm.conf").write_text(CONFIGURATION.format(**values, ports=_free_ports(1 + len(NODES))))
    (folder / "gres.conf").write_text("Name=gpu File=/dev/null\n")
    for name in ("state", "bin", *(f"spool-{node}" for node in NODES)):
        (folder / name).mkdir()
    # Programs that know the cluster, since Snakemake's plugin takes SLURM_CONF from its jobs.
    for name in filter(program, COMMANDS):
        _write_program(folder / "bin" / name, f'#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {program(name)} "$@"\n')
    _write_program(folder / "bin/snakemake", f"#!{sys.executable}\n{IMPATIENT}")
    key = folder / "munge.key"
    key.touch(mode=0o600)
    key.write_bytes(os.urandom(128))


def _write_program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def _munge_options(folder: Path) -> list[str]:
    files = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
    return ["--foreground", "--force", *(f"--{option}={folder}/munge.{end}" for option, end in files.items())]


def _start(folder: Path, name: str, *options: str) -> subprocess.Popen[bytes]:
    command = program(name)
    assert command is not None, f"{name} is not installed"
    with (folder / f"{name}.out").open("ab") as out:
        return subprocess.Popen([command, *options], stdout=out, stderr=out)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _idle(made: Cluster) -> bool:
    try:
        return made.ask("sinfo", "--noheader", "--format=%T").split() == ["idle"]
    except subprocess.CalledProcessError:
        return False


if __name__ == "__main__":
    with cluster() as running:
        sys.exit(subprocess.run(sys.argv[1:], env=os.environ | running.environment).returncode)
