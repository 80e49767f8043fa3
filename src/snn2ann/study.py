"""A study: the runs that its parameters stand for, each named by a digest of everything that can change its result."""

import hashlib
import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import resources
from importlib.abc import Traversable
from pathlib import Path
from typing import Any, TypeVar

from snn2ann.data import DATASETS, PLACES, dataset_spec
from snn2ann.errors import UserError
from snn2ann.methods import METHODS, MethodEntry
from snn2ann.models import NETWORKS
from snn2ann.parameters import choose, digest, load_parameters, merge, validate
from snn2ann.parameters.phases import Measurement
from snn2ann.parameters.report import Report
from snn2ann.parameters.section import Section
from snn2ann.parameters.study import Entry, StudySection
from snn2ann.parameters.whole import Given, Parameters, part_of, typed
from snn2ann.runs.folder import RunFolder
from snn2ann.specs import (
    Chosen,
    RunSpec,
    changed_options,
    checked_options,
    method_spec,
    network_spec,
    refuse_two_values,
    resolved_network,
)

__all__ = ["Run", "Study", "digest", "load_parameters", "network_spec", "resolve", "validate"]

# Raised by hand when a change of code alters what these phases write; METHODS holds one for each method.
CALIBRATION_REVISION = 1
EVALUATION_REVISION = 1
MEASUREMENT_REVISION = 3
INFERENCE_REVISION = 2

T = TypeVar("T")
# The spec of each data set, by its name and the seed of a run: seeds differ where the data are cut into folds.
Specs = Mapping[str, Mapping[int, dict[str, Any]]]


@dataclass(frozen=True)
class Run:
    """One model of a study, from training to evaluation.

    Attributes:
        name: of the run's folder, `<dataset>_<network>_<method>_T<T>_s<seed>-<digest of spec>`.
        mapping_unit: None for methods without one, as are `variant` and `ata`.
        training_time_steps: None for methods that are not trained for a number of time steps.
        recipe: name of its recipe.
        changed: options that differ from the variant's preset or the method's defaults, and `recipe` where it is not
            the study's.
        spec: everything that can change the weights, fully resolved.
        dataset_folder: `<dataset>-<digest>`, the prepared data.
        source: name of the run whose weights this one starts from.
        calibration_spec: None where thresholds are not calibrated after training.
        evaluation_spec: holds the digest of the calibration, whose thresholds are evaluated as well.
    """

    name: str
    dataset: str
    network: str
    method: str
    variant: str | None
    mapping_unit: str | None
    ata: bool | None
    training_time_steps: int | None
    seed: int
    recipe: str
    changed: dict[str, Any]
    spec: RunSpec
    dataset_folder: str
    source: str | None
    calibration_spec: dict[str, Any] | None
    calibration_digest: str | None
    evaluation_spec: dict[str, Any]
    evaluation_digest: str

    def descriptor(self) -> dict[str, Any]:
        """Return what study.json says of this run."""
        folder, calibrated = RunFolder(Path(self.name)), self.calibration_digest
        return {
            "name": self.name,
            "dataset": self.dataset,
            "network": self.network,
            "method": self.method,
            "variant": self.variant,
            "mapping_unit": self.mapping_unit,
            "ata": self.ata,
            "training_time_steps": self.training_time_steps,
            "seed": self.seed,
            "changed": self.changed,
            "evaluation": folder.evaluation(self.evaluation_digest).name,
            "calibration": folder.calibration(calibrated).name if calibrated else None,
        }


