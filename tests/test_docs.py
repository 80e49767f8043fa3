"""The documentation says what is true: its code runs, its links lead somewhere, its numbers come from files."""

import re
from pathlib import Path

import pytest

from snn2ann.report.publish import BEGIN, END, verdicts

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def python_blocks(page: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)


def test_the_methods_example_runs() -> None:
    (block,) = python_blocks(ROOT / "docs" / "method.md")
    names: dict[str, object] = {}
    exec(compile(block, "docs/method.md", "exec"), names)
    assert tuple(names["logits"].shape) == (16, 8, 10)  # type: ignore[attr-defined]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_file_leads_there(page: Path) -> None:
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text())
    missing = [link for link in links if not (page.parent / link).exists()]
    assert missing == []


def test_the_readmes_claims_are_the_reference_runs() -> None:
    text = (ROOT / "README.md").read_text()
    block = text[text.index(BEGIN) + len(BEGIN) : text.index(END)].strip()
    assert block == verdicts(ROOT / "docs" / "reference" / "digits" / "claims.md")


def test_every_dependency_is_given_a_reason() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    wanted = {re.split(r"[\[<>=~]", entry)[0] for group in groups for entry in group}
    # Types for mypy come with the package they are for.
    wanted -= {name for name in wanted if name.startswith("types-") or name.endswith("-stubs")}
    text = (ROOT / "docs" / "dependencies.md").read_text()
    given = {name.strip() for row in re.findall(r"^\| ([^|]+) \|", text, re.MULTILINE) for name in row.split(",")}
    assert wanted - given == set()
    assert given - wanted - {"package", "---"} == set()
