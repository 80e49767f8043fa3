"""The HTML report of a real study: verdicts first, everything by section, readable in a browser without a network."""

import html
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from snn2ann.report.figures import FIGURES
from snn2ann.report.judging import SENTENCES
from snn2ann.report.registry import SECTIONS, listed
from snn2ann.report.tables import TABLES
from tests.browser import browser
from tests.workflow.project import Project


@pytest.fixture(scope="module")
def report(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = finished.copy(tmp_path_factory.mktemp("report") / "project")
    project.snakemake("--report", "results/tiny/report.html")
    return project.folder / "results/tiny/report.html"


def seen(page: Path, width: int, script: str, folder: Path) -> dict[str, Any]:
    """What `script`, an expression, finds in the page once it has loaded, with no network."""
    copy = folder / "page.html"
    # Its result is put where the text of the page ends up.
    watch = f"document.body.innerHTML = '<pre id=found>' + JSON.stringify({script}) + '</pre>'"
    copy.write_text(
        f"{page.read_text()}<script>addEventListener('load', () => setTimeout(() => {{{watch}}}, 1500))</script>"
    )
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND"]
    options += [f"--user-data-dir={folder / 'profile'}", f"--window-size={width},900", "--virtual-time-budget=10000"]
    done = subprocess.run(
        [browser(), *options, "--dump-dom", copy.as_uri()], capture_output=True, text=True, timeout=180
    )
    found = re.search('<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found, done.stderr
    return dict(json.loads(html.unescape(found[1])))


def test_every_table_and_figure_stands_in_its_section_with_how_to_read_it(report: Path) -> None:
    # docutils puts words with hyphens into tags of their own.
    text = re.sub(r"</?(?:tt|span)[^>]*>", "", report.read_text())
    for number, section in enumerate(SECTIONS, start=1):
        assert f"{number}. {section}" in text
    for kind, entries in (("table", TABLES), ("figure", FIGURES)):
        for name in listed(entries, {}):
            entry = entries[name]
            assert f"{entry.title} ({kind})" in text
            assert f"results/tiny/{kind}s/{name}.html" in text
            command = "claims" if name == "claims" else f"{kind} {name}"
            assert f"snn2ann {command} --study-folder results/tiny" in text
            assert html.escape(entry.reading.split(".")[0], quote=False) in text


@pytest.mark.parametrize("width", [1400, 500])
def test_the_front_page_shows_the_verdicts_on_any_width(report: Path, tmp_path: Path, width: int) -> None:
    shown = seen(
        report,
        width,
        "(({left, right, top}) => ({left, right, top, width: innerWidth,"
        " text: document.querySelector('.prose').innerText}))(document.querySelector('.prose').getBoundingClientRect())",
        tmp_path,
    )
    assert all(sentence in shown["text"] for sentence in SENTENCES.values())
    assert shown["text"].index("undecided") < shown["text"].index("1. Verdicts")
    assert shown["left"] >= 0 and shown["top"] >= 0
    if width == 1400:
        assert shown["right"] <= shown["width"]


@pytest.mark.parametrize("page", ["tables/ablation.html", "figures/convergence.html"])
def test_only_the_content_is_wider_than_a_phone(finished: Project, tmp_path: Path, page: str) -> None:
    shown = seen(
        finished.folder / "results/tiny" / page,
        500,
        "{width: innerWidth, page: document.documentElement.scrollWidth,"
        " pictures: [...document.images].every(each => each.naturalWidth > 0)}",
        tmp_path,
    )
    assert shown["page"] <= shown["width"] and shown["pictures"]
