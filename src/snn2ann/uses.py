"""The networks of a study, each with the images that it is given and how many make a training batch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from snn2ann.study import Study


@dataclass(frozen=True)
class NetworkUse:
    """A network, the images that it is given, (C, H, W), and how many make a training batch."""

    network: Mapping[str, Any]
    shape: tuple[int, int, int]
    classes: int
    batch_size: int


def network_uses(study: Study) -> list[NetworkUse]:
    """Every network that a study trains, names or measures, for each kind of images and batch once."""
    specs = [run.spec for run in (*study.runs, *study.not_run)]
    found = [
        _use(spec["network"], spec["dataset"]["shape"], spec["dataset"]["classes"], spec["recipe"]) for spec in specs
    ]
    if (measured := study.measurement_spec) is not None:
        shape, classes = measured["image_shape"], measured["classes"]
        found += [_use(network, shape, classes, measured) for network in measured["networks"]]
    return [use for number, use in enumerate(found) if use not in found[:number]]


def _use(network: Mapping[str, Any], shape: Sequence[int], classes: int, trained: Mapping[str, Any]) -> NetworkUse:
    channels, height, width = shape
    return NetworkUse(network, (channels, height, width), classes, trained["batch_size"])
