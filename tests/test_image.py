"""How the image is built: by the first tool that answers, into an archive that names it in full."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NAME = "localhost/snn2ann:0.1.0"


def build(folder: Path, answering: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    """Build with pretended tools, all installed and some of them answering, which write down what they are told."""
    shutil.copytree(ROOT / "workflow/image", folder / "workflow/image")
    for tool in ("docker", "podman", "buildah"):
        path = folder / "tools" / tool
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{f'echo {tool} $* >> told' if tool in answering else 'exit 1'}\n")
        path.chmod(0o755)
    environment = os.environ | {"PATH": f"{folder}/tools:{os.environ['PATH']}"}
    command = [str(folder / "workflow/image/build"), "--build-arg", "BASE=a-base"]
    return subprocess.run(command, cwd=folder.parent, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("answering", "archived"),
    [
        (("docker", "podman", "buildah"), f"docker save --output snn2ann-0.1.0.tar {NAME}"),
        (("podman", "buildah"), f"podman save --output snn2ann-0.1.0.tar {NAME}"),
        (("buildah",), f"buildah push {NAME} docker-archive:snn2ann-0.1.0.tar:{NAME}"),
    ],
)
def test_the_first_tool_that_answers_builds_the_image(
    tmp_path: Path, answering: tuple[str, ...], archived: str
) -> None:
    done = build(tmp_path / "p", answering)
    assert done.returncode == 0, done.stderr
    built = f"{answering[0]} build --file Dockerfile --tag {NAME} --build-arg BASE=a-base ."
    assert (tmp_path / "p/told").read_text().splitlines() == [f"{answering[0]} images", built, archived]


def test_where_none_answers_one_line_says_so(tmp_path: Path) -> None:
    done = build(tmp_path / "p", ())
    assert done.returncode == 1
    assert done.stderr == "Docker, Podman or Buildah is needed for the image, and none of them answers\n"


def test_the_archive_is_the_one_that_the_workflow_names() -> None:
    assert "snn2ann-0.1.0.tar" in (ROOT / "Snakefile").read_text()
    assert "ENV SNN2ANN_IMAGE=0.1.0" in (ROOT / "Dockerfile").read_text()
