"""The whole of params.yaml as typed sections."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import Field, ValidationError

from snn2ann.errors import UserError
from snn2ann.parameters.dataset import Dataset
from snn2ann.parameters.inheriting import expand, written_at
from snn2ann.parameters.network import Network
from snn2ann.parameters.phases import Calibration, Evaluation, Inference, Measurement
from snn2ann.parameters.reading import refuse_strange
from snn2ann.parameters.recipe import Recipe
from snn2ann.parameters.report import Report, Tracking
from snn2ann.parameters.section import Name, Section
from snn2ann.parameters.study import StudySection
from snn2ann.parameters.words import key_of

Named = Field(min_length=1)
S = TypeVar("S", bound=Section)


class Parameters(Section):
    """Everything that params.yaml holds."""

    study: Name = Field(description="name of the study to make")
    datasets: Annotated[dict[Name, Dataset], Named] = Field(
        description="a map from data set to what is chosen about it"
    )
    networks: Annotated[dict[Name, Network], Named] = Field(
        description="a map from network to its kind and the kind's parameters"
    )
    recipes: Annotated[dict[Name, Recipe], Named] = Field(description="a map from recipe to how a network is trained")
    methods: dict[str, dict[str, Any]] = Field(
        description="a map from method to the options that differ from its own defaults"
    )
    calibration: Calibration = Field(description="how the thresholds of a trained network are adjusted")
    evaluation: Evaluation = Field(description="how a trained network is evaluated")
    measurement: Measurement | None = Field(description="how the cost of a training step is measured, or null")
    inference: Inference | None = Field(None, description="how the speed of inference is measured, or null")
    report: Report = Field(description="which rows the claims compare")
    tracking: Tracking = Field(description="where MLflow keeps its records")
    studies: Annotated[dict[Name, StudySection], Named] = Field(description="a map from study to its runs")


@dataclass(frozen=True)
class Given:
    """Parameters as they were written, and typed, with everything that is inherited in its place."""

    written: Mapping[str, Any]
    typed: Parameters

    def key_of_run(self, study: str, index: int) -> str:
        """Where an entry of a study's runs is written, for messages."""
        return key_of(written_at(self.written, ("studies", study, "runs", index)))


def typed(parameters: Mapping[str, Any], file: str = "params.yaml") -> Given:
    """Check parameters, as `load_parameters` gives them, and give them types.

    Raises:
        UserError: the first problem, unknown keys before others: the key, the value, and what is allowed.
    """
    try:
        expanded = expand(parameters)
        given = Given(parameters, Parameters.model_validate(expanded))
        # Last, for of a value that has a type there is more to say.
        refuse_strange(parameters)
    except ValidationError as error:
        raise UserError(f"{file}: {_first(error, parameters, expanded)}") from None
    except UserError as error:
        raise UserError(f"{file}: {error}") from None
    return given


def _first(error: ValidationError, parameters: Mapping[str, Any], expanded: Mapping[str, Any]) -> str:
    from snn2ann.parameters.messages import problems

    found = problems(error, expanded)
    paths = {each.path for each in found}

    def inherited(path: tuple[Any, ...]) -> bool:
        """Whether the same is wrong where it was inherited from, which is where it is to be mended."""
        origin = written_at(parameters, path)
        return origin != path and origin in paths

    first = next((each for each in found if not inherited(each.path)), found[0])
    return first.sentence


def part_of(section: type[S], values: Mapping[str, Any], key: str) -> S:
    """Give types to one section that stands at `key`.

    Raises:
        UserError: as `typed`.
    """
    try:
        return section.model_validate(dict(values))
    except ValidationError as error:
        from snn2ann.parameters.messages import problems
        from snn2ann.parameters.schema import of_section

        raise UserError(problems(error, values, of_section(section), key)[0].sentence) from None
