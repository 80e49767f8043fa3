"""A study as an RO-Crate: read back by another reader of JSON-LD than its writer, every file there and told of."""

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from rocrate.rocrate import ROCrate

from snn2ann.errors import UserError
from snn2ann.files import write_text
from snn2ann.report.crate import write_crate
from snn2ann.report.judging import make_claims
from snn2ann.report.results import collect_results

from .synthetic import METHODS, write_study

ROOT = Path(__file__).parents[2]


@pytest.fixture
def study(tmp_path: Path) -> Path:
    folder = write_study(tmp_path / "results", [METHODS[4], METHODS[2]], ("vgg-small",), (0,))
    content = json.loads((folder / "study.json").read_text())
    content["parameters"] = {"studies": {content["study"]: {"title": "A small study"}}}
    (folder / "study.json").write_text(json.dumps(content))
    collect_results(folder)
    make_claims(folder)
    write_text(folder / "figures" / "one.png", "png")
    return folder


def entities(crate: Path) -> dict[str, dict[str, Any]]:
    found = json.loads((crate / "ro-crate-metadata.json").read_text())["@graph"]
    return {each["@id"]: each for each in found}


def parts(entity: dict[str, Any]) -> list[str]:
    found = entity.get("hasPart", [])
    return [each["@id"] for each in (found if isinstance(found, list) else [found])]


def test_every_file_is_there_and_reached_from_the_root(study: Path, tmp_path: Path) -> None:
    write_crate(study, tmp_path / "crate", ROOT)
    found = entities(tmp_path / "crate")
    described = found["ro-crate-metadata.json"]
    assert described["about"] == {"@id": "./"} and "ro/crate/1." in described["conformsTo"]["@id"]
    # Required of a crate's root: what it is, when it was published, under which licence.
    assert {"name", "description", "datePublished", "license"} <= found["./"].keys()
    reached, left = set(), parts(found["./"])
    while left:
        each = left.pop()
        if each not in reached:
            reached.add(each)
            left += parts(found[each])
    files = {
        path.relative_to(tmp_path / "crate").as_posix() for path in (tmp_path / "crate").rglob("*") if path.is_file()
    }
    assert files - {"ro-crate-metadata.json", "ro-crate-preview.html"} == {
        each for each in reached if not each.endswith("/")
    }
    for each in reached:
        if "contentSize" in found[each]:
            assert int(found[each]["contentSize"]) == (tmp_path / "crate" / each).stat().st_size
    assert "Snakefile" in files and {"params.yaml", "requirements.lock"} <= files
    assert sum(name.endswith("training.json") for name in files) == 2


def test_it_says_what_was_run_on_what_and_whose_work_it_is_of(study: Path, tmp_path: Path) -> None:
    write_crate(study, tmp_path / "crate", ROOT)
    found = entities(tmp_path / "crate")
    assert found["./"]["mainEntity"] == {"@id": "Snakefile"}
    (action,) = [each for each in found.values() if each["@type"] == "CreateAction"]
    assert action["instrument"] == {"@id": "Snakefile"} and {"@id": "params.yaml"} in action["object"]
    made = {each["@id"] for each in action["result"]}
    assert any(place.endswith("claims.json") for place in made) and sum("results/runs/" in place for place in made) == 2
    papers = [found[each["@id"]] for each in found["./"]["citation"]]
    assert [paper["name"].partition(":")[0] for paper in papers] == ["SNN2ANN", "AC2AS"]
    for each in found.values():
        for value in each.values():
            for link in value if isinstance(value, list) else [value]:
                if isinstance(link, dict) and not link["@id"].startswith("http"):
                    assert link["@id"] in found, f"{each['@id']} points to {link['@id']}"
    assert ROCrate(tmp_path / "crate").mainEntity is not None


def test_it_may_be_one_file(study: Path, tmp_path: Path) -> None:
    write_crate(study, tmp_path / "crate.zip", ROOT)
    with zipfile.ZipFile(tmp_path / "crate.zip") as file:
        assert {"ro-crate-metadata.json", "Snakefile"} <= set(file.namelist())


def test_what_is_not_finished_or_would_be_overwritten_is_refused(study: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is there; name a new folder"):
        write_crate(study, tmp_path / "results", ROOT)
    (study / "claims.json").unlink()
    with pytest.raises(UserError, match=r"claims\.json: missing, the study is not finished; `snakemake"):
        write_crate(study, tmp_path / "crate", ROOT)
