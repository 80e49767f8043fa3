"""The documentation says what is true: its code runs, its links lead somewhere, its numbers come from files."""

import itertools
import json
import operator
import re
from collections.abc import Hashable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch.nn import functional

from benchmarks import evidence, from_trained, leads, mutants, parts, tuning
from benchmarks.tables import TABLES
from snn2ann.methods import METHODS
from snn2ann.network import supported as graph
from snn2ann.options import CouplingOptions
from snn2ann.report import parameter_tables, registered
from snn2ann.report.behind import rests_on
from snn2ann.report.blocks import shown
from snn2ann.report.configurations import network_name
from snn2ann.report.judging import SENTENCES
from snn2ann.report.publish import BLOCKS, block_of
from snn2ann.report.statistics import CONFIDENCE
from snn2ann.report.tables.claims import claimed_text, measured_text
from snn2ann.report.verdict_rows import read_verdicts, verdict_table
from snn2ann.report.verdicts import RULES
from tests.published import PUBLISHED, REFERENCE

ROOT = Path(__file__).parents[1]
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def python_blocks(page: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)


def test_the_methods_example_runs() -> None:
    (block,) = python_blocks(ROOT / "docs" / "method.md")
    names: dict[str, object] = {}
    exec(compile(block, "docs/method.md", "exec"), names)
    assert tuple(names["logits"].shape) == (16, 8, 10)  # type: ignore[attr-defined]


def test_the_librarys_examples_run(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in python_blocks(ROOT / "docs" / "library.md"):
        exec(compile(block, "docs/library.md", "exec"), names)
    assert tuple(names["logits"].shape) == (8, 16, 10)
    printed = capsys.readouterr().out
    assert "1 (GELU): " in printed and "2 (GroupNorm): " in printed


def test_the_librarys_page_names_what_the_code_supports() -> None:
    page = (ROOT / "docs" / "library.md").read_text()
    table = page[page.index("| what | modules |") : page.index("`.view` and `.reshape`")]
    functions: dict[Any, str] = {operator.add: "+", operator.iadd: "+=", operator.sub: "-", operator.isub: "-="}
    functions |= {operator.mul: "*", operator.imul: "*=", operator.truediv: "/", operator.itruediv: "/="}
    functions |= {operator.neg: "-x", operator.getitem: "x[]"}
    for prefix, namespace in (("F", functional), ("torch", torch)):
        functions |= {
            value: f"{prefix}.{name}" for name, value in vars(namespace).items() if isinstance(value, Hashable)
        }
    supported = {f"nn.{kind.__name__}" for kind in graph.MODULES} | {f".{name}()" for name in graph.METHODS}
    table = table[: table.index("\nA dimension must be named")]
    assert set(re.findall(r"`([^`]+)`", table)) == supported | {functions[found] for found in graph.FUNCTIONS}
    assert [reason for reason in set(graph.REASONS.values()) if reason not in page] == []
    assert [option.name for option in fields(CouplingOptions) if f"`{option.name}`" not in page] == []


def test_the_librarys_table_is_the_committed_file() -> None:
    found = shown((ROOT / "docs" / "library.md").read_text())["from trained"]
    assert found == from_trained.table(ROOT / from_trained.RESULTS), "run `python -m benchmarks.from_trained --table`"


def test_the_tables_of_evidence_are_the_committed_files() -> None:
    found = shown((ROOT / evidence.PAGE).read_text())
    assert found == {name: table() for name, table in evidence.TABLES.items()}, (
        "run `python -m benchmarks.evidence --fill`"
    )


def test_the_tables_of_tuning_and_leads_are_the_committed_files() -> None:
    found = shown((ROOT / tuning.PAGE).read_text())["tuning"]
    assert found == tuning.table(tuning.read()), "run `python -m benchmarks.tuning --fill`"
    page, tables = shown((ROOT / leads.PAGE).read_text()), leads.tables(leads.read())
    assert {name: page[name] for name in tables} == tables, "run `python -m benchmarks.leads --fill`"


def test_the_parts_of_the_refined_variant_stand_as_their_ablation_has_them() -> None:
    found = shown((ROOT / parts.PAGE).read_text())["parts"]
    data = pd.read_csv(ROOT / parts.ABLATION)
    assert found == parts.parts(data), "run `python -m benchmarks.parts`"
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in found.splitlines()[2:]]
    # Every row but those of other T, with the differences that the ablation's own page has.
    own = data[(data["group"] == "ablation") & (data["training_time_steps"] == 5) & (data["network"] == "vgg-small")]
    assert len(lines) == len(own) - 1 == 11
    published = (ROOT / parts.ABLATION).with_suffix(".md").read_text()
    assert all(f" {cell} |" in published for _, vgg, _, resnet, _ in lines for cell in (vgg, resnet))
    both = [sum(float(cell.split()[0].replace("−", "-")) for cell in (line[1], line[3])) for line in lines]
    assert all(one <= other + 0.011 for one, other in itertools.pairwise(both)), "what is missed most stands first"


def test_the_table_of_mutants_is_the_committed_file() -> None:
    assert shown(mutants.PAGE.read_text())["mutants"] == mutants.table(mutants.read()), (
        "run `python -m benchmarks.mutants --each 0`"
    )


