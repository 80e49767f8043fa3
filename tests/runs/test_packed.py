"""Records that go from one machine to another."""

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from snn2ann.errors import UserError
from snn2ann.files import sha256_of
from snn2ann.report.results import collect_results
from snn2ann.report.tables import make_table
from snn2ann.runs.folder import RunFolder
from snn2ann.runs.packed import digests_of, pack, unpack
from snn2ann.runs.weights import load_tensors
from snn2ann.state import refuse_elsewhere
from snn2ann.study import load_parameters, resolve
from tests.report.synthetic import METHODS, write_study

PARAMS = Path(__file__).parents[1] / "workflow" / "params.yaml"
MEASURED = ["training_cost-0c057000.csv", "inference-0c057000.csv"]


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A finished study of two runs, as it is where it was made."""
    folder = write_study(tmp_path / "there", [METHODS[4], METHODS[2]], ("vgg-small",), (0,))
    for name in runs_of(folder):
        run = RunFolder(folder.parent / "runs" / name)
        run.last.path.mkdir()
        for place in (run.weights, run.thresholds, run.last.weights, run.last.thresholds):
            place.write_text(f"{place.name} of {name}")
    return folder


def runs_of(study: Path) -> list[str]:
    return [run["name"] for run in json.loads((study / "study.json").read_text())["runs"]]


def packed(study: Path, output: Path) -> Path:
    pack(study.parent, runs_of(study), MEASURED, output)
    return output


def test_tables_of_unpacked_records_are_those_of_the_machine_that_made_them(study: Path, tmp_path: Path) -> None:
    here = tmp_path / "here"
    assert unpack(packed(study, tmp_path / "records.tar.xz"), here) == sorted(runs_of(study))
    elsewhere = here / study.name
    elsewhere.mkdir()
    (elsewhere / "study.json").write_text((study / "study.json").read_text())
    for folder in (study, elsewhere):
        collect_results(folder)
        make_table("training_efficiency", folder)
        make_table("inference_efficiency", folder)
    made = [path.relative_to(study) for path in study.rglob("*") if path.is_file()]
    assert len(made) == 10
    for name in made:
        assert (study / name).read_bytes() == (elsewhere / name).read_bytes(), name


def test_digests_stand_for_weights(study: Path, tmp_path: Path) -> None:
    here = tmp_path / "here"
    unpack(packed(study, tmp_path / "records.tar.xz"), here)
    for name in runs_of(study):
        there, run = RunFolder(study.parent / "runs" / name), RunFolder(here / "runs" / name)
        assert run.records_only and not there.records_only
        assert digests_of(run) == digests_of(there)
        assert digests_of(run)["last/weights.safetensors"] == sha256_of(there.last.weights)
        with pytest.raises(UserError, match=f"{name}: has records only, its weights stayed where it was made; move it"):
            load_tensors(run.weights)
    # Nothing of the digests is lost on a way over several machines.
    pack(here, runs_of(study), MEASURED, tmp_path / "again.tar.xz")
    assert (tmp_path / "again.tar.xz").read_bytes() == (tmp_path / "records.tar.xz").read_bytes()


def test_what_is_here_already_stays(study: Path, tmp_path: Path) -> None:
    archive = packed(study, tmp_path / "records.tar.xz")
    assert unpack(archive, study.parent) == []
    assert not any(RunFolder(study.parent / "runs" / name).digests.exists() for name in runs_of(study))


def of_another_machine(results: Path, name: str) -> str:
    path = RunFolder(results / "runs" / name).training
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    return str(path.parent)


def under_way(results: Path, name: str) -> str:
    path = RunFolder(results / "runs" / name).checkpoint
    path.parent.mkdir(parents=True)
    path.write_text("half")
    return str(path.parent)


def measured_here(results: Path, name: str) -> str:
    path = results / "measurements" / MEASURED[0]
    path.parent.mkdir(parents=True)
    path.write_text("other")
    return str(path)


@pytest.mark.parametrize("make", [of_another_machine, under_way, measured_here])
def test_what_was_made_otherwise_is_named_and_nothing_is_unpacked(
    make: Callable[[Path, str], str], study: Path, tmp_path: Path
) -> None:
    archive, here = packed(study, tmp_path / "records.tar.xz"), tmp_path / "here"
    named = make(here, runs_of(study)[0])
    before = {path: path.read_bytes() for path in here.rglob("*") if path.is_file()}
    with pytest.raises(UserError, match="there already, made otherwise") as refused:
        unpack(archive, here)
    assert str(refused.value).startswith(f"{named}: ")
    assert {path: path.read_bytes() for path in here.rglob("*") if path.is_file()} == before


def test_only_finished_runs_are_packed(study: Path, tmp_path: Path) -> None:
    first, second = runs_of(study)
    for path in RunFolder(study.parent / "runs" / first).evaluations():
        path.unlink()
    output = tmp_path / "records.tar.xz"
    assert pack(study.parent, [first, second, "never-made"], MEASURED, output) == [second]
    assert unpack(output, tmp_path / "here") == [second]
    with pytest.raises(UserError, match="no run of the study is finished"):
        pack(study.parent, [first], MEASURED, output)
    with pytest.raises(UserError, match=r"records.zip: its format is not known; name a file that ends in .tar.xz"):
        pack(study.parent, [second], MEASURED, tmp_path / "records.zip")


@pytest.mark.parametrize(
    "name",
    [
        "../params.yaml",
        "/etc/passwd",
        "runs/one/weights.safetensors",
        "runs/../run.yaml",
        "runs/one/run.yaml/x",
        "runs/one",
    ],
)
def test_an_archive_of_other_files_is_refused(name: str, tmp_path: Path) -> None:
    archive = tmp_path / "records.tar.xz"
    with tarfile.open(archive, "w:xz") as opened:
        for each in ("runs/one/run.yaml", name):
            member = tarfile.TarInfo(each)
            member.size = 1
            opened.addfile(member, io.BytesIO(b"x"))
    with pytest.raises(UserError, match="which is no record of a run; nothing was unpacked"):
        unpack(archive, tmp_path / "here")
    assert not (tmp_path / "here").exists()


def test_links_and_damaged_archives_are_refused(study: Path, tmp_path: Path) -> None:
    archive = tmp_path / "records.tar.xz"
    with tarfile.open(archive, "w:xz") as opened:
        member = tarfile.TarInfo("runs/one/run.yaml")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        opened.addfile(member)
    with pytest.raises(UserError, match="no record of a run"):
        unpack(archive, tmp_path / "here")
    whole = packed(study, archive).read_bytes()
    for content in (b"", b"no archive", whole[: len(whole) // 2]):
        archive.write_bytes(content)
        with pytest.raises(UserError, match="cannot be read as packed records"):
            unpack(archive, tmp_path / "here")
    with pytest.raises(UserError, match=r"absent.tar.xz: cannot be read as packed records"):
        unpack(tmp_path / "absent.tar.xz", tmp_path / "here")
    assert not (tmp_path / "here").exists()


def test_a_study_that_needs_weights_from_elsewhere_is_refused_before_it_starts(tmp_path: Path) -> None:
    runs = resolve(load_parameters(PARAMS), "tiny").runs
    started = next(run for run in runs if run.source)
    refuse_elsewhere(runs, tmp_path)
    for name in (started.name, str(started.source)):
        run = RunFolder(tmp_path / name)
        run.path.mkdir()
        run.digests.write_text("")
        with pytest.raises(UserError, match=f"{name}: has records only"):
            refuse_elsewhere(runs, tmp_path)
        evaluated = next(run for run in runs if run.name == name)
        run.evaluation(evaluated.evaluation_digest).write_text("[]")
        if name == started.name:
            refuse_elsewhere(runs, tmp_path)
            run.evaluation(evaluated.evaluation_digest).unlink()
            run.digests.unlink()
