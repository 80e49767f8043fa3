"""Remotes of DVC: a folder and SSH; and what is wrong with them is said, breaks nothing, and is mended by the next pull."""

import getpass
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.workflow.project import Project

WEIGHTS = "results/runs/*_ann_*/weights.safetensors"


def stored(project: Project, remote: Path) -> Path:
    """The remote's copy of the weights of the ANN."""
    content = next(iter(project.contents(WEIGHTS).values()))
    return next(path for path in remote.rglob("*") if path.is_file() and path.read_bytes() == content)


@pytest.fixture
def clone(small: Project, tmp_path: Path) -> tuple[Project, Path]:
    """A fresh clone of the study and a remote of its own."""
    remote = tmp_path / "store"
    shutil.copytree(small.folder.parent / "store", remote)
    project = small.clone(tmp_path / "clone")
    project.run("dvc", "remote", "modify", "--local", "store", "url", str(remote))
    return project, remote


def test_remote_that_is_not_there(clone: tuple[Project, Path], tmp_path: Path) -> None:
    project, remote = clone
    project.run("dvc", "remote", "modify", "--local", "store", "url", str(tmp_path / "nowhere"))
    before = project.contents("results/**/*")
    printed = project.run("dvc", "pull", fails=True)
    assert "ERROR: failed to pull data" in printed
    assert "results/runs" in printed
    assert project.contents("results/**/*") == before
    project.run("dvc", "remote", "modify", "--local", "store", "url", str(remote))
    project.run("dvc", "pull")
    assert project.planned() == {}


def test_file_that_the_remote_has_lost(small: Project, clone: tuple[Project, Path]) -> None:
    project, remote = clone
    lost = stored(small, remote)
    content = lost.read_bytes()
    lost.chmod(0o600)
    lost.unlink()
    printed = project.run("dvc", "pull", fails=True)
    assert lost.name in printed or "weights.safetensors" in printed
    assert project.contents(WEIGHTS) == {}
    lost.write_bytes(content)
    project.run("dvc", "pull")
    assert project.contents(WEIGHTS) == small.contents(WEIGHTS)
    assert project.planned() == {}


def test_file_with_flipped_bits(small: Project, clone: tuple[Project, Path]) -> None:
    project, remote = clone
    damaged = stored(small, remote)
    content = damaged.read_bytes()
    damaged.chmod(0o600)
    damaged.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    printed = project.run("dvc", "pull", fails=True)
    assert "results/runs\nIs your cache up to date?" in printed
    assert project.contents(WEIGHTS) == {}
    damaged.write_bytes(content)
    project.run("dvc", "pull")
    assert project.contents(WEIGHTS) == small.contents(WEIGHTS)


def test_cached_file_with_flipped_bits(small: Project, clone: tuple[Project, Path]) -> None:
    project, _ = clone
    project.run("dvc", "pull")
    cached = stored(project, project.folder / ".dvc/cache")
    content = cached.read_bytes()
    cached.chmod(0o600)
    cached.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert "not in cache:       results/runs" in project.run("dvc", "status")
    assert project.contents(WEIGHTS) == small.contents(WEIGHTS)
    next(project.folder.glob(WEIGHTS)).unlink()
    project.run("dvc", "pull")
    assert project.contents(WEIGHTS) == small.contents(WEIGHTS)


@pytest.fixture
def ssh(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """A server on the loopback: its port, and the key that it lets in."""
    server = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")
    if server is None:
        pytest.skip("sshd is not installed (openssh-server)")
    if find_spec("dvc_ssh") is None:
        pytest.skip("dvc-ssh is not installed (dvc[ssh])")
    for name in ("host", "key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name], check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "sshd_config").write_text(
        f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {tmp_path / 'host'}\nPidFile none\nUsePAM no\nStrictModes no\n"
        f"AuthorizedKeysFile {tmp_path / 'key.pub'}\nPasswordAuthentication no\nSubsystem sftp internal-sftp\n"
    )
    # Where the server drops its privileges, it wants this folder.
    if getpass.getuser() == "root":
        Path("/run/sshd").mkdir(exist_ok=True)
    log = tmp_path / "sshd.log"
    with subprocess.Popen([server, "-D", "-f", tmp_path / "sshd_config", "-E", log]) as running:
        try:
            _wait_for(port, running, log)
            yield port, tmp_path / "key"
        finally:
            running.terminate()


def _wait_for(port: int, running: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + 30
    while True:
        assert running.poll() is None and time.monotonic() < end, log.read_text()
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)


def test_ssh_remote(small: Project, tmp_path: Path, ssh: tuple[int, Path]) -> None:
    port, key = ssh
    project = small.copy(tmp_path / "p")
    url = f"ssh://{getpass.getuser()}@127.0.0.1:{port}{tmp_path / 'far'}"
    project.run("dvc", "remote", "add", "--force", "--default", "store", url)
    project.run("dvc", "remote", "modify", "--local", "store", "keyfile", str(key))
    project.run("dvc", "push")
    project.commit("An SSH remote")
    clone = project.clone(tmp_path / "clone")
    clone.run("dvc", "remote", "modify", "--local", "store", "keyfile", str(key))
    clone.run("dvc", "pull")
    assert clone.contents("results/runs/**/*") == project.contents("results/runs/**/*") != {}
    assert clone.planned() == {}
