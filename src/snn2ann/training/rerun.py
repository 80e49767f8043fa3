"""Make a finished run again and say whether it came out the same to the byte."""

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snn2ann.errors import UserError
from snn2ann.files import read_json
from snn2ann.runs.folder import RunFolder
from snn2ann.runs.made_with import code_state, provenance, read_snapshot
from snn2ann.runs.packed import digests_of
from snn2ann.runs.records import Snapshot, TrainingRecord
from snn2ann.runs.spec import read_spec


@dataclass(frozen=True)
class Recorded:
    """A finished run as its files tell of it.

    Attributes:
        snapshot: None for a run of before snapshots were kept.
    """

    folder: Path
    spec: dict[str, Any]
    training: TrainingRecord
    snapshot: Snapshot | None


def read_recorded(folder: Path) -> Recorded:
    """Read what a run was made with.

    Raises:
        UserError: it isn't finished, or a file can't be read.
    """
    run = RunFolder(folder)
    return Recorded(folder, read_spec(run.spec), read_json(run.training), read_snapshot(folder))


def code_differences(run: Recorded) -> list[str]:
    """Say in sentences how this checkout's code differs from what made the run; none where the bytes should be the same."""
    now = code_state()
    if run.snapshot is None:
        made, here = run.training["commit"], now["commit"]
        same = made == here and not run.training["dirty"] and not now["diff"]
        return [] if same else [f"the run has no snapshot; it was made at commit {made}, this is {here}"]
    found = []
    if run.snapshot["changed_while_training"]:
        found.append("the code was changed while the run was trained, so no checkout has made all of it")
    if run.snapshot["code"] == now["code"]:
        return found
    if run.snapshot["commit"] != now["commit"]:
        made = run.snapshot["commit"]
        found.append(
            f"the run was made at commit {made}, this is {now['commit']}: "
            f"`git worktree add ../made-at {made}`, and go there"
        )
    if (run.snapshot["diff"] or "") != (now["diff"] or ""):
        found.append(
            f"it was made with changes to tracked files: `snn2ann rerun --print-diff {run.folder} > made-with.patch`, and "
            "`git apply` that in a clean checkout"
            if run.snapshot["diff"]
            else "it was made without changes to tracked files, and there are some here: `git stash` them"
        )
    return found or ["files of the package that git does not track differ"]


def surroundings(run: Recorded) -> Iterator[str]:
    """Say in sentences what else differs and may move the last bits: packages, machine."""
    import torch  # noqa: F401 - what kernels it has here is told only where it is loaded

    here = provenance()
    was: tuple[Mapping[str, object], ...] = (run.training["versions"], run.training["machine"])
    now: tuple[Mapping[str, object], ...] = (here["versions"], here["machine"])
    for then, today in zip(was, now, strict=True):
        for name, made in then.items():
            if today.get(name) != made:
                yield f"{name} was {made}, is {today.get(name)}"


def rerun(run: Recorded, data: Path, runs: Path, device: str, output: Path | None = None) -> dict[str, bool]:
    """Train the run again, into another folder.

    Args:
        run: what to make.
        data: folder of the prepared data sets.
        runs: folder of all runs, with the one that this one starts from.
        device: a torch device, as the run had it.
        output: folder to make; None takes a temporary one, which is removed.

    Returns:
        For each file of the run whether it is the same to the byte.

    Raises:
        UserError: the data, or the run to start from, is not there; or the output is.
    """
    from snn2ann.data.loading import load
    from snn2ann.training.loop import train

    if (started := run.training.get("processes", 1)) > 1:
        raise UserError(
            f"{run.folder}: was trained by {started} processes, and this command starts one; `snn2ann train --processes "
            f"{started}` makes it again"
        )
    dataset = data / f"{run.spec['dataset']['name']}-{run.spec['dataset']['digest']}"
    if not (dataset / "manifest.json").exists():
        raise UserError(f"{dataset}: no prepared data set; `snakemake data` makes it, or name its place with --data")
    source = runs / run.spec["source"] if run.spec["source"] else None
    if output is not None and output.exists() and any(output.iterdir()):
        raise UserError(f"{output}: is there and not empty; name a new folder, nothing is overwritten")
    with tempfile.TemporaryDirectory(prefix="snn2ann-rerun-") as temporary:
        made = output or Path(temporary)
        train(run.spec, load(dataset), made, device, source)
        return _compare(run.folder, made)


def _compare(old: Path, new: Path) -> dict[str, bool]:
    known, made = digests_of(RunFolder(old)), digests_of(RunFolder(new))
    return {name: known.get(name) == digest for name, digest in made.items()}
