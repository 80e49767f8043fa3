"""`datasets`: what is chosen about a data set. A further kind is a class in `KINDS` and in the union."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Discriminator, Field, Tag

from snn2ann.parameters.section import Images, Number, Section, how_many

Share = Annotated[float, Number(above=0, below=1)]
Path = Annotated[str, Field(min_length=1)]
Url = Annotated[str, Field(pattern=r"^https?://[^\s/]", description="an http:// or https:// URL")]
Side = Annotated[int, Field(ge=1, le=4096)]
Sides = Annotated[
    Annotated[Side, Tag("one")] | Annotated[list[Side], Field(min_length=2, max_length=2), Tag("several")],
    Discriminator(how_many),
]
Layout = Literal["NCHW", "NHWC"]

RESIZE = "a side in pixels, or [height, width]"
LAYOUT = "where the channels stand in an image"
LABELS = "a .npy file of labels, where `path` is a .npy file"


class Split(Section):
    """How images are divided among training, validation and test."""

    validation: Share = Field(0.1, description="share of the training part that is held out")
    test: Share = Field(0.2, description="share of all images; only where there is no official test part")
    folds: Annotated[int, Field(ge=2, le=1000)] | None = Field(
        None,
        description="cut all images into so many parts in the place of `test`; that of a run's seed (modulo) is its test "
        "part, so that as many seeds test every image; only where there is no official test part",
    )
    split_seed: Annotated[int, Field(ge=0, le=2**63 - 1)] = Field(0, description="seed of every draw of the split")
    train_images: Images | None = Field(None, description="at most so many training images, or null for all")


class BuiltIn(Split):
    """A data set that the project knows by its name."""

    local: Path | None = Field(None, description="file or folder taken instead of a download, or null")
    mirrors: list[Url] | None = Field(
        None, description="http:// or https:// URLs tried before the built-in ones, or null"
    )


class Folder(Split):
    """Class folders of images."""

    kind: Literal["folder"] = Field(description="a kind of data")
    path: Path = Field(description="a folder of class folders")
    resize: Sides | None = Field(None, description=RESIZE)


class Npz(Split):
    """Images and labels in one file."""

    labels: ClassVar[None] = None

    kind: Literal["npz"] = Field(description="a kind of data")
    path: Path = Field(description="a .npz file")
    layout: Layout | None = Field(None, description=LAYOUT)
    resize: Sides | None = Field(None, description=RESIZE)


class Npy(Split):
    """Images and labels in files of their own."""

    kind: Literal["npy"] = Field(description="a kind of data")
    path: Path = Field(description="a folder of .npy files, or one with images")
    labels: Path | None = Field(None, description=LABELS)
    layout: Layout | None = Field(None, description=LAYOUT)
    resize: Sides | None = Field(None, description=RESIZE)


class Frames(Split):
    """Frames of an event camera, an image for each time step."""

    layout: ClassVar[None] = None
    resize: ClassVar[None] = None

    kind: Literal["frames"] = Field(description="a kind of data")
    path: Path = Field(description="a .npz file, a folder of .npy files, or one with frames")
    labels: Path | None = Field(None, description=LABELS)


class FromTorchvision(Split):
    """A data set of torchvision that has a download."""

    kind: Literal["torchvision"] = Field(description="a kind of data")
    class_: str = Field(alias="class", description="the name of a class of torchvision.datasets with a download")
    arguments: dict[str, str | int | float | bool] | None = Field(None, description="a map of arguments of the class")
    resize: Sides | None = Field(None, description=RESIZE)


Arrays = Npz | Npy | Frames
Own = Folder | Npz | Npy | Frames | FromTorchvision
KINDS: dict[str, type[Own]] = {
    "folder": Folder,
    "npz": Npz,
    "npy": Npy,
    "frames": Frames,
    "torchvision": FromTorchvision,
}
BUILT_IN = "built-in"


def _kind(value: Any) -> str:
    if isinstance(value, Mapping):
        return str(value["kind"]) if "kind" in value else BUILT_IN
    return str(getattr(value, "kind", BUILT_IN))


Dataset = Annotated[
    Annotated[BuiltIn, Tag(BUILT_IN)]
    | Annotated[Folder, Tag("folder")]
    | Annotated[Npz, Tag("npz")]
    | Annotated[Npy, Tag("npy")]
    | Annotated[Frames, Tag("frames")]
    | Annotated[FromTorchvision, Tag("torchvision")],
    Discriminator(_kind),
]
