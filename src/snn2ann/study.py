"""A study: the runs that its parameters stand for, each named by a digest of everything that can change its result."""

import hashlib
import itertools
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from importlib import resources
from importlib.abc import Traversable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from snn2ann.data import DATASETS, PLACES, dataset_spec
from snn2ann.errors import UserError
from snn2ann.methods import METHODS, MethodEntry
from snn2ann.models import NETWORKS
from snn2ann.models.fitting import fitted
from snn2ann.options import VARIANTS
from snn2ann.parameters import choose, digest, load_parameters, merge, validate
from snn2ann.runs.folder import RunFolder

__all__ = ["Run", "Study", "digest", "load_parameters", "resolve", "validate"]

# Raised by hand when a change of code alters what these phases write; METHODS holds one for each method.
CALIBRATION_REVISION = 1
EVALUATION_REVISION = 1
MEASUREMENT_REVISION = 3
INFERENCE_REVISION = 2

Parameters = Mapping[str, Any]


@dataclass(frozen=True)
class Run:
    """One model of a study, from training to evaluation.

    Attributes:
        name: of the run's folder, `<dataset>_<network>_<method>_T<T>_s<seed>-<digest of spec>`.
        mapping_unit: None for methods without one, as are `variant` and `ata`.
        training_time_steps: None for methods that are not trained for a number of time steps.
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
    changed: dict[str, Any]
    spec: dict[str, Any]
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
    entry: dict[str, Any]
    dataset: str
    network: str
    seed: int
    recipe: str
    own_recipe: bool  # not the study's


def resolve(parameters: Parameters, study_name: str) -> Study:
    """Work out what a study consists of.

    Args:
        parameters: as `load_parameters` gives them; validated here.
        study_name: one of `parameters["studies"]`.

    Raises:
        UserError: a value that the schema does not allow, a name that does not exist, an option that the method
            does not have, or two equal runs; the message names the key, the value and what is allowed.
    """
    validate(parameters)
    section = parameters["studies"][choose("study", study_name, parameters["studies"])]
    parameters = _with_own_measurement(parameters, section, study_name)
    cells = list(_cells(parameters, section, f"studies.{study_name}"))
    specs = _datasets(parameters, section, f"studies.{study_name}")
    runs: dict[int, Run] = {}
    # Runs that start from another come last, so that their source is there; the listed order is kept by the index.
    for index in sorted(range(len(cells)), key=lambda index: _entry(cells[index]).source is not None):
        runs[index] = _run(parameters, cells[index], specs, list(runs.values()))
    ordered = [(cells[index], runs[index]) for index in range(len(cells))]
    _refuse_duplicates(ordered)
    measurement = _measurement(parameters)
    inference = _inference(parameters, [cell for cell, _ in ordered if cell.entry.get("run", True)], specs)
    return Study(
        name=study_name,
        runs=tuple(run for cell, run in ordered if cell.entry.get("run", True)),
        not_run=tuple(run for cell, run in ordered if not cell.entry.get("run", True)),
        datasets={f"{name}-{spec['digest']}": spec for name, spec in specs.items()},
        measurement_spec=measurement,
        measurement_digest=digest(measurement) if measurement else None,
        inference_spec=inference,
        inference_digest=digest(inference) if inference else None,
        report=merge(parameters["report"], section.get("report", {})),
        parameters=_used(parameters, study_name, section, cells),
    )


def _cells(parameters: Parameters, section: Parameters, place: str) -> Iterator[_Cell]:
    for index, entry in enumerate(section["runs"]):
        key = f"{place}.runs[{index}]"
        choose(f"{key}.method", entry["method"], METHODS)
        axes = {name: _narrowed(section, entry, name, key) for name in ("datasets", "networks", "seeds")}
        recipe_key = f"{key if 'recipe' in entry else place}.recipe"
        recipe = choose(recipe_key, entry.get("recipe", section["recipe"]), parameters["recipes"])
        for dataset, network in itertools.product(axes["datasets"], axes["networks"]):
            choose(f"{place}.networks", network, parameters["networks"])
            for single in _single_entries(entry):
                for seed in axes["seeds"]:
                    yield _Cell(key, single, dataset, network, seed, recipe, recipe != section["recipe"])


def _narrowed(section: Parameters, entry: Parameters, name: str, key: str) -> list[Any]:
    for value in entry.get(name, []):
        if value not in section[name]:
            allowed = ", ".join(map(str, section[name]))
            raise UserError(
                f"{key}.{name}: {value!r} is not in the study's {name}; an entry may narrow them: {allowed}"
            )
    return list(entry.get(name, section[name]))


def _single_entries(entry: Parameters) -> Iterator[dict[str, Any]]:
    """Give the product of an entry's lists, `options` included, as entries with one value for each key."""
    scalars = {key: entry[key] for key in ("method", "calibrate", "run") if key in entry}
    axes = [(key, entry[key]) for key in ("variant", "time_steps", "mapping_unit", "ata") if key in entry]
    axes += [(f"options.{key}", value) for key, value in entry.get("options", {}).items()]
    for values in itertools.product(*(value if isinstance(value, list) else [value] for _, value in axes)):
        chosen = dict(zip((key for key, _ in axes), values, strict=True))
        options = {key.removeprefix("options."): chosen.pop(key) for key in list(chosen) if key.startswith("options.")}
        yield {**scalars, **chosen, "options": options}


