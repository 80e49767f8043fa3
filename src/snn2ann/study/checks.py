"""What is wrong with any study of params.yaml, also with one that is not to be made now."""

from collections.abc import Iterable, Iterator

from snn2ann.data import DATASETS, dataset_section, dataset_spec
from snn2ann.errors import UserError
from snn2ann.methods import METHODS
from snn2ann.models import NETWORKS
from snn2ann.parameters import choose, merge
from snn2ann.parameters.dataset import BuiltIn, Own
from snn2ann.parameters.phases import Measurement
from snn2ann.parameters.report import Report
from snn2ann.parameters.section import Section
from snn2ann.parameters.study import StudySection
from snn2ann.parameters.whole import Given, Parameters, part_of
from snn2ann.parameters.words import near
from snn2ann.specs import checked_options, method_spec
from snn2ann.study.entries import cells_of, refuse_needless_calibration
from snn2ann.study.measured import measurement_spec_of


def refuse_wrong_studies(given: Given) -> None:
    """Refuse names and options of any study that stand for nothing, also where this study does not use them."""
    parameters = given.typed
    choose("study", parameters.study, parameters.studies)
    for name, dataset in parameters.datasets.items():
        if isinstance(dataset, BuiltIn):
            dataset_spec(choose("datasets", name, DATASETS), dataset)
    for name, network in parameters.networks.items():
        choose(f"networks.{name}.kind", getattr(network, "kind", None), NETWORKS)
    for name, options in parameters.methods.items():
        checked_options(choose("methods", name, METHODS), options, f"methods.{name}")
    _refuse_unknown_methods(parameters.report, "report")
    studies = [_refuse_wrong_study(given, name, section) for name, section in parameters.studies.items()]
    _refuse_unused_options(parameters, studies)


def unused_sections(given: Given) -> Iterator[str]:
    """Say which networks, recipes and data sets of one's own no study uses, so that a change of them changes nothing."""
    parameters = given.typed
    studies = parameters.studies.values()
    entries = [entry for study in studies for entry in study.runs]
    networks = {name for study in studies for name in study.networks} | set(_networks_measured(parameters))
    recipes = {study.recipe for study in studies} | {entry.recipe for entry in entries}
    recipes |= {recipe.get("inherit") for recipe in given.written["recipes"].values()}
    datasets = {name for study in studies for name in study.datasets}
    own = [name for name, described in parameters.datasets.items() if not isinstance(described, BuiltIn)]
    for room, names, used in (
        ("networks", parameters.networks, networks),
        ("recipes", parameters.recipes, recipes),
        ("datasets", own, datasets),
    ):
        for name in names:
            if name not in used:
                hint = near(name, [str(each) for each in used if each is not None])
                yield f"{room}.{name}: no study uses it{hint and '; ' + hint}"


def _networks_measured(parameters: Parameters) -> Iterator[str]:
    for study in parameters.studies.values():
        yield from study.measurement.get("networks", [])
    if parameters.measurement is not None:
        yield from parameters.measurement.networks


def _refuse_wrong_study(given: Given, name: str, section: StudySection) -> Parameters:
    """Refuse what is wrong with one study, as far as it is known without its images; give the parameters as it has them."""
    parameters, place = given.typed, f"studies.{name}"
    choose(f"{place}.recipe", section.recipe, parameters.recipes)
    for network in section.networks:
        choose(f"{place}.networks", network, parameters.networks)
    for dataset, (key, described) in dataset_sections(parameters, section, place).items():
        if isinstance(described, BuiltIn):
            dataset_spec(dataset, described, key)
    changed = with_own_sections(parameters, section, place)
    for index, entry in enumerate(section.runs):
        choose(f"{given.key_of_run(name, index)}.method", entry.method, METHODS)
    # Networks and seeds change nothing about what is looked at here.
    for cell in {f"{cell.key} {cell.chosen}": cell for cell in cells_of(given, section, name)}.values():
        method_spec(changed, cell.chosen, cell.key)
        refuse_needless_calibration(cell)
    if section.measurement:
        measurement_spec_of(changed, section, place)
    return changed


def dataset_sections(parameters: Parameters, section: StudySection, place: str) -> dict[str, tuple[str, BuiltIn | Own]]:
    """The data sets of a study with its own values in them, each with the key where it stands.

    Raises:
        UserError: a name that stands for nothing, or a wrong value.
    """
    special = section.dataset_options
    for name in special:
        choose(f"{place}.dataset_options", name, section.datasets)
    own = [name for name, described in parameters.datasets.items() if not isinstance(described, BuiltIn)]
    found = {}
    for name in section.datasets:
        choose(f"{place}.datasets", name, [*DATASETS, *own])
        described = parameters.datasets.get(name)
        common = described.as_given() if described else {}
        # What is wrong in the common section has been said.
        key = f"{place}.dataset_options.{name}" if name in special else f"datasets.{name}"
        found[name] = (key, dataset_section(name, merge(common, special.get(name, {})), key))
    return found


def _refuse_unused_options(parameters: Parameters, studies: Iterable[Parameters]) -> None:
    """Refuse options of a method that no study runs or measures: whoever writes them means another."""
    used = {entry.method for study in parameters.studies.values() for entry in study.runs}
    used |= {entry.method for study in studies if study.measurement for entry in study.measurement.methods}
    for name in parameters.methods:
        if name not in used:
            hint = near(name, used)
            raise UserError(
                f"methods.{name}: no study runs or measures {name}; {hint and hint + ' '}expected options of a method that "
                f"is used: {', '.join(method for method in METHODS if method in used)}"
            )


def _refuse_unknown_methods(report: Report, key: str) -> None:
    for side in ("headline", "reference", "beside"):
        if (rows := getattr(report, side)) is not None:
            choose(f"{key}.{side}.method", rows.method, METHODS)
    for number, aim in enumerate(report.aims):
        for side in ("of", "beside"):
            if (rows := getattr(aim, side)) is not None:
                choose(f"{key}.aims[{number}].{side}.method", rows.method, METHODS)


def with_own_sections(parameters: Parameters, section: StudySection, place: str) -> Parameters:
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
