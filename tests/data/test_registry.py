"""What a specification says of a data set."""

import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from snn2ann.data import DATASETS, dataset_spec
from snn2ann.data.source import load_source
from snn2ann.errors import UserError


def test_defaults_are_filled_in() -> None:
    spec = dataset_spec("digits", {})
    assert spec.pop("digest") == dataset_spec("digits", {"test": 0.2, "validation": 0.1})["digest"]
    assert spec == {
        "name": "digits",
        "shape": [1, 8, 8],
        "classes": 10,
        "validation": 0.1,
        "test": 0.2,
        "split_seed": 0,
        "train_images": None,
    }


@pytest.mark.parametrize("changed", [{"validation": 0.2}, {"split_seed": 1}, {"train_images": 500}])
def test_the_digest_follows_what_changes_the_arrays(changed: dict[str, Any]) -> None:
    assert dataset_spec("cifar10", changed)["digest"] != dataset_spec("cifar10", {})["digest"]


def test_the_digest_does_not_follow_places() -> None:
    places = {"local": "/somewhere", "mirrors": ["https://example.org/"]}
    spec = dataset_spec("cifar10", places)
    assert spec["digest"] == dataset_spec("cifar10", {})["digest"]
    assert {key: spec[key] for key in places} == places


@pytest.mark.parametrize("change", [{"revision": 2}, {"checksums": {"file": ("md5:0",)}}])
def test_the_digest_follows_the_registry(change: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    before = dataset_spec("cifar10", {})["digest"]
    monkeypatch.setitem(DATASETS, "cifar10", replace(DATASETS["cifar10"], **change))
    assert dataset_spec("cifar10", {})["digest"] != before


@pytest.mark.parametrize(
    ("name", "parameters", "words"),
    [
        ("cifar11", {}, ["'cifar11'", "cifar10, cifar100"]),
        ("cifar10", {"test": 0.2}, ["datasets.cifar10.test", "a test part of their own"]),
        ("cifar10", {"validaton": 0.2}, ["datasets.cifar10.validaton", "validation"]),
        ("cifar10", {"validation": 0}, ["datasets.cifar10.validation", ": 0 is not allowed"]),
        ("cifar10", {"validation": 1.0}, ["datasets.cifar10.validation", "between 0 and 1"]),
        ("cifar10", {"validation": "0.1"}, ["datasets.cifar10.validation", '"0.1"']),
        ("digits", {"validation": 0.6, "test": 0.5}, ["validation + test"]),
        ("digits", {"split_seed": -1}, ["datasets.digits.split_seed", "-1"]),
        ("digits", {"split_seed": True}, ["datasets.digits.split_seed", "true"]),
        ("cifar100", {"train_images": 99}, ["datasets.cifar100.train_images", "at least 100"]),
        ("cifar10", {"train_images": 1000.0}, ["datasets.cifar10.train_images", "1000.0"]),
        ("cifar10", {"local": 3}, ["datasets.cifar10.local"]),
        ("cifar10", {"mirrors": "https://example.org"}, ["datasets.cifar10.mirrors"]),
        ("cifar10", {"mirrors": ["file:///etc"]}, ["datasets.cifar10.mirrors"]),
    ],
)
def test_mistakes_are_named(name: str, parameters: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        dataset_spec(name, parameters)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("name", DATASETS)
def test_every_entry_has_a_source_for_its_files(name: str) -> None:
    source = load_source(DATASETS[name])
    assert set(source.sizes) == set(DATASETS[name].checksums)
    assert all(mirror.endswith("/") for mirror in source.mirrors)


def test_the_package_is_light() -> None:
    heavy = "{'torch', 'sklearn', 'pooch', 'requests', 'numpy', 'PIL'}"
    code = f"import sys, snn2ann.data; print(sorted({heavy} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
