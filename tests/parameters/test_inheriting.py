"""What a recipe or study inherits, and where a mistake in it is said to be."""

from pathlib import Path
from typing import Any

import pytest

from snn2ann.errors import UserError
from snn2ann.parameters import load_parameters
from snn2ann.parameters.inheriting import expand, written_at
from snn2ann.study import resolve

ROOT = Path(__file__).parents[2]


@pytest.fixture
def parameters() -> dict[str, Any]:
    return load_parameters(ROOT / "tests/workflow/params.yaml")


def test_maps_are_merged_lists_replaced_and_another_kind_takes_the_place() -> None:
    base = {"a": 1, "list": [1, 2], "map": {"x": 1, "y": {"u": 1}}, "schedule": {"kind": "one", "warmup": 1}}
    heir = {"inherit": "base", "list": [3], "map": {"y": {"v": 2}}, "schedule": {"kind": "two", "gamma": 1}}
    next_heir = {"inherit": "heir", "schedule": {"gamma": 2}, "a": None}
    found = expand({"recipes": {"next": next_heir, "heir": heir, "base": base}})["recipes"]
    expected = {"a": 1, "list": [3], "map": {"x": 1, "y": {"u": 1, "v": 2}}, "schedule": {"kind": "two", "gamma": 1}}
    assert found["heir"] == expected
    assert found["next"] == expected | {"a": None, "schedule": {"kind": "two", "gamma": 2}}
    assert found["base"] == base


def test_an_heir_is_the_same_study_as_one_that_is_written_out(parameters: dict[str, Any]) -> None:
    more = [{"method": "sltt", "time_steps": 2}]
    tiny = parameters["studies"]["tiny"]
    parameters["studies"] |= {"heir": {"inherit": "tiny", "title": "Heir", "more_runs": more}}
    heir = resolve(parameters, "heir")
    parameters["studies"]["heir"] = tiny | {"title": "Heir", "runs": tiny["runs"] + more}
    assert resolve(parameters, "heir") == heir
    assert heir.study_json()["parameters"]["studies"]["heir"] == parameters["studies"]["heir"]


def test_an_heir_of_an_heir_has_the_runs_of_both(parameters: dict[str, Any]) -> None:
    for name, parent, method in (("one", "tiny", "sltt"), ("two", "one", "ottt")):
        entry = {"method": method, "time_steps": 2}
        parameters["studies"][name] = {"inherit": parent, "more_runs": [entry]}
    assert [run.method for run in resolve(parameters, "two").runs][-2:] == ["sltt", "ottt"]
    place = ("studies", "two", "runs")
    found = [written_at(parameters, (*place, index)) for index in (3, 4, 5)]
    assert found == [
        ("studies", "tiny", "runs", 3),
        ("studies", "one", "more_runs", 0),
        ("studies", "two", "more_runs", 0),
    ]


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        ({"more_runs": [{"method": "stbp"}]}, r"studies\.heir\.more_runs\[0\]\.time_steps: missing"),
        ({"more_runs": [{"method": "ann"}]}, r"studies\.tiny\.runs\[0\] and studies\.heir\.more_runs\[0\]: the run"),
        ({"runs": [{"method": "stbp"}]}, r"studies\.heir\.runs\[0\]\.time_steps: missing"),
    ],
)
def test_a_mistake_is_where_it_is_written(parameters: dict[str, Any], runs: dict[str, Any], message: str) -> None:
    parameters["studies"]["heir"] = {"inherit": "tiny"} | runs
    with pytest.raises(UserError, match=f"^{message}"):
        resolve(parameters, "heir")


def test_what_is_wrong_where_it_is_inherited_from_is_said_of_that(parameters: dict[str, Any]) -> None:
    parameters["recipes"] = {"a-heir": {"inherit": "tiny"}, **parameters["recipes"]}
    parameters["recipes"]["tiny"]["epochs"] = 0
    with pytest.raises(UserError, match=r"recipes\.tiny\.epochs: 0 is not allowed"):
        resolve(parameters, "tiny")


def test_a_circle_is_shown(parameters: dict[str, Any]) -> None:
    parameters["studies"] |= {"one": {"inherit": "two"}, "two": {"inherit": "three"}, "three": {"inherit": "one"}}
    with pytest.raises(UserError, match="one from two from three from one"):
        resolve(parameters, "tiny")
