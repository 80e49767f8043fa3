"""What `make verify` finds, with Python alone."""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from snn2ann.files import sha256_lines, sha256_of
from snn2ann.report.checksums import RUNS, SUMS, write_checksums

ROOT = Path(__file__).parents[1]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The artifact with one reference, a prepared data set, a download and two runs."""
    for name in ("verify.py", "pyproject.toml", "requirements.lock"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    reference = tmp_path / "docs" / "reference" / "digits"
    shutil.copytree(ROOT / "docs" / "reference" / "digits", reference)
    prepared = tmp_path / "data" / "digits-01234567"
    prepared.mkdir(parents=True)
    (prepared / "labels.npy").write_bytes(b"labels")
    files = {"labels.npy": {"sha256": hashlib.sha256(b"labels").hexdigest()}}
    (prepared / "manifest.json").write_text(json.dumps({"files": files}))
    for number in range(2):
        run = tmp_path / "results" / "runs" / f"run-{number}"
        run.mkdir(parents=True)
        (run / "weights.safetensors").write_text(f"{number}")
    runs = tmp_path / "results" / "runs"
    weights = {str(path.relative_to(runs)): sha256_of(path) for path in sorted(runs.glob("*/*.safetensors"))}
    (reference / RUNS).write_text(sha256_lines(weights))
    write_checksums(reference)
    return tmp_path


def verified(project: Path) -> tuple[int, str]:
    """Without the packages of this environment."""
    command = [sys.executable, "-I", "-S", str(project / "verify.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_what_is_right_is_counted(project: Path) -> None:
    status, said = verified(project)
    assert status == 0 and said.count("0 problems") == 3
    assert "0 downloads and 1 prepared data sets" in said and "2 of 2 files of runs here" in said


def test_everything_that_is_wrong_is_named(project: Path) -> None:
    text = (project / "requirements.lock").read_text()
    named = text.replace("\nnumpy==", "\nnumpyy==")
    (project / "data" / "digits-01234567" / "labels.npy").write_bytes(b"label!")
    (project / "data" / "raw").mkdir()
    (project / "data" / "raw" / "cifar-10-python.tar.gz").write_bytes(b"a page")
    reference = project / "docs" / "reference" / "digits"
    (reference / "claims.md").write_text("holds")
    (reference / "show.txt").unlink()
    (reference / "more.txt").write_text("more")
    (project / "results" / "runs" / "run-1" / "weights.safetensors").write_text("other")
    status, said = verified(project)
    assert status == 1
    assert "data/digits-01234567/labels.npy: missing, or not what the manifest says" in said
    assert "data/raw/cifar-10-python.tar.gz: not the declared file" in said
    for name in ("claims.md: not what", "show.txt: missing", "more.txt: not what"):
        assert f"docs/reference/digits/{name}" in said
    assert "1 of 2 files of runs here" in said
    (project / "requirements.lock").write_text(named)
    assert "requirements.lock: numpy of pyproject.toml is not there" in verified(project)[1]
    (project / "requirements.lock").write_text("tabulate==0.9.0\n" + text)
    assert "requirements.lock" not in verified(project)[1].partition("data:")[0]
    (project / "requirements.lock").write_text(text.replace("\ntabulate==", "\ntabulate==0.9\ntabulates=="))
    assert "requirements.lock: tabulate has no digest" in verified(project)[1]


def test_an_environment_that_is_not_the_locks_is_named(project: Path) -> None:
    site = project / ".venv" / "lib" / "python3.11" / "site-packages"
    for name in ("numpy-1.0.dist-info", "snn2ann-0.1.0.dist-info", "pip-23.dist-info"):
        (site / name).mkdir(parents=True)
    status, said = verified(project)
    assert status == 1 and ".venv: numpy 1.0, the lock has " in said and "3 packages in .venv" in said


def test_published_studies_are_what_their_lists_say() -> None:
    for folder in (path.parent for path in (ROOT / "docs" / "reference").glob("*/claims.json")):
        files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != SUMS)
        digests = {str(path.relative_to(folder)): sha256_of(path) for path in files}
        assert (folder / SUMS).read_text() == sha256_lines(digests), f"{folder.name}: publish anew"
