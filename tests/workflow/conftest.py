"""One finished tiny study, which the tests of the workflow copy and change."""

import pytest

from tests.workflow.project import Project, new_project


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests that share the finished study on one worker."""
    for item in items:
        if "tests/workflow" in item.path.as_posix():
            item.add_marker(pytest.mark.xdist_group("workflow"))


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The tiny study, made once by `snakemake`; tests copy it before they change anything."""
    project = new_project(tmp_path_factory.mktemp("finished") / "project")
    project.snakemake()
    return project
