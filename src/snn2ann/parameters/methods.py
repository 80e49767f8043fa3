"""The options of methods that have a class of their own; the paper's are `snn2ann.options.CouplingOptions`."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from snn2ann.errors import UserError
from snn2ann.parameters.section import Images, NotNegative, Number, Positive, Probability, Section, refused
from snn2ann.parameters.whole import part_of

# 1 would leave nothing of a membrane.
TimeConstant = Annotated[float, Number(above=1, most=1_000_000)]


class MethodOptions(Section):
    """The options of a method, each with a default."""

    @classmethod
    def of(cls, options: Mapping[str, Any], key: str = "") -> Self:
        """Give types to options, some or all; `key` is where they stand in params.yaml, for messages.

        Raises:
            UserError: one that the method does not have, or a value that is not allowed.
        """
        try:
            return part_of(cls, options, key)
        except UserError as error:
            raise error if key else UserError(f"option {error}") from None


class NoOptions(MethodOptions):
    """A method without options."""


class ThresholdOptions(MethodOptions):
    """Of neurons with one fixed threshold."""

    threshold: Positive = Field(1.0, description="threshold of every neuron, in the current's unit")


class SurrogateOptions(ThresholdOptions):
    """Of a surrogate gradient at every step."""

    surrogate: Literal["atan", "sigmoid", "triangle"] = Field("atan", description="shape of the surrogate gradient")
    surrogate_width: Positive = Field(
        2.0, description="width of the surrogate gradient, SpikingJelly's alpha: larger is narrower"
    )


class MembraneOptions(SurrogateOptions):
    """Of a surrogate gradient, and of membranes that may leak and keep what is above the threshold."""

    tau: TimeConstant | None = Field(
        None, description="time constant of membranes that leak: 1 - 1/tau is left after a step; else they do not"
    )
    reset: Literal["subtract"] | None = Field(
        None, description="`subtract`: the threshold is taken off a membrane that fired; else it is set to 0"
    )

    @property
    def reset_to(self) -> float | None:
        """What a membrane that fired is set to; None where the threshold is taken off."""
        return None if self.reset == "subtract" else 0.0


class ResetOptions(MembraneOptions):
    """Of a surrogate gradient that may go through the reset."""

    detach_reset: bool = Field(True, description="whether the reset is left out of the gradient")


class ThroughTimeOptions(ResetOptions):
    """Of spike-based backpropagation through time."""

    spike_penalty: NotNegative = Field(
        0.0, description="what a spike a neuron, on the mean of neurons and images, adds to the loss"
    )
    loss: Literal["tet"] | None = Field(
        None,
        description="`tet`: the mean of the losses of every step's logits (temporal efficient training, Deng et al. 2022); "
        "else that of their mean",
    )
    tet_weight: Probability | None = Field(
        None, description="share of the distance from the logits to 1 in TET's loss; 0.001 where it is not said"
    )
    normalisation: Literal["tdbn"] | None = Field(
        None,
        description="`tdbn`: BatchNorm's scale starts at the threshold, divided by √2 where a shortcut is added "
        "(threshold-dependent BatchNorm, Zheng et al. 2021); else at 1",
    )

    @model_validator(mode="after")
    def _weight_is_of_tet(self) -> Self:
        if self.tet_weight is not None and self.loss != "tet":
            raise refused("tet_weight", self.tet_weight, "nothing, for it is a part of `loss: tet`")
        return self


class LeakyOptions(SurrogateOptions):
    """Of online training through time, whose neurons leak."""

    surrogate: Literal["atan", "sigmoid", "triangle"] = Field("sigmoid", description="shape of the surrogate gradient")
    surrogate_width: Positive = Field(
        4.0, description="width of the surrogate gradient, SpikingJelly's alpha: larger is narrower"
    )
    tau: TimeConstant = Field(
        2.0, description="time constant of membrane and trace: 1 - 1/tau of them is left after a step"
    )


class QcfsOptions(MethodOptions):
    """Of QCFS conversion."""

    levels: Annotated[int, Field(ge=1, le=4096)] = Field(8, description="L, to which activations are quantised")
    ceiling: Positive = Field(8.0, description="λ before training")


class ConversionOptions(MethodOptions):
    """Of ANN-to-SNN conversion."""

    percentile: Annotated[float, Number(above=0, most=100)] = Field(
        99.9, description="percentile of a layer's activations that becomes its threshold"
    )
    images: Images = Field(1024, description="training images to look at")
    thresholds_for: Annotated[int, Field(ge=1, le=4096)] | None = Field(
        None,
        description="T for which thresholds are chosen by channel, as `couple(calibrate=...)` does, with max pooling of the "
        "charge; null for the percentile",
    )
    reset: Literal["zero", "subtract"] = Field("subtract", description="membrane after a spike")
    membrane_start: Annotated[float, Number(least=0, most=1)] = Field(
        0.5, description="membrane before the first step, as a fraction of the threshold"
    )
