"""What a job is given: sections of params.yaml as they are written into its specification."""

from collections.abc import Mapping
from typing import Any

from pydantic import ConfigDict

from snn2ann.parameters.phases import Calibration, Evaluation, Inference
from snn2ann.parameters.recipe import Precision, Recipe
from snn2ann.parameters.section import BatchSize, Count, CountFromZero, Section
from snn2ann.parameters.whole import part_of


class CalibrationJob(Calibration):
    """A calibration, with what else its digest is made of."""

    model_config = ConfigDict(extra="ignore")


class EvaluationJob(Evaluation):
    """An evaluation, with the T at which the two branches are compared."""

    model_config = ConfigDict(extra="ignore")

    coupled_time_steps: int
    by_class: bool = False


class MeasurementJob(Section):
    """What a training step costs: networks and methods are resolved, methods with time steps stand at each T."""

    model_config = ConfigDict(extra="ignore")

    networks: list[dict[str, Any]]
    image_shape: list[int]
    classes: int
    methods: list[dict[str, Any]]
    batch_size: BatchSize
    rounds: Count
    warmup: CountFromZero
    precision: Precision


class InferenceJob(Inference):
    """How fast inference is: places are a data set's shape and classes with a resolved network."""

    model_config = ConfigDict(extra="ignore")

    places: list[dict[str, Any]]
    methods: list[dict[str, Any]]


def recipe_of(spec: Mapping[str, Any]) -> Recipe:
    """The recipe of a run's specification.

    Raises:
        UserError: a value that is not allowed.
    """
    return part_of(Recipe, spec["recipe"], "recipe")


def calibration_of(spec: Mapping[str, Any]) -> CalibrationJob:
    """A calibration's specification.

    Raises:
        UserError: a value that is not allowed.
    """
    return part_of(CalibrationJob, spec, "calibration")


def evaluation_of(spec: Mapping[str, Any]) -> EvaluationJob:
    """An evaluation's specification.

    Raises:
        UserError: a value that is not allowed.
    """
    return part_of(EvaluationJob, spec, "evaluation")


def measurement_of(spec: Mapping[str, Any]) -> MeasurementJob:
    """The specification of a measurement of training.

    Raises:
        UserError: a value that is not allowed.
    """
    return part_of(MeasurementJob, spec, "measurement")


def inference_of(spec: Mapping[str, Any]) -> InferenceJob:
    """The specification of a measurement of inference.

    Raises:
        UserError: a value that is not allowed.
    """
    return part_of(InferenceJob, spec, "inference")
