"""The JSON schema of params.yaml: the file that is committed, and what another implementation refuses by it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from snn2ann.foresight import foresee
from snn2ann.methods import METHODS
from snn2ann.parameters import load_parameters, merge
from snn2ann.parameters.schema import published, schema
from snn2ann.study import resolve
from tests.parameters.test_wrong_edits import EDITS, RIGHT, edited

ROOT = Path(__file__).parents[2]
VALIDATOR = Draft202012Validator(published())


def test_the_committed_schema_is_that_of_the_sections() -> None:
    committed = json.loads((ROOT / "workflow/schemas/params.schema.json").read_text())
    assert committed == json.loads(json.dumps(published())), "run `snn2ann schema`"


def test_the_schema_is_one_and_takes_the_files_of_the_project() -> None:
    Draft202012Validator.check_schema(published())
    for name in ("params.yaml", "tests/workflow/params.yaml"):
        assert [error.message for error in VALIDATOR.iter_errors(load_parameters(ROOT / name))] == []


def test_what_another_implementation_refuses_is_refused_here() -> None:
    """All of EDITS is refused here, which another test holds; most of it can be said in a schema."""
    refused = [path for path, value, *_ in EDITS if not VALIDATOR.is_valid(edited(path, value))]
    assert len(refused) > 140
    assert [path for path, value in RIGHT if not VALIDATOR.is_valid(edited(path, value))] == []


def test_every_key_has_a_sentence() -> None:
    silent = [
        f"{name}.{key}"
        for name, part in schema()["$defs"].items()
        for key, inner in part.get("properties", {}).items()
        if "description" not in inner
    ]
    options = [entry.options_class for entry in METHODS.values() if entry.options_class is not None]
    silent += [key for kind in options for key, field in kind.model_fields.items() if not field.description]
    assert silent == []


@pytest.mark.parametrize("page", ["parameters.md"])
def test_the_pages_example_is_a_study(page: str) -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / page).read_text(), re.DOTALL)
    example: dict[str, Any] = yaml.safe_load(text)
    project = merge(load_parameters(ROOT / "params.yaml"), example)
    (name,) = example["studies"]
    study = resolve(project, name)
    foresee(study, networks=False)
    assert {run.spec["recipe"]["epochs"] for run in study.runs} == {3}
    assert [run.method for run in study.runs][-1] == "sltt"