@dataclass(frozen=True)
class Study:
    """A set of runs that fills the tables.

    Attributes:
        runs: in the order of the parameters.
        not_run: cells that the study names and does not run.
        datasets: spec of each data set by the name of its folder.
        measurement_spec: of the cost of a training step, or None.
        inference_spec: of the speed of inference, or None.
        report: the parameters of the tables and claims.
        parameters: the part of params.yaml that this study uses, for the record.
        digest: of the runs, the measurement, the report's parameters and its code.
    """

    name: str
    runs: tuple[Run, ...]
    not_run: tuple[Run, ...]
    datasets: dict[str, dict[str, Any]]
    measurement_spec: dict[str, Any] | None
    measurement_digest: str | None
    inference_spec: dict[str, Any] | None
    inference_digest: str | None
    report: dict[str, Any]
    parameters: dict[str, Any]
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        """Derive the digest."""
        content = {key: value for key, value in self._content().items() if key != "parameters"}
        object.__setattr__(self, "digest", digest([content, _report_code(), self._names_and_looks()]))

    def _names_and_looks(self) -> list[Any]:
        """What the registries say of how the study's methods and networks are shown."""
        runs = [*self.runs, *self.not_run]
        methods = {name: METHODS[name] for name in sorted({run.method for run in runs})}
        kinds = sorted({run.spec["network"]["kind"] for run in runs})
        shown = [[name, entry.label, dict(entry.looks)] for name, entry in methods.items()]
        return [shown, [[kind, NETWORKS[kind].label] for kind in kinds]]

    def study_json(self) -> dict[str, Any]:
        """Return the content of results/<study>/study.json."""
        return {**self._content(), "digest": self.digest}

    def _content(self) -> dict[str, Any]:
        cost = f"training_cost-{self.measurement_digest}.csv" if self.measurement_digest else None
        speed = f"inference-{self.inference_digest}.csv" if self.inference_digest else None
        return {
            "study": self.name,
            "runs": [run.descriptor() for run in self.runs],
            "not_run": [run.descriptor() for run in self.not_run],
            "training_cost": cost,
            "inference": speed,
            "report": self.report,
            "parameters": self.parameters,
        }


@dataclass(frozen=True)
class _Cell:
    """One run before its source is known: an entry of `runs` with one value for each key."""

    key: str  # where in params.yaml, for messages
    chosen: Chosen
    calibrate: bool
    planned: bool
    dataset: str
    network: str
    seed: int
    recipe: str
    own_recipe: bool  # not the study's

    @property
    def method(self) -> MethodEntry:
        """What the registry says of its method."""
        return METHODS[self.chosen.method]


def resolve(parameters: Mapping[str, Any], study_name: str) -> Study:
    """Work out what a study consists of.

    Args:
        parameters: as `load_parameters` gives them; validated here.
        study_name: one of `parameters["studies"]`.

    Raises:
        UserError: a value that is not allowed, a name that does not exist, an option that the method does not have, or
            two equal runs; the message names the key, the value and what is allowed.
    """
    given = typed(parameters)
    section = given.typed.studies[choose("study", study_name, given.typed.studies)]
    place = f"studies.{study_name}"
    _refuse_unknown_names(given)
    changed = _with_own_sections(given.typed, section, place)
    cells = list(_cells(given, section, study_name))
    specs = _datasets(changed, section, place)
    runs: dict[int, Run] = {}
    # Runs that start from another come last, so that their source is there; the listed order is kept by the index.
    for index in sorted(range(len(cells)), key=lambda index: cells[index].method.source is not None):
        made = [(cells[each], run) for each, run in runs.items()]
        runs[index] = _run(changed, cells[index], specs, made)
    ordered = [(cells[index], runs[index]) for index in range(len(cells))]
    _refuse_duplicates(ordered)
    measurement = _measurement(changed, section, place)
    inference = _inference(changed, [cell for cell, _ in ordered if cell.planned], specs)
    return Study(
        name=study_name,
        runs=tuple(run for cell, run in ordered if cell.planned),
        not_run=tuple(run for cell, run in ordered if not cell.planned),
        datasets={f"{name}-{spec['digest']}": spec for name, each in specs.items() for spec in each.values()},
        measurement_spec=measurement,
        measurement_digest=digest(measurement) if measurement else None,
        inference_spec=inference,
        inference_digest=digest(inference) if inference else None,
        report=changed.report.as_given(),
        parameters=_used(given.typed, changed, study_name, section, cells),
    )


