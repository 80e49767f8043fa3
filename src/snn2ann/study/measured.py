"""What a study measures: the networks and methods whose training step, and whose inference, is timed."""

from collections.abc import Iterable, Mapping

from snn2ann.data import DatasetSpec
from snn2ann.errors import UserError
from snn2ann.methods import METHODS
from snn2ann.parameters import choose
from snn2ann.parameters.study import StudySection
from snn2ann.parameters.whole import Parameters
from snn2ann.specs import Chosen, SectionSpec, method_spec, resolved_network
from snn2ann.study.entries import Cell

# Raised by hand when a change of code alters what these phases write.
MEASUREMENT_REVISION = 3
INFERENCE_REVISION = 2

NAMED = ("networks", "methods")


def measurement_spec_of(parameters: Parameters, study: StudySection, place: str) -> SectionSpec | None:
    """Resolve the networks and methods whose training step is timed; methods with time steps at each T."""
    section = parameters.measurement
    if section is None:
        return None
    keys = {
        name: f"{place}.measurement.{name}" if name in study.measurement else f"measurement.{name}" for name in NAMED
    }
    networks = []
    for name in section.networks:
        choose(keys["networks"], name, parameters.networks)
        described = parameters.networks[name]
        networks.append(resolved_network(described, name, section.image_shape, f"networks.{name}"))
    methods = []
    for index, entry in enumerate(section.methods):
        key = f"{keys['methods']}[{index}]"
        method = METHODS[choose(f"{key}.method", entry.method, METHODS)]
        if not method.trained:
            raise UserError(f"{key}.method: {entry.method!r} is not allowed; expected a method that is trained")
        if entry.time_steps is not None and not method.time_steps:
            raise UserError(f"{key}.time_steps: {entry.time_steps} is not allowed; {entry.method} is trained without T")
        single = [value for value in entry.options.values() if isinstance(value, list)]
        if single:
            raise UserError(f"{key}.options: {single[0]} is not allowed; expected one value an option")
        chosen = {name: value for name, value in entry.as_given().items() if name != "time_steps"}
        for value in (entry.time_steps or section.time_steps) if method.time_steps else [None]:
            methods.append(method_spec(parameters, Chosen(time_steps=value, **chosen), key))
    return {"revision": MEASUREMENT_REVISION, **section.as_given(), "networks": networks, "methods": methods}


def inference_spec_of(
    parameters: Parameters, cells: Iterable[Cell], specs: Mapping[str, Mapping[int, DatasetSpec]]
) -> SectionSpec | None:
    """Resolve what is timed in inference: each method and variant of the study, by default options, on each network."""
    section = parameters.inference
    if section is None:
        return None
    places = []
    for dataset, network in dict.fromkeys((cell.dataset, cell.network) for cell in cells):
        spec = next(iter(specs[dataset].values()))
        resolved = resolved_network(parameters.networks[network], network, spec["shape"], f"networks.{network}")
        known = {key: spec[key] for key in ("name", "shape", "classes", "frames") if key in spec}
        places.append({"dataset": known, "network": resolved})
    methods = []
    for name, variant in dict.fromkeys((cell.chosen.method, cell.chosen.variant or "released") for cell in cells):
        entry = METHODS[name]
        steps, preset = 1 if entry.time_steps else None, variant if entry.options == "variants" else None
        methods.append(method_spec(parameters, Chosen(name, preset, steps), "inference"))
    return {"revision": INFERENCE_REVISION, **section.as_given(), "places": places, "methods": methods}
