"""Snakemake, called for a study or for single runs of one: the one way in which anything is made."""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

from snn2ann.errors import UserError
from snn2ann.foresight import foresee
from snn2ann.parameters.words import near
from snn2ann.runs.folder import RunFolder
from snn2ann.runs.naming import chosen_name
from snn2ann.study import Run, Study, load_parameters, resolve

RUNS = Path("results/runs")


@dataclass(frozen=True)
class Target:
    """What is to be made: a study whole where `runs` is empty, else these of its runs."""

    study: Study
    runs: tuple[Run, ...] = ()

    def files(self) -> list[str]:
        """What Snakemake is asked for."""
        return [str(RunFolder(RUNS / run.name).evaluation(run.evaluation_digest)) for run in self.runs]


def target_of(words: Sequence[str]) -> Target:
    """What the words of a command line stand for, in the project of this folder.

    Args:
        words: a study; or runs of one study, as `chosen_name` understands them or as folders; none for params.yaml's study.

    Raises:
        UserError: no project here, wrong parameters, words that stand for nothing or too much, or runs of no one study.
    """
    if not Path("Snakefile").is_file():
        raise UserError("Snakefile: not in this folder; call `snn2ann run` in the project's")
    parameters = load_parameters("params.yaml")
    own = str(parameters.get("study", ""))
    if not words:
        return Target(_foreseen(resolve(parameters, own)))
    names = parameters.get("studies")
    studies = [str(name) for name in names] if isinstance(names, dict) else []
    if len(words) == 1 and words[0] in studies:
        return Target(_foreseen(resolve(parameters, words[0])))
    if among := [word for word in words if word in studies]:
        raise UserError(f"{among[0]}: a study is made whole; give it alone, or runs alone")
    # The chosen study first: of those that share a run it is the one that is meant.
    resolved = [resolve(parameters, own), *_others(parameters, [name for name in studies if name != own])]
    wanted = [_run_name(word, resolved, studies) for word in words]
    for study in resolved:
        found = {run.name: run for run in study.runs}
        if all(name in found for name in wanted):
            return Target(_foreseen(study), tuple(found[name] for name in dict.fromkeys(wanted)))
    raise UserError(f"{', '.join(wanted)}: not all of one study; name the runs of one study at a time")


def _others(parameters: Mapping[str, Any], names: Sequence[str]) -> Iterator[Study]:
    """The studies that can be resolved; one whose own images are gone keeps nobody from making another's runs."""
    for name in names:
        with suppress(UserError):
            yield resolve(parameters, name)


def _run_name(word: str, studies: Sequence[Study], names: Sequence[str]) -> str:
    known = list(dict.fromkeys(run.name for study in studies for run in study.runs))
    name = Path(word).name if RunFolder(Path(word)).spec.is_file() else word
    try:
        return chosen_name(Path(name).name, known, "params.yaml")
    except UserError as error:
        hint = near(word, names)
        raise UserError(f"{error}; or the study: {hint}" if hint else str(error)) from None


def _foreseen(study: Study) -> Study:
    foresee(study, networks=False)
    return study


def make(target: Target, cores: str = "all", profile: str | None = None, dry_run: bool = False) -> NoReturn:
    """Let Snakemake take this process's place, so that its exit status and the terminal's Ctrl-C are its own.

    Raises:
        UserError: Snakemake is not installed, or `cores` is no number.
    """
    if find_spec("snakemake") is None:
        raise UserError("snakemake: not installed; `pip install 'snn2ann[workflow]'` brings it")
    if cores != "all" and not (cores.isdecimal() and int(cores) > 0):
        raise UserError(f"--cores: {cores!r} is not allowed; expected a number from 1, or all")
    command = [sys.executable, "-m", "snakemake", "--cores", cores, "--config", f"study={target.study.name}"]
    command += ["--profile", profile] if profile else []
    command += ["--dry-run"] if dry_run else []
    # After options that take several words comes one that takes none.
    command += ["--", *target.files()] if target.runs else []
    sys.stdout.flush()
    os.execv(command[0], command)
