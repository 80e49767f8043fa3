"""One finished tiny study, which the tests of the workflow copy and change."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from tests.workflow.project import Project, new_project


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Project:
    """A project that the first worker who needs it makes for all of them."""
    folder = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    made = folder / f"{name}.made"
    with FileLock(folder / f"{name}.lock"):
        if not made.exists():
            (folder / name).mkdir()
            make(folder / name / "project")
            made.touch()
    return Project(folder / name / "project")


def _study(folder: Path) -> None:
    new_project(folder).snakemake()


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The tiny study, made once by `snakemake`; tests copy it before they change anything."""
    return made_once(tmp_path_factory, "finished", _study)


@pytest.fixture(scope="session")
def small(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The finished study with few figures and tables, known to DVC and pushed to a remote in a folder; copied likewise."""

    def make(folder: Path) -> None:
        project = finished.copy(folder)
        project.trim()
        project.edit("tracking", "live", value=False)
        project.snakemake()
        project.run("dvc", "commit", "--force")
        project.run("dvc", "remote", "add", "--default", "store", str(project.folder.parent / "store"))
        # DVC trusts a remote's files unless it is told not to.
        project.run("dvc", "remote", "modify", "store", "verify", "true")
        project.run("dvc", "push")
        project.commit("Recorded")

    return made_once(tmp_path_factory, "small", make)
