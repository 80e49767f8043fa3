"""What a result was made with: machine, versions, commit; for a run, the whole of it in a file of its own."""

import hashlib
import os
import platform
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import cast

import snn2ann
from snn2ann.errors import UserError
from snn2ann.files import read_json, write_json
from snn2ann.passwords import without_password
from snn2ann.runs.folder import RunFolder
from snn2ann.runs.records import CodeState, Machine, Provenance, Snapshot

PACKAGES = ("snn2ann", "torch", "numpy", "spikingjelly")
# Tracked files that are made and make nothing.
OUTPUTS = ("results", "docs", "dvc.lock")


def provenance() -> Provenance:
    """Describe machine, package versions and git commit.

    Returns:
        "machine", "versions", "commit" and "dirty" (whether tracked files were changed); where git does not tell the commit,
        both are None and "no_commit" says why.
    """
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    machine: Machine = {"system": platform.platform(), "processor": _processor(), "cores": os.cpu_count()}
    if kernels := _kernels():
        machine["kernels"] = kernels
    commit, why = commit_or_why()
    described: Provenance = {
        "machine": machine,
        "versions": versions,
        "commit": commit,
        "dirty": None if commit is None else bool(_git("status", "--porcelain", "--untracked-files=no")),
    }
    return described if commit else {**described, "no_commit": why}


def commit_or_why() -> tuple[str | None, str]:
    """The commit of the checkout, or None and why git does not tell it."""
    try:
        found = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=20)
    except FileNotFoundError:
        return None, "git is not installed"
    except (OSError, subprocess.SubprocessError) as error:
        return None, f"git cannot be run ({type(error).__name__})"
    if found.returncode == 0:
        return found.stdout.strip(), ""
    lines = found.stderr.strip().splitlines() or [f"git ended with {found.returncode}"]
    return None, lines[0].removeprefix("fatal: ")


def snapshot(output: Path, goes_on: bool) -> Provenance:
    """Write into a run's folder, when training starts, what it is made with: all but its parameters, which stand apart.

    It holds when training began, machine, every installed package, the commit, the changes to tracked files as a patch,
    and a digest of this package's code, which is the same at commits that differ in other things.

    Args:
        output: the run's folder.
        goes_on: whether an interrupted training goes on; its snapshot is kept, and says so if the code has changed.

    Returns:
        What `provenance` describes, as it was when training began.
    """
    described = provenance()
    taken: Snapshot = {
        **described,
        "versions": {**_installed(), **described["versions"]},
        **code_state(),
        "started": round(time.time(), 3),
        "changed_while_training": False,
    }
    if goes_on and (old := read_snapshot(output)) is not None:
        changed = old["changed_while_training"] or old["code"] != taken["code"]
        taken = {**old, "changed_while_training": changed}
    write_json(RunFolder(output).snapshot, taken)
    return described


def read_snapshot(folder: Path) -> Snapshot | None:
    """Read what a run's training was started with; None for a run that has none, or one that can't be read."""
    try:
        return cast(Snapshot, dict(read_json(RunFolder(folder).snapshot)))
    except (UserError, ValueError, TypeError):
        return None


def code_state() -> CodeState:
    """The checkout as it is: "commit", "diff" (None outside a git checkout) and "code", a digest of this package's files."""
    commit = _git("rev-parse", "HEAD")
    excluded = [f":(exclude){name}" for name in OUTPUTS]
    diff = None if commit is None else _git("diff", "--binary", "HEAD", "--", ".", *excluded)
    # Git ends a patch with a line break, and refuses one without.
    return {"commit": commit, "diff": without_password(f"{diff}\n") if diff else diff, "code": _code()}


def _code() -> str:
    package = Path(snn2ann.__file__).parent
    hashed = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        hashed.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return hashed.hexdigest()


def _installed() -> dict[str, str]:
    """Name and version of every package, by the names of their folders: a hundred times faster than to open them."""
    folders = [Path(place) for place in sys.path if place]
    names = [path.stem.split("-") for folder in folders for path in folder.glob("*.dist-info")]
    return {parts[0]: parts[1] for parts in names if len(parts) == 2}


def _git(*arguments: str) -> str | None:
    try:
        found = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip()


def _kernels() -> str:
    """The widest instructions that PyTorch's kernels use here; these decide how sums are rounded. "" without PyTorch."""
    torch = sys.modules.get("torch")
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA", "")
    own = torch.backends.cpu.get_cpu_capability() if torch is not None else ""
    return ", ".join(filter(None, [own, f"oneDNN up to {limit}" if limit else ""]))


def _processor() -> str:
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as lines:
            names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()
