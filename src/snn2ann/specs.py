"""The parts of a run's specification that a network and a method are, with every default in its place."""

import hashlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from snn2ann.data import DATASETS, DatasetSpec
from snn2ann.errors import UserError
from snn2ann.methods import METHODS
from snn2ann.models import NETWORKS
from snn2ann.models.fitting import fitted
from snn2ann.options import VARIANTS, CouplingOptions
from snn2ann.parameters import choose
from snn2ann.parameters.network import KINDS, OtherNetwork
from snn2ann.parameters.section import Section
from snn2ann.parameters.whole import Parameters, part_of
from snn2ann.parameters.words import near, shown

# These are open, since methods and networks of one's own bring their own keys; what checks them is the class of the method
# or of the kind. Of the other sections a specification has the keys that were written, which no type can say;
# `parameters.jobs` gives them types again.
Options = dict[str, Any]
NetworkSpec = dict[str, Any]
SectionSpec = dict[str, Any]


class MethodSpec(TypedDict):
    """The `method` part of a run's specification; None where a method has no time steps or variants."""

    name: str
    revision: int
    time_steps: int | None
    variant: str | None
    options: Options


class RunSpec(TypedDict):
    """Everything that can change a run's weights, resolved.

    `source` is the run whose weights it starts from, `checkpoint` the digest of the file that they are taken from,
    `training_revision` that of the code which trains, from its second on.
    """

    dataset: DatasetSpec
    network: NetworkSpec
    method: MethodSpec
    recipe: SectionSpec
    seed: int
    source: str | None
    checkpoint: NotRequired[str]
    training_revision: NotRequired[int]


@dataclass(frozen=True)
class Chosen:
    """A method with one value for each of its keys; None where an entry does not name one."""

    method: str
    variant: str | None = None
    time_steps: int | None = None
    mapping_unit: str | None = None
    ata: bool | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def given(self, *names: str) -> Options:
        """Those of the keys that are named."""
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}


def network_spec(
    parameters: Mapping[str, Any], name: str, image_shape: Sequence[int], key: str | None = None
) -> NetworkSpec:
    """Return a network's parameters with those that depend on the image's side resolved.

    Args:
        parameters: as `load_parameters` gives them, of which only the networks are looked at.
        name: one of `parameters["networks"]`.
        image_shape: (channels, height, width).
        key: where in params.yaml the network is described, for messages.

    Raises:
        UserError: a wrong value, or no value for this image side.
    """
    key, given = key or f"networks.{name}", parameters["networks"][name]
    described = part_of(KINDS.get(given.get("kind"), OtherNetwork), given, key)
    return resolved_network(described, name, image_shape, key)


def resolved_network(described: Section, name: str, image_shape: Sequence[int], key: str) -> NetworkSpec:
    """Return what `network_spec` does, of a network that is typed already."""
    network: NetworkSpec = {"name": name}
    given = described.as_given()
    choose(f"{key}.kind", given["kind"], NETWORKS)
    _, height, width = image_shape
    side = str(width) if height == width else f"{height}×{width}"
    for option, value in given.items():
        if isinstance(value, Mapping) and value and all(str(part).isdigit() for part in value):
            by_side = {str(part): chosen for part, chosen in value.items()}
            value = by_side[side] if side in by_side else fitted(given, option, (height, width))
            if value is None:
                known = ", ".join(by_side)
                raise UserError(f"{key}.{option}: no value for images of side {side}; add one (there are {known})")
        # A network's own `name` is the one that it has in params.yaml.
        network["model" if option == "name" else option] = value
    return network | _code_of(network, key)


def _code_of(network: Mapping[str, Any], key: str) -> dict[str, str]:
    """What stands for code that is not this project's: a torchvision's version, a digest of the user's file."""
    if network["kind"] == "torchvision":
        return {"torchvision": version("torchvision")}
    if network["kind"] != "module":
        return {}
    parts = network["path"].partition(":")[0].split(".")
    for folder in (Path.cwd(), *map(Path, sys.path)):
        stem = folder.joinpath(*parts)
        for file in (stem.with_suffix(".py"), stem / "__init__.py"):
            if file.is_file():
                return {"code": hashlib.sha256(file.read_bytes()).hexdigest()[:8]}
    raise UserError(
        f"{key}.path: {network['path']!r}: no file {'/'.join(parts)}.py in this folder or among Python's packages"
    )


