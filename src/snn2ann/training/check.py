"""Whether a study's networks can be built, coupled and trained in its batches: known before any job starts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from snn2ann.engine.network import Network
from snn2ann.errors import UserError
from snn2ann.models.building import build_network
from snn2ann.study import Study


def check_networks(study: Study) -> None:
    """Build every network of a study for the images that it is given, trace it and look at its batches.

    Raises:
        UserError: some cannot be; the message names each, with all reasons.
    """
    problems = [problem for use in _uses(study) if (problem := _problem(use))]
    if problems:
        raise UserError("\n".join(problems))


@dataclass(frozen=True)
class _Use:
    """A network, the images that it is given, (C, H, W), and how many make a training batch."""

    network: dict[str, Any]
    shape: tuple[int, int, int]
    classes: int
    batch_size: int


def _uses(study: Study) -> list[_Use]:
    """Every network with its images, each once."""
    specs = [run.spec for run in (*study.runs, *study.not_run)]
    found = [
        _use(spec["network"], spec["dataset"]["shape"], spec["dataset"]["classes"], spec["recipe"]) for spec in specs
    ]
    if (measured := study.measurement_spec) is not None:
        shape, classes = measured["image_shape"], measured["classes"]
        found += [_use(network, shape, classes, measured) for network in measured["networks"]]
    return [use for number, use in enumerate(found) if use not in found[:number]]


def _use(network: dict[str, Any], shape: Sequence[int], classes: int, trained: dict[str, Any]) -> _Use:
    channels, height, width = shape
    return _Use(network, (channels, height, width), classes, trained["batch_size"])


def _problem(use: _Use) -> str:
    """Say why a network cannot be coupled, or not trained in its batches; "" where it can."""
    name, expected = use.network["name"], (1, use.classes)
    try:
        network = Network(build_network(use.network, use.shape, use.classes), use.shape)
    except UserError as error:
        return f"networks.{name}: {error}"
    if network.logits_shape != expected:
        return f"networks.{name}: gives {list(network.logits_shape)} for one image; expected {list(expected)}"
    if use.batch_size < network.smallest_batch:
        return (
            f"networks.{name}: a BatchNorm has one value a channel of each image, which it cannot normalise alone; "
            f"batch_size: {use.batch_size} is not allowed with it; expected {network.smallest_batch} or more"
        )
    return ""