def _entry(cell: _Cell) -> MethodEntry:
    return METHODS[cell.entry["method"]]


def _run(parameters: Parameters, cell: _Cell, specs: Mapping[str, dict[str, Any]], made: list[Run]) -> Run:
    dataset = specs[cell.dataset]
    network = network_spec(parameters, cell.network, dataset["shape"], f"networks.{cell.network}")
    method = method_spec(parameters, cell.entry, cell.key)
    source = _source(cell, made)
    frames = dataset.get("frames")
    if frames:
        _check_frames(cell, frames)
    spec = {
        # Where its files are taken from changes nothing.
        "dataset": {key: value for key, value in dataset.items() if key not in PLACES},
        "network": network,
        "method": method,
        "recipe": dict(parameters["recipes"][cell.recipe]),
        "seed": cell.seed,
        "source": source,
    }
    time_steps, options = method["time_steps"], method["options"]
    steps = f"_T{time_steps}" if time_steps else ""
    calibration = _calibration(parameters, cell, time_steps)
    calibration_digest = digest(calibration) if calibration else None
    evaluation = {
        "revision": EVALUATION_REVISION,
        **parameters["evaluation"],
        # Where the two branches are compared: the T of training, or calibration's where training knows no T.
        "coupled_time_steps": time_steps or parameters["calibration"]["time_steps"],
        "calibration": calibration_digest,
        # Data of one's own: classes may be of any size, and there are no more steps than frames.
        **({"by_class": True} if "kind" in dataset else {}),
        **({"time_steps": frames} if frames else {}),
    }
    coupled = _entry(cell).options == "variants"
    name = f"{cell.dataset}_{cell.network}_{method['name']}{steps}_s{cell.seed}"
    return Run(
        name=f"{name}-{digest(spec | {'dataset': dataset['digest']})}",
        dataset=cell.dataset,
        network=cell.network,
        method=method["name"],
        variant=method["variant"],
        mapping_unit=options["mapping_unit"] if coupled else None,
        ata=options["ata"] if coupled else None,
        training_time_steps=time_steps,
        seed=cell.seed,
        changed=_changed(method) | ({"recipe": cell.recipe} if cell.own_recipe else {}),
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
    entry, of_frames = cell.entry, f"with data set {cell.dataset}, which is of {frames} frames"
    if not _entry(cell).frames:
        able = ", ".join(name for name, method in METHODS.items() if method.frames)
        raise UserError(f"{cell.key}.method: {entry['method']} is not allowed {of_frames}; expected one of {able}")
    if entry.get("calibrate", False):
        raise UserError(f"{cell.key}.calibrate: true is not allowed {of_frames}: thresholds are calibrated on images")
    if _entry(cell).time_steps and entry.get("time_steps", frames) != frames:
        raise UserError(f"{cell.key}.time_steps: {entry['time_steps']} is not allowed {of_frames}; expected {frames}")


def _datasets(parameters: Parameters, section: Parameters, place: str) -> dict[str, dict[str, Any]]:
    """Return the spec of each data set of a study, by its name."""
    special = section.get("dataset_options", {})
    for name in special:
        choose(f"{place}.dataset_options", name, section["datasets"])
    own = [name for name, parameters_of_it in parameters["datasets"].items() if "kind" in parameters_of_it]
    specs = {}
    for name in section["datasets"]:
        choose(f"{place}.datasets", name, [*DATASETS, *own])
        specs[name] = dataset_spec(name, merge(parameters["datasets"].get(name, {}), special.get(name, {})))
    return specs


def network_spec(parameters: Parameters, name: str, image_shape: list[int], key: str) -> dict[str, Any]:
    """Return a network's parameters with those that depend on the image's side resolved.

    Args:
        parameters: validated parameters.
        name: one of `parameters["networks"]`.
        image_shape: (channels, height, width).
        key: where in params.yaml the network is described, for messages.

    Raises:
        UserError: an unknown kind, or no value for this image side.
    """
    network: dict[str, Any] = {"name": name}
    network_parts = parameters["networks"][name]
    choose(f"{key}.kind", network_parts["kind"], NETWORKS)
    _, height, width = image_shape
    side = str(width) if height == width else f"{height}×{width}"
    for option, value in network_parts.items():
        if isinstance(value, Mapping) and value and all(str(part).isdigit() for part in value):
            by_side = {str(part): chosen for part, chosen in value.items()}
            if side not in by_side:
                by_side[side] = fitted(network_parts, option, (height, width))
            value = by_side[side]
            if value is None:
                known = ", ".join(part for part in by_side if part != side)
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


def method_spec(parameters: Parameters, entry: Parameters, key: str) -> dict[str, Any]:
    """Return name, revision, time steps, variant and the resolved options of an entry with one value for each key.

    Raises:
        UserError: a key or an option that the method does not have, or a value that is not allowed.
    """
    name = choose(f"{key}.method", entry["method"], METHODS)
    method = METHODS[name]
    time_steps = entry.get("time_steps")
    if method.time_steps and time_steps is None:
        raise UserError(f"{key}.time_steps: missing; method {name} is trained for a number of time steps, such as 5")
    if not method.time_steps and time_steps is not None:
        raise UserError(f"{key}.time_steps: {time_steps!r} is not allowed; method {name} is trained without time steps")
    changes = {**parameters["methods"].get(name, {}), **entry.get("options", {})}
    if method.options == "variants":
        variant = choose(f"{key}.variant", entry.get("variant", "released"), VARIANTS)
        changes |= {option: entry[option] for option in ("mapping_unit", "ata") if option in entry}
        try:
            options = asdict(VARIANTS[variant].with_options(changes))
        except UserError as error:
            raise UserError(f"{key}: {error}") from error
    else:
        variant, options = None, _with_defaults(entry, method.defaults, changes, key)
    return {
        "name": name,
        "revision": method.revision,
        "time_steps": time_steps,
        "variant": variant,
        "options": options,
    }


def _changed(method: Parameters) -> dict[str, Any]:
    """Return the options of a resolved method that are not the preset's; unit and ATA have a place of their own."""
    variant = method["variant"]
    preset = asdict(VARIANTS[variant]) if variant else METHODS[method["name"]].defaults
    apart = ("mapping_unit", "ata") if variant else ()
    return {
        option: value
        for option, value in method["options"].items()
        if option not in apart and value != preset.get(option)
    }


def _with_defaults(
    entry: Parameters, defaults: Mapping[str, Any], changes: Mapping[str, Any], key: str
) -> dict[str, Any]:
    for option in ("variant", "mapping_unit", "ata"):
        if option in entry:
            raise UserError(f"{key}.{option}: {entry[option]!r} is not allowed; method {entry['method']} has none")
    for option, value in changes.items():
        choose(f"{key}.options (method {entry['method']})", option, defaults)
        _check_kind(f"{key}.options.{option}", value, defaults[option])
    return {**defaults, **changes}


def _check_kind(key: str, value: Any, default: Any) -> None:
    """A value must be of its default's kind; a whole number will do for any number's."""
    kinds: dict[type, tuple[str, tuple[type, ...]]] = {
        bool: ("true or false", (bool,)),
        int: ("a whole number", (int,)),
        float: ("a number", (int, float)),
        str: ("a word", (str,)),
    }
    words, allowed = kinds.get(type(default), ("another kind of value", (object,)))
    if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed and object not in allowed):
        raise UserError(f"{key}: {value!r} is not allowed; expected {words}, such as the default {default!r}")


