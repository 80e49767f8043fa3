"""Blocks of a page: only what is named changes, and only between its own marks."""

from pathlib import Path

from snn2ann.report.blocks import fill, marks, shown

PAGE = """Before
<!-- one: made by `make it` -->
old
<!-- end of one -->
between
<!-- two words: made by `python -m other` -->
| a |
|---|
<!-- end of two words -->
after
"""


def test_blocks_are_told_by_their_marks() -> None:
    assert shown(PAGE) == {"one": "old", "two words": "| a |\n|---|"}
    begin, end = marks("one", "make it")
    assert f"{begin}\nold\n{end}" in PAGE
    assert shown(PAGE.replace("<!-- end of one -->", "<!-- end of two -->")).keys() == {"two words"}


def test_only_the_named_blocks_are_filled(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    fill(page, {"one": r"new \1", "three": "nowhere"})
    assert page.read_text() == PAGE.replace("old", r"new \1")