def _refuse_unknown_names(given: Given) -> None:
    """Refuse names and options of any study that stand for nothing, also where this study does not use them."""
    parameters = given.typed
    choose("study", parameters.study, parameters.studies)
    for name, dataset in parameters.datasets.items():
        if "kind" not in dataset.as_given():
            choose("datasets", name, DATASETS)
    for name, network in parameters.networks.items():
        choose(f"networks.{name}.kind", getattr(network, "kind", None), NETWORKS)
    for name, options in parameters.methods.items():
        checked_options(choose("methods", name, METHODS), options, f"methods.{name}")
    _refuse_unknown_methods(parameters.report, "report")
    for name, study in parameters.studies.items():
        place = f"studies.{name}"
        choose(f"{place}.recipe", study.recipe, parameters.recipes)
        for network_name in study.networks:
            choose(f"{place}.networks", network_name, parameters.networks)
        for index, entry in enumerate(study.runs):
            choose(f"{given.key_of_run(name, index)}.method", entry.method, METHODS)


def _refuse_unknown_methods(report: Report, key: str) -> None:
    for side in ("headline", "reference", "beside"):
        if (rows := getattr(report, side)) is not None:
            choose(f"{key}.{side}.method", rows.method, METHODS)


def _cells(given: Given, section: StudySection, study_name: str) -> Iterator[_Cell]:
    for index, entry in enumerate(section.runs):
        key = given.key_of_run(study_name, index)
        refuse_two_values(entry.as_given(), entry.options, key)
        datasets = _narrowed(section.datasets, entry.datasets, f"{key}.datasets")
        networks = _narrowed(section.networks, entry.networks, f"{key}.networks")
        seeds = _narrowed(section.seeds, entry.seeds, f"{key}.seeds")
        recipe = choose(f"{key}.recipe", entry.recipe or section.recipe, given.typed.recipes)
        for dataset, network in itertools.product(datasets, networks):
            for chosen in _single(entry, key):
                for seed in seeds:
                    own = recipe != section.recipe
                    yield _Cell(key, chosen, entry.calibrate, entry.run, dataset, network, seed, recipe, own)


def _narrowed(of_study: list[T], of_entry: list[T] | None, key: str) -> list[T]:
    for value in of_entry or ():
        if value not in of_study:
            name, allowed = key.rpartition(".")[2], ", ".join(map(str, of_study))
            raise UserError(f"{key}: {value!r} is not in the study's {name}; an entry may narrow them: {allowed}")
    return list(of_study if of_entry is None else of_entry)


def _single(entry: Entry, key: str) -> Iterator[Chosen]:
    """Give the product of an entry's lists, `options` included, with one value for each key."""
    given = entry.as_given()
    axes: list[tuple[str, Any]] = [
        (name, given[name]) for name in ("variant", "time_steps", "mapping_unit", "ata") if name in given
    ]
    axes += [(f"options.{name}", value) for name, value in entry.options.items()]
    for name, value in axes:
        if value == []:
            raise UserError(f"{key}.{name}: [] is not allowed; expected a value, or a list of at least one")
    for values in itertools.product(*(value if isinstance(value, list) else [value] for _, value in axes)):
        chosen = dict(zip((name for name, _ in axes), values, strict=True))
        options = {name.removeprefix("options."): chosen.pop(name) for name in list(chosen) if "." in name}
        yield Chosen(method=entry.method, options=options, **chosen)