@pytest.mark.parametrize(
    ("page", "names"),
    [("method.md", ["relatives"]), ("data.md", ["datasets"]), ("parameters.md", list(parameter_tables.TABLES))],
)
def test_tables_of_registries_are_up_to_date(page: str, names: list[str]) -> None:
    found = shown((ROOT / "docs" / page).read_text())
    assert found.keys() & registered.TABLES.keys() == set(names)
    assert {name: found[name] for name in names} == {name: registered.TABLES[name]() for name in names}, (
        "run `snn2ann registered`"
    )


def test_the_table_of_relatives_has_every_trained_method() -> None:
    rows = {line.split("`")[1] for line in registered.relatives().splitlines() if line.startswith("| `")}
    assert rows == {name for name, entry in METHODS.items() if entry.trained} - {"ann"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_file_leads_there(page: Path) -> None:
    links = re.findall(r"(?:\]\(|\bsrc=\")(?!https?://|#)([^)#\"]+)", page.read_text())
    missing = [link for link in links if not (page.parent / link).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_blocks_of_a_page_are_the_reference_runs(page: Path) -> None:
    text = page.read_text()
    expected = {"claims": verdict_table(read_verdicts(REFERENCE / "digits" / "claims.json"))}
    printed = [
        name for name in BLOCKS if BLOCKS[name].endswith(".txt") and (REFERENCE / "digits" / BLOCKS[name]).exists()
    ]
    expected |= {name: (REFERENCE / "digits" / BLOCKS[name]).read_text().rstrip("\n") for name in printed}
    findings, made_with = (
        json.loads((REFERENCE / "digits" / BLOCKS[name]).read_text()) for name in ("claims", "made-with")
    )
    expected["made-with"] = rests_on(findings["findings"], made_with)
    found = {name: block_of(text, name) for name in BLOCKS}
    assert {name: block for name, block in found.items() if block is not None}.items() <= expected.items()
    assert text.count("made by `snn2ann publish`") == len([block for block in found.values() if block is not None])


def test_blocks_stand_where_readers_look_for_them() -> None:
    readme = (ROOT / "README.md").read_text()
    assert None not in (block_of(readme, "claims"), block_of(readme, "made-with"))
    reading = (ROOT / "docs" / "reading.md").read_text()
    assert None not in (block_of(reading, "compare"), block_of(reading, "show"))


def rows_of_claims(study: Path) -> list[dict[Any, Any]]:
    frame = pd.read_csv(study / "tables" / "claims.csv", keep_default_na=True)
    text = [
        "claim",
        "judged",
        "scope",
        "nothing",
        "networks",
        "dataset",
        "network",
        "compared",
        "unit",
        "verdict",
        "reason",
        "files",
    ]
    frame[text] = frame[text].fillna("")
    return frame.to_dict("records")


@pytest.mark.parametrize("study", PUBLISHED, ids=lambda study: study.name)
def test_verdicts_are_those_of_the_table_of_claims(study: Path) -> None:
    rows = read_verdicts(study / "claims.json")
    shown = {
        (each["name"], row["claim"]): [row["claimed"], each["measured"], each["verdict"]]
        for row in rows
        for each in row["judged"]
    }
    overall = [row for row in rows_of_claims(study) if row["scope"] == "overall"]
    expected = {
        (row["judged"], SENTENCES[row["claim"]]): [claimed_text(row), measured_text(row), row["verdict"]]
        for row in overall
    }
    assert shown == expected and len(expected) == 5 * len(rows[0]["judged"])
    # The page for readers has the same table.
    assert verdict_table(rows) in (study / "claims.md").read_text()


@pytest.mark.parametrize("study", PUBLISHED, ids=lambda study: study.name)
def test_every_number_of_claims_md_comes_from_a_file(study: Path) -> None:
    report = json.loads((study / "parameters.json").read_text())["report"]
    sources = [json.dumps(report), *SENTENCES.values()]
    for row in rows_of_claims(study):
        sources += [
            claimed_text(row),
            measured_text(row),
            row["compared"],
            row["reason"],
            row["files"],
            row["networks"],
        ]
        count = 0 if pd.isna(row["measured_n"]) else int(row["measured_n"])
        sources += [str(count), network_name(row["network"]), row["dataset"]]
    text = (study / "claims.md").read_text()
    body = text[: text.index("## How verdicts are given")]
    # The level of every interval is the report's own constant.
    known = set(NUMBER.findall("\n".join(sources))) | {f"{100 * CONFIDENCE:g}"}
    numbers = NUMBER.findall(body)
    assert len(numbers) > 50
    assert set(numbers) - known == set()
    assert "".join(NUMBER.findall(text[text.index("## How verdicts are given") :])) == "".join(NUMBER.findall(RULES))


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


def test_the_engines_tables_are_what_was_measured() -> None:
    filled = shown((ROOT / "docs" / "engine.md").read_text())
    assert filled.keys() == TABLES.keys()
    for name, content in filled.items():
        assert content == TABLES[name](ROOT / "benchmarks" / "results"), f"{name}: run `python -m benchmarks.tables`"
