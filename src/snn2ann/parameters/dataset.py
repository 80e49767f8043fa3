"""`datasets`: what is chosen about a data set. A further kind is a class in `KINDS` and in the union."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import ConfigDict, Discriminator, Field, Tag

from snn2ann.parameters.section import Images, Number, Section

Share = Annotated[float, Number(above=0, below=1)]


class BuiltIn(Section):
    """A data set that the project knows by its name."""

    validation: Share = Field(0.1, description="share of the training part that is held out")
    test: Share = Field(0.2, description="share of all images; only where there is no official test part")
    folds: Annotated[int, Field(ge=2, le=1000)] | None = Field(
        None,
        description="cut all images into so many parts in the place of `test`; that of a run's seed (modulo) is its test "
        "part, so that as many seeds test every image; only where there is no official test part",
    )
    split_seed: Annotated[int, Field(ge=0, le=2**63 - 1)] = Field(0, description="seed of every draw of the split")
    train_images: Images | None = Field(None, description="at most so many training images, or null for all")
    local: str | None = Field(None, description="file or folder taken instead of a download, or null")
    mirrors: list[str] | None = Field(
        None, description="http:// or https:// URLs tried before the built-in ones, or null"
    )


class OtherDataset(Section):
    """A kind that has no class here: its own parameters are checked where its data are resolved."""

    model_config = ConfigDict(extra="allow")

    kind: str = Field(description="a kind of data set")


def _kind(value: Any) -> str:
    named = "kind" in value if isinstance(value, Mapping) else hasattr(value, "kind")
    return "other" if named else "built-in"


Dataset = Annotated[Annotated[BuiltIn, Tag("built-in")] | Annotated[OtherDataset, Tag("other")], Discriminator(_kind)]
