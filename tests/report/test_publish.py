"""Publishing a study into the documentation."""

import json
from pathlib import Path

import pytest

from snn2ann.errors import UserError
from snn2ann.report.agreement import machines_of
from snn2ann.report.blocks import marks
from snn2ann.report.checksums import RECORDS
from snn2ann.report.judging import make_claims
from snn2ann.report.publish import block_of, publish
from snn2ann.report.results import collect_results
from snn2ann.report.verdict_rows import read_verdicts, verdict_table
from snn2ann.runs.packed import unpack

from .synthetic import METHODS, write_study

PARTS = ("claims", "made-with", "compare", "show")


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A finished study of two runs, one of each side of the claims."""
    folder = write_study(tmp_path / "results", [METHODS[4], METHODS[2]], ("vgg-small",), (0,))
    collect_results(folder)
    make_claims(folder)
    (folder / "figures").mkdir()
    (folder / "figures" / "one.png").write_text("png")
    for name, commit in zip(runs_of(folder), ("123", "456"), strict=True):
        path = folder.parent / "runs" / name / "training.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"commit": commit}))
    return folder


def runs_of(study: Path) -> list[str]:
    return [run["name"] for run in json.loads((study / "study.json").read_text())["runs"]]


def page_with(folder: Path, *names: str) -> Path:
    blocks = "".join("{}\nold\n{}\nbetween\n".format(*marks(name, "snn2ann publish")) for name in names)
    page = folder / "page.md"
    page.write_text(f"before\n{blocks}after\n")
    return page


def test_documents_are_copied_with_what_they_were_made_with(study: Path, tmp_path: Path) -> None:
    output = tmp_path / "docs" / "small"
    (output / "figures").mkdir(parents=True)
    (output / "figures" / "gone.png").write_text("of a former study")
    publish(study, output)
    assert (output / "figures" / "one.png").read_text() == "png"
    assert not (output / "figures" / "gone.png").exists()
    made_with = json.loads((output / "made-with.json").read_text())
    assert made_with["commit"] == ["123", "456"] and made_with["machine"] == [{"processor": "made up"}]
    assert json.loads((output / "parameters.json").read_text()) == {}
    assert unpack(output / RECORDS, tmp_path / "elsewhere") == sorted(runs_of(study))


def test_pages_show_the_verdicts_and_what_commands_print(study: Path, tmp_path: Path) -> None:
    page, output = page_with(tmp_path, *PARTS), tmp_path / "docs"
    publish(study, output, [page])
    text = page.read_text()
    assert block_of(text, "claims") == verdict_table(read_verdicts(study / "claims.json"))
    for name in ("compare", "show"):
        assert block_of(text, name) == (output / f"{name}.txt").read_text().rstrip("\n")
    assert str(block_of(text, "made-with")) == (
        "Accuracy, time steps and spikes: n = 1 seeds of VGG (small) on digits. Training time and memory: "
        "n = 7 rounds of VGG-13 and of ResNet-17. Made on ? cores of made up (device: cpu; threads of a job: 2), with "
        "Python ? and PyTorch 2."
    )
    assert str(block_of(text, "compare")).startswith("1  {}\n2  {}\n".format(*runs_of(study)))
    assert str(block_of(text, "show")).startswith(runs_of(study)[0])
    assert text.startswith("before\n") and text.count("\nbetween\n") == 4 and text.endswith("after\n")
    publish(study, output, [page])
    assert page.read_text() == text
    publish(study, output, [page_with(tmp_path, "claims")])
    assert block_of(page.read_text(), "show") is None


def test_a_page_without_marks_is_refused_and_nothing_changes(study: Path, tmp_path: Path) -> None:
    page, output = page_with(tmp_path), tmp_path / "docs"
    output.mkdir()
    (output / "kept.md").write_text("kept")
    with pytest.raises(UserError, match=r"page\.md: the marks"):
        publish(study, output, [page])
    assert page.read_text() == "before\nafter\n" and (output / "kept.md").exists()


def test_an_unfinished_study_is_named(study: Path, tmp_path: Path) -> None:
    (study / "claims.json").unlink()
    with pytest.raises(UserError, match=r"claims\.json: missing; make the study first"):
        publish(study, tmp_path / "docs")


@pytest.mark.parametrize("file", ["training.json", "history.csv"])
def test_a_wrong_run_leaves_the_documentation_as_it_was(study: Path, tmp_path: Path, file: str) -> None:
    page, output = page_with(tmp_path, *PARTS), tmp_path / "docs"
    before = page.read_text()
    output.mkdir()
    (output / "kept.md").write_text("kept")
    (tmp_path / "results" / "runs" / runs_of(study)[0] / file).write_text("nonsense")
    with pytest.raises(UserError, match=file):
        publish(study, output, [page])
    assert page.read_text() == before and (output / "kept.md").exists()


def test_a_second_making_stands_beside_with_whether_they_agree(study: Path, tmp_path: Path) -> None:
    page, output = page_with(tmp_path, "claims", "agree"), tmp_path / "docs"
    publish(study, output, [page], second=study)
    assert (output / "second" / "claims.json").read_bytes() == (study / "claims.json").read_bytes()
    assert json.loads((output / "second" / "made-with.json").read_text())["machine"] == [{"processor": "made up"}]
    agreed = str(block_of(page.read_text(), "agree"))
    assert agreed == (output / "agreement.txt").read_text().rstrip("\n") and "0 differ" in agreed
    assert machines_of(output) == ["made up"]
