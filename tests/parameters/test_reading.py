"""YAML as it is read: merges, keys that stand twice, numbers that are not what they look like."""

from pathlib import Path
from typing import Any

import pytest

from snn2ann.errors import UserError
from snn2ann.parameters import load_parameters


def read(folder: Path, text: str) -> dict[str, Any]:
    path = folder / "params.yaml"
    path.write_text(text)
    return load_parameters(path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\n", {"x": 1, "y": 3}),
        ("a: &a {x: 1, y: 2}\nb: {y: 3, <<: *a}\n", {"x": 1, "y": 3}),
        ("a: &a {x: 1, y: 2}\nc: &c {<<: *a, y: 3}\nb: {<<: *c, x: 4}\n", {"x": 4, "y": 3}),
        ("a: &a {x: 1}\nc: &c {x: 2, y: 2}\nb: {<<: [*a, *c], z: 3}\n", {"x": 1, "y": 2, "z": 3}),
        ("a: &a {one: 1}\nc: &c {one: 2, two: 2}\nb: {<<: [*a, *c]}\n", {"one": 1, "two": 2}),
        ("a: &a {one: 1, two: 2}\nc: &c {<<: *a, two: 3}\nb: {<<: *c, one: 4}\n", {"one": 4, "two": 3}),
        ("a: {n: &a {x: {u: 1, v: 2}}}\nb: {<<: *a, x: {u: 3}}\n", {"x": {"u": 3}}),
        ("a: &a\n  x: 1\nb:\n  <<: *a\n  x: 2\n", {"x": 2}),
    ],
)
def test_what_a_merge_brings_may_be_overridden(tmp_path: Path, text: str, expected: dict[str, Any]) -> None:
    assert read(tmp_path, text)["b"] == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2\n", "line 2, column 1: .*key 'a' stands twice"),
        ("a: &a {x: 1}\nb: {<<: *a, x: 2, x: 3}\n", "line 2, column 19: .*key 'x' stands twice"),
        ("a: {8: 1, '8': 2}\n", "key '8' stands twice"),
        ("a: &a {x: 1}\nb: {<<: *a, <<: *a}\n", "key '<<' stands twice"),
        ("seeds: [010]\n", "line 1, column 9: .*010 would be read as 8"),
        ("epochs: 1:30\n", "1:30 would be read as 90"),
        ("a: {[1]: 2}\n", "a key must be a word"),
        ("a: *b\n", "undefined alias"),
        ("a: {<<: 3}\n", "expected a map"),
        ("a: &a [*a]\n", "recursive"),
        ("a: 2024-13-45\n", "not valid YAML"),
        ("a: '\n", "line"),
        ("a:\n\t- 1\n", "line 2"),
        ("a: b: c\n", "line 1"),
    ],
)
def test_what_is_ambiguous_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=f"(?s)params.yaml: .*{message}") as caught:
        read(tmp_path, text)
    assert "\n" not in str(caught.value)


def test_a_zero_and_a_negative_number_are_numbers(tmp_path: Path) -> None:
    assert read(tmp_path, "a: [0, -3, 0.5, 1_000, 0x10, 1e-3]\n")["a"] == [0, -3, 0.5, 1000, 16, 0.001]
