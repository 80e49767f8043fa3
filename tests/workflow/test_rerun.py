"""A finished run made again from what its folder keeps: the same bytes, or a sentence on why they can't be promised."""

from pathlib import Path

import pytest

from tests.workflow.project import Project

FILES = ("weights", "thresholds", "last/weights", "last/thresholds")
CONVERSION = "src/snn2ann/methods/conversion.py"


def rerun(project: Project, name: str, *options: str, fails: bool = False) -> str:
    """Run `snn2ann rerun`."""
    return project.run("python", "-m", "snn2ann.cli", "rerun", name, *options, fails=fails)


def assert_same(printed: str) -> None:
    for name in FILES:
        assert f"{name}.safetensors: the same bytes" in printed
    assert "layers.csv: the same bytes" in printed


def named(project: Project, method: str) -> str:
    (folder,) = (project.folder / "results/runs").glob(f"*_{method}_*")
    return folder.name


@pytest.mark.parametrize("method", ["snn2ann", "conversion"])
def test_run_comes_out_the_same(finished: Project, method: str) -> None:
    assert_same(rerun(finished, named(finished, method)))


def test_output_is_kept_where_one_is_named_and_never_overwritten(finished: Project, tmp_path: Path) -> None:
    name = named(finished, "ann")
    rerun(finished, name, "--output", str(tmp_path / "again"))
    old = finished.folder / "results/runs" / name / "weights.safetensors"
    assert (tmp_path / "again/weights.safetensors").read_bytes() == old.read_bytes()
    assert "is there and not empty" in rerun(finished, name, "--output", str(tmp_path / "again"), fails=True)


def test_other_weights_are_said_to_be_different(finished: Project, tmp_path: Path) -> None:
    project = finished.copy(tmp_path / "p")
    weights = project.folder / "results/runs" / named(project, "ann") / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    printed = rerun(project, named(project, "ann"), fails=True)
    assert "\nweights.safetensors: DIFFERENT" in f"\n{printed}"
    assert "last/weights.safetensors: the same bytes" in printed


def test_other_code_is_refused_and_the_commit_named(finished: Project, tmp_path: Path) -> None:
    project = finished.copy(tmp_path / "p")
    commit = project.run("git", "rev-parse", "HEAD").strip()
    name = named(project, "conversion")
    # A commit that leaves the code as it was changes nothing.
    (project.folder / "note.txt").write_text("a note")
    project.commit("A note")
    assert_same(rerun(project, name))
    with (project.folder / CONVERSION).open("a") as file:
        file.write("# changed\n")
    printed = rerun(project, name, fails=True)
    assert "it was made without changes to tracked files, and there are some here" in printed
    assert "Traceback" not in printed
    project.commit("Changed")
    printed = rerun(project, name, fails=True)
    assert f"the run was made at commit {commit}" in printed
    assert_same(rerun(project, name, "--anyway"))
    # As the message says.
    project.run("git", "worktree", "add", str(tmp_path / "made-at"), commit)
    there = Project(tmp_path / "made-at")
    places = (f"--{name}={project.folder / folder}" for name, folder in (("runs", "results/runs"), ("data", "data")))
    assert_same(rerun(there, name, *places))


def test_run_of_changed_code_is_made_again_with_its_patch(finished: Project, tmp_path: Path) -> None:
    project = finished.copy(tmp_path / "p", "results/runs/*_conversion_*")
    code = project.folder / CONVERSION
    original = code.read_text()
    code.write_text(f"{original}\n# Changed while nobody looked: ü.\n")
    project.snakemake("runs")
    name = named(project, "conversion")
    assert_same(rerun(project, name))
    code.write_text(original)
    assert "git apply" in rerun(project, name, fails=True)
    (project.folder / "made-with.patch").write_text(rerun(project, name, "--print-diff"))
    project.run("git", "apply", "made-with.patch")
    assert "nobody looked: ü" in code.read_text()
    assert_same(rerun(project, name))


def test_missing_data_are_named(finished: Project, tmp_path: Path) -> None:
    printed = rerun(finished, named(finished, "ann"), "--data", str(tmp_path), fails=True)
    assert "no prepared data set; `snakemake data` makes it" in printed