def method_spec(parameters: Parameters, chosen: Chosen, key: str) -> MethodSpec:
    """Return name, revision, time steps, variant and the resolved options of a method.

    Args:
        parameters: whose `methods` section goes before the method's defaults.
        chosen: what an entry says.
        key: of the entry, for messages.

    Raises:
        UserError: a key or an option that the method does not have, or a value that is not allowed.
    """
    name = choose(f"{key}.method", chosen.method, METHODS)
    method = METHODS[name]
    time_steps = chosen.time_steps
    if method.time_steps and time_steps is None:
        raise UserError(f"{key}.time_steps: missing; method {name} is trained for a number of time steps, such as 5")
    if not method.time_steps and time_steps is not None:
        raise UserError(f"{key}.time_steps: {time_steps!r} is not allowed; method {name} is trained without time steps")
    common, variant = parameters.methods.get(name, {}), ""
    if method.options == "variants":
        variant = choose(f"{key}.variant", "released" if chosen.variant is None else chosen.variant, VARIANTS)
        beside = chosen.given("mapping_unit", "ata")
        refuse_two_values(beside, chosen.options, key)
        own = _checked_coupling(chosen.options, f"{key}.options") | _checked_coupling(beside, key)
        options = VARIANTS[variant].with_options(common | own).named()
    else:
        for option, value in chosen.given("variant", "mapping_unit", "ata").items():
            raise UserError(f"{key}.{option}: {value!r} is not allowed; method {name} has none")
        options = method.defaults | common | checked_options(name, chosen.options, f"{key}.options")
    return {
        "name": name,
        "revision": method.revision,
        "time_steps": time_steps,
        "variant": variant or None,
        "options": options,
    }


def refuse_two_values(beside: Mapping[str, Any], options: Mapping[str, Any], key: str) -> None:
    """Refuse an option that an entry gives under two names, with two values.

    Raises:
        UserError: it does.
    """
    for option, value in beside.items():
        if option in options and options[option] != value:
            both = f"{shown(value)} here and {shown(options[option])} under options"
            raise UserError(f"{key}.{option}: stands twice, {both}; expected one of the two")


def checked_options(method: str, options: Mapping[str, Any], key: str) -> Options:
    """Return options, some or all, of a method if each is one that it has and has a value that is allowed.

    Raises:
        UserError: the option, the value and what is expected.
    """
    kind = METHODS[method].options_class
    if kind is None:
        return _checked_coupling(options, key)
    kind.of(options, key)
    return dict(options)


def _checked_coupling(options: Mapping[str, Any], key: str) -> Options:
    known = [each.name for each in fields(CouplingOptions)]
    for option, value in options.items():
        if option not in known:
            hint = near(option, known)
            raise UserError(
                f"{key}.{option}: unknown key (value {shown(value)}); {hint and hint + ' '}allowed here: {', '.join(known)}"
            )
        if expected := CouplingOptions.expected(option, value):
            hint = near(str(value), expected.split(" or "))
            raise UserError(f"{key}.{option}: {value!r} is not allowed; expected {expected}{hint and '; ' + hint}")
    return dict(options)


def changed_options(method: MethodSpec) -> Options:
    """Return the options of a resolved method that are not the preset's; unit and ATA have a place of their own."""
    variant = method["variant"]
    preset = VARIANTS[variant].named() if variant else METHODS[method["name"]].defaults
    apart = ("mapping_unit", "ata") if variant else ()
    return {
        option: value
        for option, value in method["options"].items()
        if option not in apart and value != preset.get(option)
    }


def training_images(dataset: Mapping[str, Any]) -> float:
    """About how many images a run is trained on, of the `dataset` part of its specification."""
    if dataset.get("train_images"):
        return float(dataset["train_images"])
    images = dataset["parts"]["train"] if "parts" in dataset else DATASETS[dataset["name"]].images
    return float(images * (1 - _test_share(dataset) - dataset.get("validation", 0)))


def _test_share(dataset: Mapping[str, Any]) -> float:
    return 1 / dataset["folds"] if "folds" in dataset else float(dataset.get("test", 0))
