"""Whether a study's networks can be built and coupled: known before any job starts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from snn2ann.engine.network import Network
from snn2ann.errors import UserError
from snn2ann.models.building import build_network
from snn2ann.study import Study


def check_networks(study: Study) -> None:
    """Build every network of a study for the images that it is given, and trace it.

    Raises:
        UserError: some cannot be; the message names each, with all reasons.
    """
    problems = [problem for use in _uses(study) if (problem := _problem(use))]
    if problems:
        raise UserError("\n".join(problems))


@dataclass(frozen=True)
class _Use:
    """A network and the images that it is given, (C, H, W)."""

    network: dict[str, Any]
    shape: tuple[int, int, int]
    classes: int


def _uses(study: Study) -> list[_Use]:
    """Every network with its images, each once."""
    datasets = [(run.spec["network"], run.spec["dataset"]) for run in (*study.runs, *study.not_run)]
    found = [_use(network, dataset["shape"], dataset["classes"]) for network, dataset in datasets]
    if (measured := study.measurement_spec) is not None:
        shape, classes = measured["image_shape"], measured["classes"]
        found += [_use(network, shape, classes) for network in measured["networks"]]
    return [use for number, use in enumerate(found) if use not in found[:number]]


def _use(network: dict[str, Any], shape: Sequence[int], classes: int) -> _Use:
    channels, height, width = shape
    return _Use(network, (channels, height, width), classes)


def _problem(use: _Use) -> str:
    """Say why a network cannot be coupled; "" where it can."""
    name, expected = use.network["name"], (1, use.classes)
    try:
        given = Network(build_network(use.network, use.shape, use.classes), use.shape).logits_shape
    except UserError as error:
        return f"networks.{name}: {error}"
    return "" if given == expected else f"networks.{name}: gives {list(given)} for one image; expected {list(expected)}"
