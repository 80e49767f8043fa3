"""`recipes`: how a network is trained."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from snn2ann.parameters.section import BatchSize, Count, Different, Number, Probability, Section, refused

Precision = Literal["fp32", "tf32", "bf16"]


class OneCycle(Section):
    """The learning rate rises to its peak and falls to nothing."""

    kind: Literal["one-cycle"] = Field(description="kind of schedule")
    warmup: Annotated[float, Number(above=0, below=1)] = Field(
        description="share of the steps in which the learning rate rises"
    )


class MultiStep(Section):
    """The learning rate is multiplied at milestones."""

    kind: Literal["multi-step"] = Field(description="kind of schedule")
    milestones: Annotated[list[Count], Different()] = Field(
        description="epochs after which the learning rate is multiplied"
    )
    gamma: Annotated[float, Number(above=0, most=1000)] = Field(description="what the learning rate is multiplied by")


class AugmentationOptions(Section):
    """What is done to training images."""

    crop_padding: Annotated[int, Field(ge=0, le=1024)] = Field(description="pixels of padding before a random crop")
    horizontal_flip: bool = Field(description="random horizontal flips")


class Normalisation(Section):
    """What is taken off images, and what they are divided by."""

    mean: Annotated[list[Annotated[float, Number(least=-1000, most=1000)]], Field(min_length=1)] = Field(
        description="mean of each channel as a fraction of full intensity"
    )
    std: Annotated[list[Annotated[float, Number(above=0, most=1000)]], Field(min_length=1)] = Field(
        description="standard deviation of each channel as a fraction of full intensity"
    )

    @model_validator(mode="after")
    def _one_of_each_channel(self) -> Self:
        if len(self.std) != len(self.mean):
            raise refused("std", self.std, f"as many numbers as mean has, {len(self.mean)}: one a channel")
        return self


class Recipe(Section):
    """How a network is trained; the same for every method of a study."""

    inherit: str | None = Field(None, description="name of another recipe, whose values hold where none stand here")
    epochs: Count = Field(description="passes over the training images")
    batch_size: BatchSize = Field(description="images of a step")
    optimizer: Literal["adam", "adamw", "sgd"] = Field(description="optimiser")
    learning_rate: Annotated[float, Number(above=0, most=1000)] = Field(description="learning rate")
    weight_decay: Annotated[float, Number(least=0, most=1000)] = Field(description="weight decay")
    schedule: OneCycle | MultiStep = Field(description="how the learning rate changes", discriminator="kind")
    micro_batches: Count | None = Field(
        None,
        description="parts in which a step's batch is run one after another, where it does not fit into memory at once: "
        "gradients are those of the whole batch, BatchNorm's statistics and ATA are each part's; else 1",
    )
    cuda_graph: bool = Field(
        False,
        description="whether a GPU is given each step as one CUDA graph, which costs the host next to nothing; "
        "on a CPU the same step is run operation by operation",
    )
    label_smoothing: Probability = Field(description="share of the target that all classes divide among them")
    augmentation: AugmentationOptions = Field(description="what is done to training images")
    normalisation: Normalisation | None = Field(
        description="mean and std of each channel, or null for those of the training images"
    )
    select: Literal["best", "last", "average"] = Field(
        "best",
        description="whose weights are evaluated: those of the epoch with the best validation accuracy, of the last one, or "
        "the mean of the last quarter's",
    )
    precision: Precision = Field(description="floating-point format of the arithmetic")

    @property
    def channels(self) -> dict[str, Any] | None:
        """Mean and std of each channel as a map, or None for those of the training images."""
        return self.normalisation.as_given() if self.normalisation else None

    @model_validator(mode="after")
    def _milestones_are_reached(self) -> Self:
        if isinstance(self.schedule, MultiStep) and (late := max(self.schedule.milestones)) > self.epochs:
            expected = f"epochs of the training, at most {self.epochs}: {late} is never reached"
            raise refused(("schedule", "milestones"), self.schedule.milestones, expected)
        return self