def _source(cell: _Cell, made: list[Run]) -> str | None:
    """Find the run whose weights this cell starts from."""
    method = _entry(cell).source
    if method is None:
        return None
    wanted = (method, cell.dataset, cell.network, cell.seed)
    same = list(dict.fromkeys(run.name for run in made if (run.method, run.dataset, run.network, run.seed) == wanted))
    if len(same) == 1:
        return same[0]
    place = f"data set {cell.dataset}, network {cell.network}, seed {cell.seed}"
    problem = f"{len(same)} such runs, expected one" if same else f"no such run; add {{method: {method}}} for it"
    raise UserError(f"{cell.key}.method: {cell.entry['method']} starts from a run of {method} ({place}): {problem}")


def _calibration(parameters: Parameters, cell: _Cell, time_steps: int | None) -> dict[str, Any] | None:
    if not cell.entry.get("calibrate", False):
        return None
    if _entry(cell).source is None and _entry(cell).options != "variants":
        allowed = ", ".join(name for name, entry in METHODS.items() if entry.source or entry.options == "variants")
        name = cell.entry["method"]
        raise UserError(f"{cell.key}.calibrate: true is not allowed for method {name}; it is for {allowed}")
    spec = {"revision": CALIBRATION_REVISION, **parameters["calibration"]}
    return spec | {"time_steps": time_steps or spec["time_steps"]}


