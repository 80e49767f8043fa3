"""What a job is given: sections of params.yaml as they are written into its specification, typed by `part_of`."""

from typing import Any

from pydantic import ConfigDict

from snn2ann.parameters.phases import Calibration, Evaluation, Inference
from snn2ann.parameters.recipe import Precision
from snn2ann.parameters.section import BatchSize, Count, CountFromZero, Section


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
