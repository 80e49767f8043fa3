"""Whether a study's networks can be built, coupled and trained in its batches: known before any job starts."""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

import torch

from snn2ann.engine.network import Network
from snn2ann.errors import UserError
from snn2ann.methods.build import build_model
from snn2ann.models import PAPERS
from snn2ann.models.building import build_network
from snn2ann.study import Study
from snn2ann.uses import NetworkUse, network_uses

# In training every weight has a gradient and two moments beside it, and every neuron's activation is kept.
BYTES_OF_A_WEIGHT = 16
BYTES_OF_AN_ACTIVATION = 4
# No machine has more memory than this for one process.
MOST_BYTES = 2**40

T = TypeVar("T")


def check_networks(study: Study) -> None:
    """Build every network of a study for the images that it is given, trace it and look at its batches.

    They are built without values; those of other kinds than PAPERS, which may not be what was traced, with values as well.

    Raises:
        UserError: some cannot be; the message names each, with all reasons.
    """
    uses = network_uses(study)
    problems = [problem for use in uses if (problem := _problem(use))]
    if not problems:
        problems = [problem for use in uses for problem in _problems_of_methods(use, study)]
    if problems:
        raise UserError("\n".join(dict.fromkeys(problems)))


def _problem(use: NetworkUse) -> str:
    """Say why a network cannot be coupled, or not trained in its batches; "" where it can."""
    name, expected = use.network["name"], (1, use.classes)
    foreign = use.network["kind"] not in PAPERS
    try:
        network, without_values = _made(foreign, partial(_network, use))
        if without_values and (problem := _too_large(use, network)):
            return problem
        if without_values and foreign:
            network = _network(use)
    except UserError as error:
        return f"networks.{name}: {error}"
    except (TypeError, ValueError, RuntimeError, AttributeError) as error:
        return f"networks.{name}: cannot be built: {str(error).partition(chr(10))[0]}"
    if network.logits_shape != expected:
        return f"networks.{name}: gives {list(network.logits_shape)} for one image; expected {list(expected)}"
    if use.batch_size < network.smallest_batch:
        return (
            f"networks.{name}: a BatchNorm has one value a channel of each image, which it cannot normalise alone; "
            f"batch_size: {use.batch_size} is not allowed with it; expected {network.smallest_batch} or more"
        )
    return ""


def _made(foreign: bool, make: Callable[[], T]) -> tuple[T, bool]:
    """Make something without values if it can be; whether it was. A network of one's own may need values to be made."""
    try:
        with torch.device("meta"):
            return make(), True
    except UserError:
        if not foreign:
            raise
    return make(), False


def _network(use: NetworkUse) -> Network:
    return Network(build_network(use.network, use.shape, use.classes), use.shape)


def _too_large(use: NetworkUse, network: Network) -> str:
    """Say that no machine can hold a network, or a batch of it; "" where one can."""
    name, most = use.network["name"], f"{MOST_BYTES >> 30:,} GiB"
    weights, neurons = sum(each.numel() for each in network.parameters()), network.number_of_neurons()
    if not neurons or not weights:
        return f"networks.{name}: has {weights:,} weights and {neurons:,} neurons; expected some of both"
    held = weights * BYTES_OF_A_WEIGHT
    if held > MOST_BYTES:
        return f"networks.{name}: {weights:,} weights take {held >> 30:,} GiB in training; expected {most} at most"
    held = use.batch_size * neurons * BYTES_OF_AN_ACTIVATION
    if held > MOST_BYTES:
        fits = MOST_BYTES // (neurons * BYTES_OF_AN_ACTIVATION)
        return (
            f"networks.{name}: a batch takes {held >> 30:,} GiB of activations; batch_size: {use.batch_size} is not allowed "
            f"with it; expected {fits:,} or less"
        )
    return ""


def _problems_of_methods(use: NetworkUse, study: Study) -> list[str]:
    """Say which methods cannot run a network that is not one of the paper's, which all can."""
    if use.network["kind"] in PAPERS:
        return []
    runs = [run.spec["method"] for run in (*study.runs, *study.not_run) if run.spec["network"] == use.network]
    if (measured := study.measurement_spec) is not None and use.network in measured["networks"]:
        runs += measured["methods"]
    dataset, found = {"shape": use.shape, "classes": use.classes}, []
    for method in (method for place, method in enumerate(runs) if method not in runs[:place]):
        spec = {"dataset": dataset, "network": use.network, "method": method}
        try:
            _made(True, partial(build_model, spec))
        except UserError as error:
            steps = f" at T = {method['time_steps']}" if method["time_steps"] else ""
            found.append(f"networks.{use.network['name']}: method {method['name']}{steps}: {error}")
    return found
