"""One finished tiny study, which the tests of the workflow copy and change."""

import pytest

from tests.workflow.project import Project, new_project


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The tiny study, made once by `snakemake`; tests copy it before they change anything."""
    project = new_project(tmp_path_factory.mktemp("finished") / "project")
    project.snakemake()
    return project


@pytest.fixture(scope="session")
def small(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The finished study with few figures and tables, known to DVC and pushed to a remote in a folder."""
    project = finished.copy(tmp_path_factory.mktemp("small") / "project")
    project.trim()
    project.edit("tracking", "live", value=False)
    project.snakemake()
    project.run("dvc", "commit", "--force")
    project.run("dvc", "remote", "add", "--default", "store", str(project.folder.parent / "store"))
    # DVC trusts a remote's files unless it is told not to.
    project.run("dvc", "remote", "modify", "store", "verify", "true")
    project.run("dvc", "push")
    project.commit("Recorded")
    return project