def _run(parameters: Parameters, cell: _Cell, specs: Specs, made: list[tuple[_Cell, Run]]) -> Run:
    dataset = specs[cell.dataset][cell.seed]
    described = parameters.networks[cell.network]
    network = resolved_network(described, cell.network, dataset["shape"], f"networks.{cell.network}")
    method = method_spec(parameters, cell.chosen, cell.key)
    source = _source(cell, made)
    frames = dataset.get("frames")
    if frames:
        _check_frames(cell, frames)
    spec: RunSpec = {
        # Where its files are taken from changes nothing.
        "dataset": {key: value for key, value in dataset.items() if key not in PLACES},
        "network": network,
        "method": method,
        "recipe": parameters.recipes[cell.recipe].as_given(),
        "seed": cell.seed,
        "source": source,
    }
    time_steps, options = method["time_steps"], method["options"]
    steps = f"_T{time_steps}" if time_steps else ""
    calibration = _calibration(parameters, cell, time_steps)
    calibration_digest = digest(calibration) if calibration else None
    evaluation = {
        "revision": EVALUATION_REVISION,
        **parameters.evaluation.as_given(),
        # Where the two branches are compared: the T of training, or calibration's where training knows no T.
        "coupled_time_steps": time_steps or parameters.calibration.time_steps,
        "calibration": calibration_digest,
        # Data of one's own: classes may be of any size, and there are no more steps than frames.
        **({"by_class": True} if "kind" in dataset else {}),
        **({"time_steps": frames} if frames else {}),
    }
    coupled = cell.method.options == "variants"
    name = f"{cell.dataset}_{cell.network}_{method['name']}{steps}_s{cell.seed}"
    return Run(
        name=f"{name}-{digest({**spec, 'dataset': dataset['digest']})}",
        dataset=cell.dataset,
        network=cell.network,
        method=method["name"],
        variant=method["variant"],
        mapping_unit=options["mapping_unit"] if coupled else None,
        ata=options["ata"] if coupled else None,
        training_time_steps=time_steps,
        seed=cell.seed,
        recipe=cell.recipe,
        changed=changed_options(method) | ({"recipe": cell.recipe} if cell.own_recipe else {}),
        spec=spec,
        dataset_folder=f"{cell.dataset}-{dataset['digest']}",
        source=source,
        calibration_spec=calibration,
        calibration_digest=calibration_digest,
        evaluation_spec=evaluation,
        evaluation_digest=digest(evaluation),
    )


def _check_frames(cell: _Cell, frames: int) -> None:
    """Refuse what cannot be done with an image for each time step."""
    chosen, of_frames = cell.chosen, f"with data set {cell.dataset}, which is of {frames} frames"
    if not cell.method.frames:
        able = ", ".join(name for name, method in METHODS.items() if method.frames)
        raise UserError(f"{cell.key}.method: {chosen.method} is not allowed {of_frames}; expected one of {able}")
    if cell.calibrate:
        raise UserError(f"{cell.key}.calibrate: true is not allowed {of_frames}: thresholds are calibrated on images")
    if cell.method.time_steps and chosen.time_steps not in (None, frames):
        raise UserError(f"{cell.key}.time_steps: {chosen.time_steps} is not allowed {of_frames}; expected {frames}")


def _datasets(parameters: Parameters, section: StudySection, place: str) -> Specs:
    special = section.dataset_options
    for name in special:
        choose(f"{place}.dataset_options", name, section.datasets)
    own = [name for name, described in parameters.datasets.items() if "kind" in described.as_given()]
    specs: dict[str, dict[int, dict[str, Any]]] = {}
    for name in section.datasets:
        choose(f"{place}.datasets", name, [*DATASETS, *own])
        described = parameters.datasets.get(name)
        common = described.as_given() if described else {}
        given = merge(common, special.get(name, {}))
        if given.get("folds"):
            specs[name] = {seed: dataset_spec(name, given, seed) for seed in section.seeds}
        else:
            specs[name] = dict.fromkeys(section.seeds, dataset_spec(name, given))
    return specs


