"""`networks`: kinds of networks and their parameters; what depends on the image is a map from its side in pixels."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Discriminator, Field, Tag, model_validator

from snn2ann.parameters.section import Probability, Section, Width, refused

Side = Annotated[str, Field(pattern="^[1-9][0-9]{0,4}$", description="an image's side in pixels")]
Initialisation = Literal["default", "kaiming"]
# Deeper ones nobody trains.
MOST_LAYERS = 2000


def _for_all_sides(value: Any) -> str:
    return "all" if isinstance(value, list) else "by side"


Blocks = list[Annotated[int, Field(ge=1)]]
BlocksBySide = Annotated[
    Annotated[Blocks, Tag("all")] | Annotated[dict[Side, Blocks], Field(min_length=1), Tag("by side")],
    Discriminator(_for_all_sides),
]
Strides = list[Annotated[int, Field(ge=1, le=64)]]
StridesBySide = Annotated[
    Annotated[Strides, Tag("all")] | Annotated[dict[Side, Strides], Field(min_length=1), Tag("by side")],
    Discriminator(_for_all_sides),
]


def _by_side(name: str, value: list[int] | dict[str, list[int]]) -> list[tuple[tuple[str, ...], str | None, list[int]]]:
    """The key, the side and the value of each part of an option; None stands for every side."""
    if isinstance(value, list):
        return [((name,), None, value)]
    return [((name, side), side, part) for side, part in value.items()]


class Vgg(Section):
    """Blocks of 3×3 convolutions, some ending in a 2×2 pooling, and a linear layer."""

    kind: Literal["vgg"] = Field(description="a kind of network")
    blocks: Annotated[list[Annotated[list[Width], Field(min_length=1)]], Field(min_length=1)] = Field(
        description="the channels of the convolutions, a list for each block"
    )
    pooled_blocks: BlocksBySide = Field(
        description="the blocks, counted from 1, that end in pooling, or a map from the image's side to them"
    )
    dropout: list[Probability] = Field(description="probabilities, one for each block")
    pooling: Literal["max", "average"] = Field(
        "max", description="how these blocks end: the largest of 2×2, or their mean"
    )
    initialisation: Initialisation = Field(description="start of the weights")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if len(self.dropout) != len(self.blocks):
            raise refused("dropout", self.dropout, f"{len(self.blocks)} probabilities, one for each block")
        if sum(map(len, self.blocks)) > MOST_LAYERS:
            raise refused("blocks", "...", f"at most {MOST_LAYERS} convolutions")
        for key, side, pooled in _by_side("pooled_blocks", self.pooled_blocks):
            if len(set(pooled)) < len(pooled) or max(pooled, default=0) > len(self.blocks):
                raise refused(key, pooled, f"different blocks, counted from 1 to {len(self.blocks)}")
            if side is not None and int(side) >> len(pooled) < 1:
                most = int(side).bit_length() - 1
                raise refused(key, pooled, f"at most {most} of them: further pooling leaves nothing of {side} pixels")
        return self


class ResNet(Section):
    """A stem, stages of basic blocks of two 3×3 convolutions, and a linear layer."""

    kind: Literal["resnet"] = Field(description="a kind of network")
    channels: Annotated[list[Width], Field(min_length=1)] = Field(
        description="channels of the stem, then of each stage"
    )
    strides: StridesBySide = Field(
        description="the strides of the stem and of each stage, or a map from the image's side to them"
    )
    blocks_per_stage: Annotated[int, Field(ge=1, le=500)] = Field(description="blocks of a stage")
    dropout: Probability = Field(description="a probability")
    initialisation: Initialisation = Field(description="start of the weights")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if 2 * self.blocks_per_stage * (len(self.channels) - 1) > MOST_LAYERS:
            raise refused("blocks_per_stage", self.blocks_per_stage, f"at most {MOST_LAYERS} convolutions in all")
        for key, _, strides in _by_side("strides", self.strides):
            if len(strides) != len(self.channels):
                expected = f"{len(self.channels)} strides, one for the stem and each stage that channels names"
                raise refused(key, strides, expected)
        return self


class Torchvision(Section):
    """A torchvision classifier; further keys are its builder's own arguments."""

    model_config = ConfigDict(extra="allow")

    kind: Literal["torchvision"] = Field(description="a kind of network")
    name: str = Field(description="the name of a torchvision model, such as vgg11_bn")
    stem: Literal["own", "small"] = Field("own", description="its own first convolution, or a 3×3 one for small images")


class Module(Section):
    """A network of one's own; further keys are the function's own arguments."""

    model_config = ConfigDict(extra="allow")

    kind: Literal["module"] = Field(description="a kind of network")
    path: str = Field(
        pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$",
        description="package.file:function, which makes the network",
    )


KINDS: dict[str, type[Section]] = {"vgg": Vgg, "resnet": ResNet, "torchvision": Torchvision, "module": Module}


class OtherNetwork(Section):
    """A kind that has no class here: its parameters pass as they are, and are found wrong where it is built."""

    model_config = ConfigDict(extra="allow")

    kind: str = Field(description="a kind of network", json_schema_extra={"not": {"enum": list(KINDS)}})


def _kind(value: Any) -> str:
    kind = value.get("kind") if isinstance(value, Mapping) else getattr(value, "kind", None)
    return kind if isinstance(kind, str) and kind in KINDS else "other"


Network = Annotated[
    Annotated[Vgg, Tag("vgg")]
    | Annotated[ResNet, Tag("resnet")]
    | Annotated[Torchvision, Tag("torchvision")]
    | Annotated[Module, Tag("module")]
    | Annotated[OtherNetwork, Tag("other")],
    Discriminator(_kind),
]
