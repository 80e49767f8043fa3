"""A copy of the project in a folder of its own, and the real tools run in it."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
COPIED = (
    "src",
    "workflow",
    "profiles",
    "Snakefile",
    "dvc.yaml",
    ".dvc",
    ".dvcignore",
    ".gitignore",
    "results/.gitignore",
)
# Phases whose jobs cost time; what a study makes of its runs is cheap.
COSTLY = {"fetch", "make_run", "measure"}


@dataclass(frozen=True)
class Project:
    """A project folder; commands run in it with its own code."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """This environment, with the folder's code and without a MLflow or DVC of its surroundings."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "DVC_", "GIT_"))}
        identity = {
            f"GIT_{role}_{key}": "test@localhost" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")
        }
        return {
            **kept,
            **identity,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(self.folder / "src"),
            "DVC_NO_ANALYTICS": "true",
        }

    def run(self, *command: str, fails: bool = False) -> str:
        """Run a command and return all that it printed; it must succeed, or fail."""
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        assert (done.returncode != 0) == fails, f"{command}: exit {done.returncode}\n{done.stdout}"
        return done.stdout

    def snakemake(self, *options: str, fails: bool = False) -> str:
        """Run `snakemake --cores 2` with further options."""
        return self.run("snakemake", "--cores", "2", *options, fails=fails)

    def planned(self, *options: str) -> dict[str, int]:
        """How many jobs of each rule a dry run would start."""
        printed = self.snakemake("--dry-run", *options)
        if "Nothing to be done" in printed:
            return {}
        table = printed.split("Job stats:")[1].split("total")[0]
        return {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE)}

    def costly(self, *options: str) -> dict[str, int]:
        """The part of `planned` that costs time."""
        return {rule: count for rule, count in self.planned(*options).items() if rule in COSTLY}

    def edit(self, *path: str | int, value: Any) -> None:
        """Set one value of params.yaml."""
        file = self.folder / "params.yaml"
        parameters = yaml.safe_load(file.read_text())
        place = parameters
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
        file.write_text(yaml.safe_dump(parameters, sort_keys=False))

    def trim(self) -> None:
        """Keep a figure and two tables of the registries, so that a study's outputs take seconds."""
        self.keep({"figures": ("convergence",), "tables": ("training_efficiency", "claims")})

    def keep(self, kept_names: dict[str, tuple[str, ...]]) -> None:
        """Keep of the registries `figures` and `tables` only what is named."""
        for kind, names in kept_names.items():
            registry = kind.upper()
            file = self.folder / f"src/snn2ann/report/{kind}/__init__.py"
            kept = f"{registry} = {{name: {registry}[name] for name in {names!r}}}"
            file.write_text(f"{file.read_text()}\n\n{kept}\n")

    def commit(self, message: str) -> None:
        """Commit all that git does not ignore."""
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--message", message)

    def clone(self, folder: Path) -> "Project":
        """A fresh clone, with nothing but what is committed."""
        self.run("git", "clone", "--quiet", ".", str(folder))
        return Project(folder)

    def copy(self, folder: Path, *without: str) -> "Project":
        """Copy the whole folder, all files new, without the named parts."""
        shutil.copytree(self.folder, folder, symlinks=True, copy_function=shutil.copy)
        for name in without:
            for path in folder.glob(name):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        return Project(folder)

    def contents(self, pattern: str) -> dict[str, bytes]:
        """The bytes of all files that match."""
        return {
            str(path.relative_to(self.folder)): path.read_bytes()
            for path in self.folder.glob(pattern)
            if path.is_file()
        }


def wait_for(condition: Callable[[], bool], seconds: float = 120) -> None:
    """Wait until something has happened."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.02)


def new_project(folder: Path) -> Project:
    """Copy the project's code to `folder`, with the tiny study as its parameters and a git repository."""
    folder.mkdir(parents=True)
    for name in COPIED:
        source, target = ROOT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir() and not source.is_symlink():
            ignored = shutil.ignore_patterns("__pycache__", "tmp", "cache", "config.local", "*.egg-info")
            shutil.copytree(source, target, symlinks=True, ignore=ignored)
        else:
            shutil.copy(source, target, follow_symlinks=False)
    shutil.copy(Path(__file__).with_name("params.yaml"), folder / "params.yaml")
    project = Project(folder)
    project.run("git", "init", "--quiet")
    project.commit("The project")
    return project
