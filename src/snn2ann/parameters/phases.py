"""`calibration`, `evaluation`, `measurement` and `inference`: what is done with trained networks, and what is timed."""

from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from snn2ann.parameters.recipe import Precision
from snn2ann.parameters.section import (
    BatchSize,
    Count,
    CountFromZero,
    Different,
    Fraction,
    Images,
    Number,
    Section,
    Texts,
    TimeSteps,
    Width,
    refused,
)


class Calibration(Section):
    """How the thresholds of a trained network are adjusted."""

    time_steps: TimeSteps = Field(description="T for runs that are not trained for one")
    target: Fraction = Field(description="noisy-spike rate that no layer should exceed")
    step: Annotated[float, Number(above=0, most=1000)] = Field(description="rise of a layer's thresholds in one pass")
    passes: Count = Field(description="largest number of passes")
    images: Images = Field(description="training images used")


class Evaluation(Section):
    """How a trained network is evaluated."""

    time_steps: TimeSteps = Field(description="the largest T to evaluate")
    batch_size: BatchSize = Field(description="images at a time")


class MeasuredMethod(Section):
    """A method and its options, whose training step is timed."""

    method: str = Field(description="name of a method")
    variant: str | None = Field(None, description="a variant of the method")
    mapping_unit: str | None = Field(None, description="a spiking mapping unit")
    ata: bool | None = Field(None, description="adaptive threshold adjustment in training")
    options: dict[str, Any] = Field({}, description="a map from option to its value")
    time_steps: Annotated[list[TimeSteps], Different()] | None = Field(
        None, description="this method's T where they differ"
    )


class Measurement(Section):
    """How the cost of a training step is measured."""

    networks: Texts = Field(description="a list of networks")
    image_shape: Annotated[list[Width], Field(min_length=3, max_length=3)] = Field(
        description="channels, height and width of an image"
    )
    classes: Annotated[int, Field(ge=2, le=65_536)] = Field(description="number of classes")
    methods: Annotated[list[MeasuredMethod], Field(min_length=1)] = Field(
        description="a list of methods with their options"
    )
    time_steps: Annotated[list[TimeSteps], Different()] = Field(description="a list of T")
    batch_size: BatchSize = Field(description="images of a step")
    rounds: Count = Field(description="timed steps of each method")
    warmup: CountFromZero = Field(description="steps before those timed")
    precision: Precision = Field(description="floating-point format of the arithmetic")

    @model_validator(mode="after")
    def _each_method_once(self) -> Self:
        for place, entry in enumerate(self.methods):
            if entry in self.methods[:place]:
                raise refused(("methods", place), entry.as_given(), "an entry that does not stand before it")
        return self


class Inference(Section):
    """How the speed of inference is measured."""

    time_steps: Annotated[list[TimeSteps], Different()] = Field(description="a list of T")
    batch_size: BatchSize = Field(description="images at a time")
    rounds: Count = Field(description="timed passes of each method and T")
    warmup: CountFromZero = Field(description="passes before those timed")
