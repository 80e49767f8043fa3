"""The paper is filled from what was published, and says nothing of its own."""

import re
from pathlib import Path

import pytest

from snn2ann.errors import UserError
from snn2ann.files import read_json, write_json
from snn2ann.report.paper import TEMPLATE, write_paper
from tests.published import PUBLISHED

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "docs" / "paper").mkdir(parents=True)
    text = (ROOT / "docs" / "paper" / TEMPLATE).read_text()
    (tmp_path / "docs" / "paper" / TEMPLATE).write_text(text)
    return tmp_path / "docs" / "paper"


@pytest.mark.parametrize("published", PUBLISHED, ids=lambda path: path.name)
def test_a_published_study_fills_the_template(published: Path, folder: Path) -> None:
    text = write_paper(published, folder).read_text()
    body = text[text.index("\\begin{document}") :]
    assert not re.search(r"@\{", body) and "nan" not in body
    assert body.count("\\begin{") == body.count("\\end{")
    claims = read_json(published / "claims.json")
    for verdict in claims["verdicts"]:
        for each in verdict["judged"]:
            assert re.search(rf"& {each['name']} & .*& {each['verdict']} \\\\\n", body), verdict["claim"]
    # Characters that LaTeX lacks in its basic fonts are written out.
    assert sorted({character for character in body if ord(character) > 127}) == []


def test_the_committed_paper_is_the_committed_references(folder: Path) -> None:
    made = write_paper(ROOT / "docs" / "reference" / "digits", folder).read_text()
    committed = (ROOT / "docs" / "paper" / "digits.tex").read_text()
    # The figure's place is told from where the paper lies.
    parts = [re.sub(r"\{[^{}]*(reference/digits/figures)", r"{\1", text) for text in (made, committed)]
    assert parts[0] == parts[1], "publish anew with --paper docs/paper"


def test_what_did_not_hold_is_listed_with_its_reason_and_nothing_else(folder: Path, tmp_path: Path) -> None:
    published = tmp_path / "reference"
    source = ROOT / "docs" / "reference" / "digits"
    for name in ("parameters.json", "made-with.json", "tables/against_reference.csv"):
        (published / name).parent.mkdir(parents=True, exist_ok=True)
        (published / name).write_bytes((source / name).read_bytes())
    claims = read_json(source / "claims.json")
    for each in claims["findings"]:
        each["verdict"], each["reason"] = "holds", "it does"
    held = [each for each in claims["findings"] if each["scope"] == "network"]
    held[0] |= {"verdict": "does not hold", "reason": "12 % & more"}
    write_json(published / "claims.json", claims)
    text = write_paper(published, folder).read_text()
    section = text[text.index("{What did not hold}") : text.index("{To run it again}")]
    assert section.count("\\item") == 1 and r"\emph{does not hold}. 12 \% \& more." in section
    held[0]["verdict"] = "holds"
    write_json(published / "claims.json", claims)
    assert "Every claim holds on every network" in write_paper(published, folder).read_text()


def test_a_template_that_is_missing_or_asks_for_what_there_is_not_is_named(folder: Path, tmp_path: Path) -> None:
    published = ROOT / "docs" / "reference" / "digits"
    with pytest.raises(UserError, match=rf"{TEMPLATE}: cannot be read"):
        write_paper(published, tmp_path)
    (folder / TEMPLATE).write_text("@{accuracies}")
    with pytest.raises(UserError, match=r"@\{accuracies\} is not known"):
        write_paper(published, folder)