def _with_own_measurement(parameters: Parameters, section: Parameters, study_name: str) -> Parameters:
    """Put what a study measures otherwise into the measurement section."""
    changes = section.get("measurement")
    if not changes:
        return parameters
    changed = {**parameters, "measurement": merge(parameters["measurement"] or {}, changes)}
    validate(changed, f"params.yaml: studies.{study_name}")
    return changed


def _measurement(parameters: Parameters) -> dict[str, Any] | None:
    """Resolve the networks and methods whose training step is timed; methods with time steps at each T."""
    section = parameters["measurement"]
    if section is None:
        return None
    networks = []
    for name in section["networks"]:
        choose("measurement.networks", name, parameters["networks"])
        networks.append(network_spec(parameters, name, section["image_shape"], f"networks.{name}"))
    methods = []
    for index, entry in enumerate(section["methods"]):
        key = f"measurement.methods[{index}]"
        timed = METHODS[choose(f"{key}.method", entry["method"], METHODS)].time_steps
        values = entry.get("time_steps", section["time_steps"])
        steps = [{"time_steps": value} for value in values] if timed else [{}]
        methods += [method_spec(parameters, {**entry, **step}, key) for step in steps]
    return {"revision": MEASUREMENT_REVISION, **section, "networks": networks, "methods": methods}


def _inference(
    parameters: Parameters, cells: list[_Cell], specs: Mapping[str, dict[str, Any]]
) -> dict[str, Any] | None:
    """Resolve what is timed in inference: each method and variant of the study, by default options, on each network."""
    section = parameters.get("inference")
    if section is None:
        return None
    places = []
    for dataset, network in dict.fromkeys((cell.dataset, cell.network) for cell in cells):
        spec = specs[dataset]
        resolved = network_spec(parameters, network, spec["shape"], f"networks.{network}")
        known = {key: spec[key] for key in ("name", "shape", "classes", "frames") if key in spec}
        places.append({"dataset": known, "network": resolved})
    methods = []
    for name, variant in dict.fromkeys((cell.entry["method"], cell.entry.get("variant", "released")) for cell in cells):
        entry = {"method": name} | ({"time_steps": 1} if METHODS[name].time_steps else {})
        entry |= {"variant": variant} if METHODS[name].options == "variants" else {}
        methods.append(method_spec(parameters, entry, "inference"))
    return {"revision": INFERENCE_REVISION, **section, "places": places, "methods": methods}


def _refuse_duplicates(ordered: list[tuple[_Cell, Run]]) -> None:
    counts = Counter(run.name for _, run in ordered)
    for name, count in counts.items():
        if count > 1:
            places = list(dict.fromkeys(cell.key for cell, run in ordered if run.name == name))
            raise UserError(f"{' and '.join(places)}: the run {name} stands {count} times; keep one")


def _used(parameters: Parameters, name: str, section: Parameters, cells: list[_Cell]) -> dict[str, Any]:
    """Return the part of the parameters that this study uses."""
    measured = (parameters["measurement"] or {}).get("networks", [])
    networks = [*dict.fromkeys([*section["networks"], *measured])]
    recipes = [*dict.fromkeys(cell.recipe for cell in cells)]
    return {
        "study": name,
        "datasets": {key: parameters["datasets"].get(key, {}) for key in section["datasets"]},
        "networks": {key: parameters["networks"][key] for key in networks},
        "recipes": {key: parameters["recipes"][key] for key in recipes},
        **{key: parameters[key] for key in ("methods", "calibration", "evaluation", "measurement", "report")},
        "inference": parameters.get("inference"),
        "studies": {name: section},
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
