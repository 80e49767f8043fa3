"""The documentation's site, notebook and docstrings: whole, up to date, and leading somewhere."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import griffe
import nbformat
import pytest
from mkdocs.commands.build import build as mkdocs_build
from mkdocs.config import load_config
from mkdocs.exceptions import Abort

import snn2ann
from snn2ann.errors import UserError
from snn2ann.report.blocks import shown
from snn2ann.study import load_parameters, resolve
from website import commands
from website.notebook import NOTEBOOK, executed

ROOT = Path(__file__).parents[1]
API = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
DOCUMENTED = re.findall(r"^::: (\S+)", API, re.MULTILINE)
# An absolute path of whoever ran it.
# What the reference leaves out, as in mkdocs.yml.
HIDDEN = "_|get_extra_state|set_extra_state|extra_repr"
A_MACHINES_PATH = re.compile(r"(?<![\w./])/(?:home|root|tmp|work|Users|mnt|opt|usr)/")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    # Strict: a link or an anchor that leads nowhere, or a page that no menu has, ends it.
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_the_site_has_every_page_and_what_pages_link_to(site: Path) -> None:
    pages = {path.stem for path in (ROOT / "docs").glob("*.*")} | {"index"}
    assert pages == {path.stem for path in site.glob("*.html")} - {"404"}
    assert (site / "repository" / "examples" / "couple_own_network.py").read_bytes() == (
        ROOT / "examples" / "couple_own_network.py"
    ).read_bytes()
    notebook = (site / "first-network.html").read_text(encoding="utf-8")
    pictures = re.findall(r'src="(first-network-\d+\.png)"', notebook)
    assert len(pictures) == 4 and all((site / name).stat().st_size for name in pictures)
    home = (site / "index.html").read_text(encoding="utf-8")
    assert 'href="library.html"' in home and 'src="reference/digits/figures/accuracy_against_spikes.png"' in home


def test_nothing_of_the_site_is_fetched_from_elsewhere(site: Path) -> None:
    loaded = re.compile(
        r"<(?:script|img|iframe)[^>]+src=\"(https?:[^\"]+)|<link[^>]+rel=\"stylesheet\"[^>]+href=\"(https?:[^\"]+)"
    )
    assert {page.name: found for page in site.rglob("*.html") if (found := loaded.findall(page.read_text()))} == {}


def test_the_reference_shows_what_is_documented(site: Path) -> None:
    page = (site / "api.html").read_text(encoding="utf-8")
    names = [name for name in DOCUMENTED if f'id="{name}"' not in page]
    assert names == []
    assert {name.removeprefix("snn2ann.") for name in DOCUMENTED} >= set(snn2ann.__all__)


def site_of(folder: Path, text: str) -> None:
    """Build a site of two pages by the same settings."""
    docs = folder / "docs"
    docs.mkdir()
    (docs / "library.md").write_text("# Library\n")
    (docs / "index.md").write_text(f"# One\n\n{text}\n")
    nav = ["index.md", "library.md"]
    mkdocs_build(
        load_config(str(ROOT / "mkdocs.yml"), docs_dir=str(docs), site_dir=str(folder / "site"), nav=nav, plugins=[])
    )


def test_a_link_to_a_file_of_the_repository_leads_to_a_copy(tmp_path: Path) -> None:
    site_of(tmp_path, "[x](library.md#library) [y](../examples/couple_own_network.py)")
    shown = (tmp_path / "site" / "index.html").read_text()
    assert 'href="repository/examples/couple_own_network.py"' in shown and 'href="library.html#library"' in shown
    assert (tmp_path / "site" / "repository" / "examples" / "couple_own_network.py").exists()


@pytest.mark.parametrize("wrong", ["x.md", "library.md#x", "../examples/x.py", "../examples", "images/x.png"])
def test_a_link_that_leads_nowhere_is_an_error(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(Abort, match="1 warning"):
        site_of(tmp_path, f"[here]({wrong})")


def test_the_page_of_commands_is_what_the_commands_say() -> None:
    assert shown(commands.PAGE.read_text(encoding="utf-8"))["commands"] == commands.reference(), (
        "run `python -m website.commands`"
    )


@pytest.mark.slow
def test_the_notebook_runs_and_its_outputs_are_kept() -> None:
    kept = [cell for cell in nbformat.read(NOTEBOOK, as_version=4).cells if cell.cell_type == "code"]
    fresh = [cell for cell in executed(NOTEBOOK).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in kept] == [cell.execution_count for cell in fresh]
    assert [kinds(cell) for cell in kept] == [kinds(cell) for cell in fresh], "run `python -m website.notebook`"
    assert A_MACHINES_PATH.search(NOTEBOOK.read_text(encoding="utf-8")) is None
    shown = "".join(output["text"] for cell in fresh for output in cell.outputs if "text" in output)
    (accuracy,) = re.findall(r"SNN branch ([\d.]+)", shown)
    elsewhere, here = re.findall(r"(?:onnxruntime|here): ([\d.]+)", shown)
    assert float(accuracy) > 95 and abs(float(elsewhere) - float(here)) < 1


def kinds(cell: Any) -> list[str]:
    return [str(output["output_type"]) for output in cell.outputs]


PACKAGE = griffe.load("snn2ann", search_paths=[ROOT / "src"], docstring_parser="google")


def documented(name: str) -> Any:
    """What griffe knows of it, wherever it is defined."""
    found = PACKAGE[name.removeprefix("snn2ann.")]
    return found.final_target if found.is_alias else found


def callables() -> list[Any]:
    """Functions and public methods of the reference."""
    found = []
    for each in map(documented, DOCUMENTED):
        members = each.members.values() if each.is_class else [each]
        found += [item for item in members if item.is_function and not re.match(HIDDEN, item.name)]
    return found


def part(item: Any, kind: str) -> list[Any]:
    sections = item.docstring.parsed if item.docstring else []
    return [entry for section in sections if section.kind.value == kind for entry in section.value]


@pytest.mark.parametrize("item", callables(), ids=lambda item: f"{item.parent.name}.{item.name}")
def test_docstrings_say_arguments_shapes_and_errors(item: Any) -> None:
    summary = item.docstring.value if item.docstring else ""
    assert summary
    arguments = [each.name for each in item.parameters if each.name not in ("self", "cls")]
    described = {each.name.lstrip("*"): each.description for each in part(item, "parameters")}
    # One argument may be explained in the sentence itself.
    assert set(described) == set(arguments) or (not described and len(arguments) < 2)
    for each in item.parameters:
        if "Tensor" in str(each.annotation):
            assert "[" in described.get(each.name, summary), f"{each.name}: its shape"
    if "Tensor" in str(item.returns):
        assert "[" in summary or "scalar" in summary, "the shape of what it gives"
    raised = set(re.findall(r"^\s+raise (\w+)\(", item.source, re.MULTILINE))
    assert raised <= {str(each.annotation) for each in part(item, "raises")}


@pytest.mark.parametrize("name", [name for name in DOCUMENTED if documented(name).is_class])
def test_every_attribute_is_described(name: str) -> None:
    item = documented(name)
    values = {key for key, each in item.members.items() if each.is_attribute and not key.startswith("_")}
    properties = {key for key in values if "property" in item.members[key].labels}
    described = {each.name for each in [*part(item, "attributes"), *part(item, "parameters")]}
    assert values - properties - {"training"} <= described  # `training` is torch's own
    assert [key for key in properties if item.members[key].docstring is None] == []


@pytest.mark.parametrize("name", snn2ann.__all__)
def test_public_functions_name_their_source(name: str) -> None:
    assert re.search(r"\b(19|20)\d\d\b", documented(name).docstring.value), "who it is by, with a year"


def test_the_first_studys_page_leads_to_its_runs(tmp_path: Path) -> None:
    """Its parameters, changed as it says, name the runs that it says; the workflow that makes them has tests of its own."""
    page = (ROOT / "docs" / "first-study.md").read_text(encoding="utf-8")
    recipe, study, seeds, method = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    for place, lines in (("recipes:", recipe), ("studies:", study)):
        text = text.replace(f"\n{place}\n", f"\n{place}\n{lines}", 1)

    def runs(content: str) -> list[str]:
        file = tmp_path / "params.yaml"
        file.write_text(content, encoding="utf-8")
        return [run.name for run in resolve(load_parameters(file), "first").runs]

    first = runs(text)
    assert [name.split("_")[2] for name in first] == ["ann"] * 2 + ["stbp"] * 2 + ["snn2ann"] * 2
    more = runs(text.replace("    seeds: [0, 1]\n", seeds, 1))
    assert len(more) == 9 and set(first) < set(more)
    longer = runs(text.replace("epochs: 4", "epochs: 5", 1).replace("    seeds: [0, 1]\n", seeds, 1))
    assert len(longer) == 9 and not set(longer) & set(more)
    assert (
        method.strip() == "- {method: tet, time_steps: 5}"
        and '"tet": MethodEntry(' in (ROOT / "docs/adding.md").read_text()
    )
    with pytest.raises(UserError, match=r"epochs: .four. is not allowed"):
        runs(text.replace("epochs: 4", "epochs: four", 1))
