"""A study: the runs that its parameters stand for, each named by a digest of everything that can change its result."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import resources
from importlib.abc import Traversable
from pathlib import Path
from typing import Any

from snn2ann.data import PLACES, DatasetSpec, dataset_spec
from snn2ann.errors import UserError
from snn2ann.methods import METHODS
from snn2ann.models import NETWORKS
from snn2ann.parameters import choose, digest, load_parameters, validate
from snn2ann.parameters.dataset import Split
from snn2ann.parameters.study import StudySection
from snn2ann.parameters.whole import Parameters, typed
from snn2ann.runs.folder import RunFolder
from snn2ann.runs.records import Descriptor
from snn2ann.specs import Options, RunSpec, SectionSpec, changed_options, method_spec, network_spec, resolved_network
from snn2ann.study.checks import dataset_sections, refuse_wrong_studies, with_own_sections
from snn2ann.study.entries import Cell, cells_of
from snn2ann.study.measured import inference_spec_of, measurement_spec_of

StudyContent = dict[str, Any]
# The spec of each data set, by its name and the seed of a run: seeds differ where the data are cut into folds.
Specs = Mapping[str, Mapping[int, DatasetSpec]]
"""What study.json holds: the parameters as they were written among it."""

__all__ = ["Run", "Study", "digest", "load_parameters", "network_spec", "resolve", "validate"]

# Raised by hand when a change of code alters what these phases write; METHODS holds one for each method. Training is the
# loop, the recipe, and the batches that they are given; runs are named by its revision from the second on.
TRAINING_REVISION = 1
CALIBRATION_REVISION = 1
EVALUATION_REVISION = 1


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
    changed: Options
    spec: RunSpec
    dataset_folder: str
    source: str | None
    calibration_spec: SectionSpec | None
    calibration_digest: str | None
    evaluation_spec: SectionSpec
    evaluation_digest: str

    def descriptor(self) -> Descriptor:
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
    datasets: dict[str, DatasetSpec]
    measurement_spec: SectionSpec | None
    measurement_digest: str | None
    inference_spec: SectionSpec | None
    inference_digest: str | None
    report: SectionSpec
    parameters: SectionSpec
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

    def study_json(self) -> StudyContent:
        """Return the content of results/<study>/study.json."""
        return {**self._content(), "digest": self.digest}

    @property
    def training_cost(self) -> str | None:
        """The file of the measurement of training, or None."""
        return f"training_cost-{self.measurement_digest}.csv" if self.measurement_digest else None

    @property
    def inference(self) -> str | None:
        """The file of the measurement of inference, or None."""
        return f"inference-{self.inference_digest}.csv" if self.inference_digest else None

    @property
    def measurements(self) -> list[str]:
        """The files of the measurements that the study has."""
        return [name for name in (self.training_cost, self.inference) if name]

    def _content(self) -> StudyContent:
        return {
            "study": self.name,
            "runs": [run.descriptor() for run in self.runs],
            "not_run": [run.descriptor() for run in self.not_run],
            "training_cost": self.training_cost,
            "inference": self.inference,
            "report": self.report,
            "parameters": self.parameters,
        }


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
    refuse_wrong_studies(given)
    changed = with_own_sections(given.typed, section, place)
    cells = list(cells_of(given, section, study_name))
    specs = {
        name: {seed: dataset_spec(name, described, key, seed) for seed in seeds_that_differ(described, section.seeds)}
        for name, (key, described) in dataset_sections(given.typed, section, place).items()
    }
    runs: dict[int, Run] = {}
    # Runs that start from another come last, so that their source is there; the listed order is kept by the index.
    for index in sorted(range(len(cells)), key=lambda index: cells[index].method.source is not None):
        made = [(cells[each], run) for each, run in runs.items()]
        runs[index] = _run(changed, cells[index], specs, made)
    ordered = [(cells[index], runs[index]) for index in range(len(cells))]
    _refuse_duplicates(ordered)
    measurement = measurement_spec_of(changed, section, place)
    inference = inference_spec_of(changed, [cell for cell, _ in ordered if cell.planned], specs)
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


def seeds_that_differ(described: Split, seeds: list[int]) -> list[int]:
    """The seeds whose runs have data of their own: all where the data are cut into folds, else the first stands for all."""
    return seeds if described.folds else seeds[:1]


def _run(parameters: Parameters, cell: Cell, specs: Specs, made: list[tuple[Cell, Run]]) -> Run:
    of_seeds = specs[cell.dataset]
    dataset = of_seeds.get(cell.seed) or next(iter(of_seeds.values()))
    described = parameters.networks[cell.network]
    network = resolved_network(described, cell.network, dataset["shape"], f"networks.{cell.network}")
    method = method_spec(parameters, cell.chosen, cell.key)
    source = _source(cell, made)
    frames = dataset.get("frames")
    if frames:
        _check_frames(cell, frames)
    recipe = parameters.recipes[cell.recipe]
    if recipe.cuda_graph and not cell.method.cuda_graph:
        raise UserError(
            f"recipes.{cell.recipe}.cuda_graph: true is not allowed with method {method['name']} ({cell.key}), whose steps "
            "no graph can hold; give that method a recipe without it"
        )
    spec: RunSpec = {
        # Where its files are taken from changes nothing.
        "dataset": {key: value for key, value in dataset.items() if key not in PLACES},
        "network": network,
        "method": method,
        "recipe": recipe.as_given(),
        "seed": cell.seed,
        "source": source,
    }
    if cell.checkpoint:
        spec["checkpoint"] = cell.checkpoint
    if TRAINING_REVISION > 1 and cell.method.trained:
        spec["training_revision"] = TRAINING_REVISION
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


def _check_frames(cell: Cell, frames: int) -> None:
    """Refuse what cannot be done with an image for each time step."""
    chosen, of_frames = cell.chosen, f"with data set {cell.dataset}, which is of {frames} frames"
    if not cell.method.frames:
        able = ", ".join(name for name, method in METHODS.items() if method.frames)
        raise UserError(f"{cell.key}.method: {chosen.method} is not allowed {of_frames}; expected one of {able}")
    if cell.calibrate:
        raise UserError(f"{cell.key}.calibrate: true is not allowed {of_frames}: thresholds are calibrated on images")
    if cell.method.time_steps and chosen.time_steps not in (None, frames):
        raise UserError(f"{cell.key}.time_steps: {chosen.time_steps} is not allowed {of_frames}; expected {frames}")


def _source(cell: Cell, made: list[tuple[Cell, Run]]) -> str | None:
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


def _calibration(parameters: Parameters, cell: Cell, time_steps: int | None) -> SectionSpec | None:
    if not cell.calibrate:
        return None
    spec = {"revision": CALIBRATION_REVISION, **parameters.calibration.as_given()}
    return spec | {"time_steps": time_steps or spec["time_steps"]}


def _refuse_duplicates(ordered: list[tuple[Cell, Run]]) -> None:
    counts = Counter(run.name for _, run in ordered)
    for name, count in counts.items():
        if count > 1:
            places = list(dict.fromkeys(cell.key for cell, run in ordered if run.name == name))
            raise UserError(f"{' and '.join(places)}: the run {name} stands {count} times; keep one")


def _used(written: Parameters, changed: Parameters, name: str, section: StudySection, cells: list[Cell]) -> SectionSpec:
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