def _source(cell: _Cell, made: list[tuple[_Cell, Run]]) -> str | None:
    """Find the run whose weights this cell starts from."""
    method = cell.method.source
    if method is None:
        return None
    wanted = (method, cell.dataset, cell.network, cell.seed)
    same = {run.name: each for each, run in made if (run.method, run.dataset, run.network, run.seed) == wanted}
    place = f"data set {cell.dataset}, network {cell.network}, seed {cell.seed}"
    starts = f"{cell.key}.method: {cell.chosen.method} starts from a run of {method} ({place})"
    if len(same) != 1:
        problem = f"{len(same)} such runs, expected one" if same else f"no such run; add {{method: {method}}} for it"
        raise UserError(f"{starts}: {problem}")
    ((name, source),) = same.items()
    if cell.planned and not source.planned:
        raise UserError(f"{starts}, and {source.key}.run is false; expected both to be run, or neither")
    return name


def _calibration(parameters: Parameters, cell: _Cell, time_steps: int | None) -> dict[str, Any] | None:
    if not cell.calibrate:
        return None
    if cell.method.source is None and cell.method.options != "variants":
        allowed = ", ".join(name for name, entry in METHODS.items() if entry.source or entry.options == "variants")
        name = cell.chosen.method
        raise UserError(f"{cell.key}.calibrate: true is not allowed for method {name}; it is for {allowed}")
    spec = {"revision": CALIBRATION_REVISION, **parameters.calibration.as_given()}
    return spec | {"time_steps": time_steps or spec["time_steps"]}


def _with_own_sections(parameters: Parameters, section: StudySection, place: str) -> Parameters:
    """Put what a study measures and compares otherwise into the common sections."""
    own: dict[str, Section | None] = {}
    if section.measurement:
        common = parameters.measurement.as_given() if parameters.measurement else {}
        own["measurement"] = part_of(Measurement, merge(common, section.measurement), f"{place}.measurement")
    if section.report:
        report = part_of(Report, merge(parameters.report.as_given(), section.report), f"{place}.report")
        _refuse_unknown_methods(report, f"{place}.report")
        own["report"] = report
    return parameters.model_copy(update=own)


NAMED = ("networks", "methods")


def _measurement(parameters: Parameters, study: StudySection, place: str) -> dict[str, Any] | None:
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
        if method.source is not None:
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


def _inference(parameters: Parameters, cells: list[_Cell], specs: Specs) -> dict[str, Any] | None:
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


def _refuse_duplicates(ordered: list[tuple[_Cell, Run]]) -> None:
    counts = Counter(run.name for _, run in ordered)
    for name, count in counts.items():
        if count > 1:
            places = list(dict.fromkeys(cell.key for cell, run in ordered if run.name == name))
            raise UserError(f"{' and '.join(places)}: the run {name} stands {count} times; keep one")


def _used(
    written: Parameters, changed: Parameters, name: str, section: StudySection, cells: list[_Cell]
) -> dict[str, Any]:
    """Return the part of the parameters that this study uses."""
    measured = changed.measurement.networks if changed.measurement else []
    networks = dict.fromkeys([*section.networks, *measured])
    recipes = dict.fromkeys(cell.recipe for cell in cells)
    given = changed.as_given()
    return {
        "study": name,
        "datasets": {key: given["datasets"].get(key, {}) for key in section.datasets},
        "networks": {key: given["networks"][key] for key in networks},
        "recipes": {key: given["recipes"][key] for key in recipes},
        **{key: given[key] for key in ("methods", "calibration", "evaluation", "measurement")},
        "report": written.report.as_given(),
        "inference": given.get("inference"),
        "studies": {name: section.as_given()},
    }


def _report_code() -> str:
    """Hash the source files that read runs and make tables and figures, so that a change of theirs makes these again."""
    hashed = hashlib.sha256()
    for room in ("report", "runs"):
        for path, content in sorted(_files(resources.files("snn2ann").joinpath(room), room)):
            hashed.update(path.encode() + b"\0" + content + b"\0")
    return hashed.hexdigest()


def _files(folder: Traversable, name: str) -> Iterator[tuple[str, bytes]]:
    for item in folder.iterdir():
        if item.is_dir() and item.name != "__pycache__":
            yield from _files(item, f"{name}/{item.name}")
        elif item.is_file():
            yield f"{name}/{item.name}", item.read_bytes()
