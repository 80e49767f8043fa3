"""Publishing a study into the documentation."""

import json
from pathlib import Path

import pytest

from snn2ann.errors import UserError
from snn2ann.report.publish import BEGIN, END, publish


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """The few files of a finished study that publishing reads."""
    folder = tmp_path / "results" / "small"
    for name, text in (("figures/one.png", "png"), ("claims.md", "# Claims\n\n| claim |\n\n| other |\n")):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "study.json").write_text(
        json.dumps({"runs": [{"name": "a"}, {"name": "b"}], "parameters": {"study": "small"}})
    )
    for name, commit in (("a", "123"), ("b", "456")):
        run = tmp_path / "results" / "runs" / name
        run.mkdir(parents=True)
        training = {
            "machine": {"cores": 2},
            "versions": {"torch": "2"},
            "commit": commit,
            "threads": 1,
            "device": "cpu",
        }
        (run / "training.json").write_text(json.dumps(training))
    return folder


def test_documents_are_copied_with_what_they_were_made_with(study: Path, tmp_path: Path) -> None:
    readme, output = tmp_path / "README.md", tmp_path / "docs" / "small"
    readme.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    (output / "figures").mkdir(parents=True)
    (output / "figures" / "gone.png").write_text("of a former study")
    publish(study, output, readme)
    assert readme.read_text() == f"before\n{BEGIN}\n| claim |\n{END}\nafter\n"
    assert (output / "figures" / "one.png").read_text() == "png"
    assert not (output / "figures" / "gone.png").exists()
    made_with = json.loads((output / "made-with.json").read_text())
    assert made_with["commit"] == ["123", "456"] and made_with["machine"] == [{"cores": 2}]
    assert json.loads((output / "parameters.json").read_text()) == {"study": "small"}


def test_a_readme_without_marks_is_refused_and_nothing_changes(study: Path, tmp_path: Path) -> None:
    readme, output = tmp_path / "README.md", tmp_path / "docs"
    readme.write_text("no marks")
    (output).mkdir()
    (output / "kept.md").write_text("kept")
    with pytest.raises(UserError, match=r"README\.md: the marks"):
        publish(study, output, readme)
    assert readme.read_text() == "no marks" and (output / "kept.md").exists()


def test_an_unfinished_study_is_named(study: Path, tmp_path: Path) -> None:
    (study / "claims.md").unlink()
    with pytest.raises(UserError, match=r"claims\.md: missing; make the study first"):
        publish(study, tmp_path / "docs")


def test_a_missing_run_leaves_the_documentation_as_it_was(study: Path, tmp_path: Path) -> None:
    readme, output = tmp_path / "README.md", tmp_path / "docs"
    readme.write_text(f"{BEGIN}\nold\n{END}\n")
    output.mkdir()
    (output / "kept.md").write_text("kept")
    (tmp_path / "results" / "runs" / "b" / "training.json").unlink()
    with pytest.raises(UserError, match=r"training\.json"):
        publish(study, output, readme)
    assert "old" in readme.read_text() and (output / "kept.md").exists()
