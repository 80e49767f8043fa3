"""docs/adding.md, followed to the letter in a copy of the project."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from snn2ann.data import DatasetEntry
from snn2ann.data.source import RawImages, Source
from snn2ann.methods import MethodEntry, Relative
from snn2ann.methods.model import Model
from snn2ann.models import NetworkEntry
from snn2ann.report.registry import Entry
from snn2ann.report.results import collect_results, load_results
from tests.report.synthetic import write_study

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "adding.md").read_text(encoding="utf-8")
FILE = re.compile(r"New file `([^`]+)`:\n\n```python\n(.*?)```", re.DOTALL)
ENTRY = re.compile(r"In `([A-Z]+)` of `([^`]+)`:\n\n```python\n(.*?)```", re.DOTALL)
SECTION = re.compile(r"In `params.yaml`, under `(\w+:)`\n\n```yaml\n(.*?)```", re.DOTALL)
COMMANDS = re.compile(r"Then\n\n```sh\n(.*?)```", re.DOTALL)
FAST = ["tests/test_docs.py", "tests/test_study.py", "tests/test_imports.py", "tests/data/test_registry.py"]
FAST += ["tests/report/test_style.py", "tests/report/test_tables.py", "tests/report/test_pictures.py"]
OF_THE_METHOD = [
    "tests/training/test_revisions.py",
    "tests/training/test_record.py",
    "tests/training/test_precision.py",
]


def section(title: str) -> str:
    """The page's text under a heading."""
    return PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize(
    ("title", "kind"),
    [
        ("A method", MethodEntry),
        ("A method", Relative),
        ("A network", NetworkEntry),
        ("A data set", DatasetEntry),
        ("A data set", Source),
        ("A data set", RawImages),
        ("A table", Entry),
    ],
)
def test_the_page_names_every_field_of_an_entry(title: str, kind: Any) -> None:
    missing = [each.name for each in fields(kind) if f"`{each.name}`" not in section(title)]
    assert missing == []


def test_the_page_names_every_measure(tmp_path: Path) -> None:
    folder = write_study(tmp_path, networks=("vgg-small",), seeds=(0,), cost=False)
    collect_results(folder)
    measures = set(load_results(folder)["measure"])
    named = section("A method").partition("| measure |")[2].partition("\n\n")[0]
    assert measures == set(re.findall(r"`(\w+)`", named))


def test_the_page_names_every_ability() -> None:
    text = section("A method")
    abilities = [name for name in vars(Model) if not name.startswith("_") and callable(getattr(Model, name))]
    assert [name for name in abilities if f"`{name}(" not in text] == []
    traits = [name for name, value in vars(Model).items() if isinstance(value, bool)]
    assert sorted(traits) == ["converted", "coupled", "frames", "spiking", "trains"]
    assert [name for name in traits if f"`{name}" not in text] == []


@dataclass
class Copy:
    """A copy of the project to which everything of the page was added."""

    root: Path

    def run(self, *command: str) -> str:
        """Run a command in it with its own code; a failure shows what was printed."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        places = {"PYTHONPATH": f"{self.root / 'src'}{os.pathsep}{self.root}", "PATH": path}
        done = subprocess.run(
            command, cwd=self.root, env=os.environ | places, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}"
        return done.stdout


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    root = tmp_path_factory.mktemp("project")
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    for name in (name for name in listed if (ROOT / name).exists()):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, root / name, follow_symlinks=False)
    for name, code in FILE.findall(PAGE):
        assert not (root / name).exists()
        (root / name).write_text(code, encoding="utf-8")
    for registry, name, entry in ENTRY.findall(PAGE):
        text = (root / name).read_text(encoding="utf-8")
        start = text.index("\n", text.index(f"\n{registry}") + 1)
        end = text.index("\n}\n", start) + 1
        (root / name).write_text(text[:end] + entry + text[end:], encoding="utf-8")
    parameters = (root / "params.yaml").read_text(encoding="utf-8")
    for place, lines in SECTION.findall(PAGE):
        parameters = parameters.replace(f"\n{place}\n", f"\n{place}\n{lines}")
    (root / "params.yaml").write_text(parameters, encoding="utf-8")
    added = Copy(root)
    for line in "".join(COMMANDS.findall(PAGE)).splitlines():
        added.run(*line.partition("#")[0].split())
    return added


def test_the_page_has_one_of_each_kind() -> None:
    assert [registry for registry, *_ in ENTRY.findall(PAGE)] == [
        "METHODS",
        "NETWORKS",
        "DATASETS",
        "TABLES",
        "FIGURES",
    ]
    assert len(FILE.findall(PAGE)) == 5


@pytest.mark.slow
def test_what_was_added_leaves_the_checks_green(copy: Copy) -> None:
    copy.run("ruff", "check", "src")
    copy.run("ruff", "format", "--check", "src")
    copy.run("pytest", "-q", "-p", "no:cacheprovider", "-x", *FAST)
    copy.run("pytest", "-q", "-p", "no:cacheprovider", *OF_THE_METHOD, "-k", "tet")
    rest = ["tests/report/test_figures.py", "tests/models/test_networks.py"]
    copy.run("pytest", "-q", "-p", "no:cacheprovider", *rest, "-k", "spikes_by_layer or plain")


@pytest.mark.slow
def test_what_was_added_trains_and_is_reported_on(copy: Copy) -> None:
    copy.run(sys.executable, "-c", MAKE_THE_STUDY)
    folder = copy.root / "results" / "low-digits"
    copy.run("snn2ann", "collect", "--study-folder", str(folder))
    copy.run("snn2ann", "table", "spikes", "--study-folder", str(folder))
    copy.run("snn2ann", "figure", "spikes_by_layer", "--study-folder", str(folder))
    table = (folder / "tables" / "spikes.md").read_text(encoding="utf-8")
    assert "| Plain (tiny) | TET" in re.sub(" +", " ", table)
    drawn = pd.read_csv(folder / "figures" / "spikes_by_layer.csv")
    assert drawn["layer"].tolist() == ["first.2", "second.2"] and (drawn["mean"] > 0).all()
    accuracy = pd.read_csv(folder / "results.csv").query("measure == 'accuracy' and split == 'test'")
    assert accuracy.groupby("method")["value"].max().min() > 0.5  # by chance 0.2


MAKE_THE_STUDY = """
from pathlib import Path
from snn2ann.data.loading import load
from snn2ann.data.prepare import fetch_and_prepare
from snn2ann.evaluation.evaluate import evaluate
from snn2ann.files import write_json
from snn2ann.study import load_parameters, resolve
from snn2ann.training.loop import train

study = resolve(load_parameters("params.yaml"), "low-digits")
write_json(Path("results/low-digits/study.json"), study.study_json())
for name, spec in study.datasets.items():
    fetch_and_prepare(spec, Path("data/raw"), Path("data") / name)
for run in study.runs:
    folder, data = Path("results/runs") / run.name, load(Path("data") / run.dataset_folder)
    train(run.spec, data, folder, "cpu")
    evaluate(run.spec, run.evaluation_spec, data, folder, folder / f"evaluation-{run.evaluation_digest}.json", "cpu")
"""
