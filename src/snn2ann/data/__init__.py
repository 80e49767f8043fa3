"""Data sets: their registry, and what a run's specification says of them.

This module stays light, so that a workflow can resolve a study without loading an array library.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from snn2ann.errors import UserError

if TYPE_CHECKING:
    from snn2ann.parameters.dataset import BuiltIn, Own, Split

DatasetSpec = dict[str, Any]

# Where the files come from changes nothing in the arrays: checksums see to that, or a digest of the content.
_BUILT_IN_PLACES = ("local", "mirrors")
PLACES = (*_BUILT_IN_PLACES, "path", "labels", "class", "arguments")


@dataclass(frozen=True)
class DatasetEntry:
    """What is known of a data set before any of its files is there.

    Attributes:
        source: import path, `module:name`, of the `snn2ann.data.source.Source` that reads it.
        shape: channels, height and width of an image.
        classes: number of classes.
        images: how many images the training part holds, the test part with it where there is no official one.
        test_images: how many the official test part holds; 0 where there is none with labels.
        checksums: for each file, the accepted checksums (`algorithm:hex`), the official one first.
        origin: where its files come from, for its row in docs/data.md, in Markdown.
        revision: raised by hand when a change of code alters the prepared arrays.
    """

    source: str
    shape: tuple[int, int, int]
    classes: int
    images: int
    test_images: int
    checksums: Mapping[str, tuple[str, ...]]
    origin: str
    revision: int = 1

    @property
    def official_test(self) -> bool:
        """Whether the data set comes with a labelled test part."""
        return self.test_images > 0


# The second checksum of a Fashion-MNIST file is that of Debian's package: the same stream in a gzip
# header without the file's name.
_FASHION_MNIST = {
    "train-images-idx3-ubyte.gz": (
        "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "md5:cf8536b0aa1a6ac5fa3f23001093305c",
    ),
    "train-labels-idx1-ubyte.gz": (
        "md5:25c81989df183df01b3e8a0aad5dffbe",
        "md5:10bea18fdb374794d4bb42e356e600c9",
    ),
    "t10k-images-idx3-ubyte.gz": (
        "md5:bef4ecab320f06d8554ea6380940ec79",
        "md5:f78720b4224f21cce2f2ccf2d7a94c9a",
    ),
    "t10k-labels-idx1-ubyte.gz": (
        "md5:bb300cfdad3c16e7a12a480ee83cd310",
        "md5:0d30e22e447f3c33dab9ed536400ac01",
    ),
}
_DIGITS = {"digits.csv.gz": ("sha256:09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22",)}
_CIFAR10 = {"cifar-10-python.tar.gz": ("md5:c58f30108f718f92721af3b95e74349a",)}
_CIFAR100 = {"cifar-100-python.tar.gz": ("md5:eb9058c3a382ffc7106e4002c42a8d85",)}
_TINY_IMAGENET = {"tiny-imagenet-200.zip": ("md5:90528d7ca1a48142e341f4ef8d21d0de",)}

DATASETS: dict[str, DatasetEntry] = {
    "digits": DatasetEntry(
        "snn2ann.data.digits:DIGITS", (1, 8, 8), 10, 1797, 0, _DIGITS, "scikit-learn's wheel, no download"
    ),
    "fashion-mnist": DatasetEntry(
        "snn2ann.data.fashion_mnist:FASHION_MNIST",
        (1, 28, 28),
        10,
        60_000,
        10_000,
        _FASHION_MNIST,
        "the package `dataset-fashion-mnist` of Debian and Ubuntu if installed, else 31 MB",
    ),
    "cifar10": DatasetEntry("snn2ann.data.cifar:CIFAR10", (3, 32, 32), 10, 50_000, 10_000, _CIFAR10, "170 MB"),
    "cifar100": DatasetEntry("snn2ann.data.cifar:CIFAR100", (3, 32, 32), 100, 50_000, 10_000, _CIFAR100, "169 MB"),
    "tiny-imagenet": DatasetEntry(
        "snn2ann.data.tiny_imagenet:TINY_IMAGENET", (3, 64, 64), 200, 100_000, 10_000, _TINY_IMAGENET, "248 MB"
    ),
}


def dataset_entry(name: str) -> DatasetEntry:
    """The registry's entry of `name`.

    Raises:
        UserError: there is no such data set.
    """
    if name not in DATASETS:
        raise UserError(f"unknown data set {name!r}: one of {', '.join(DATASETS)} was expected")
    return DATASETS[name]


def dataset_section(name: str, parameters: Mapping[str, Any], key: str) -> "BuiltIn | Own":
    """Give types to the section of a data set, without looking at its images.

    Args:
        name: a name of `DATASETS`, or of data of one's own.
        parameters: the section `datasets: <name>:` of `params.yaml`, in which a study's own values are.
        key: where it stands, for messages.

    Raises:
        UserError: unknown name, kind or key, wrong type, or value out of range.
    """
    from snn2ann.parameters import choose
    from snn2ann.parameters.dataset import KINDS, BuiltIn
    from snn2ann.parameters.whole import part_of

    if "kind" not in parameters:
        dataset_entry(name)
        return part_of(BuiltIn, parameters, key)
    if name in DATASETS:
        raise UserError(f"{key}.kind: {name} is a data set that is built in; give yours another name")
    return part_of(KINDS[choose(f"{key}.kind", parameters["kind"], KINDS)], parameters, key)


def dataset_spec(
    name: str, parameters: "Mapping[str, Any] | BuiltIn | Own", key: str = "", seed: int = 0
) -> DatasetSpec:
    """Resolve the parameters of a data set into the `dataset` part of a run's specification.

    Args:
        name: a name of `DATASETS`, or of data of one's own.
        parameters: what `dataset_section` gives, or takes.
        key: where they stand, for messages; else `datasets.<name>`.
        seed: of the run, which chooses its test part where the data are cut into folds.

    Returns:
        `name`, `digest`, `shape`, `classes`, every parameter that changes the prepared arrays, and
        the keys of `PLACES` that were given. The digest (8 hex digits) covers the declared
        checksums, the revision and those parameters, never `PLACES`: a run is named by `name` and
        `digest` alone.

    Raises:
        UserError: as `dataset_section`; or a share that leaves a part without images.
    """
    from snn2ann.parameters import digest
    from snn2ann.parameters.dataset import BuiltIn

    key = key or f"datasets.{name}"
    section = dataset_section(name, parameters, key) if isinstance(parameters, Mapping) else parameters
    if not isinstance(section, BuiltIn):
        return _own_spec(name, section, key, seed)
    entry = dataset_entry(name)
    parts = {"train": entry.images, "validation": 0, "test": entry.test_images}
    resolved = _resolve(section, key, entry.classes, parts, seed)
    identity = {
        "name": name,
        "checksums": {file: list(sums) for file, sums in entry.checksums.items()},
        "revision": entry.revision,
        **resolved,
    }
    places = {place: value for place in _BUILT_IN_PLACES if (value := getattr(section, place))}
    known = {"shape": list(entry.shape), "classes": entry.classes}
    return {"name": name, "digest": digest(identity), **known, **resolved, **places}


def _own_spec(name: str, section: "Own", key: str, seed: int) -> DatasetSpec:
    """Likewise of data of one's own, whose content is hashed here; `docs/your-images.md` has the keys."""
    from snn2ann.data.own import REVISION, own_keys, own_scan
    from snn2ann.parameters import digest

    options, scan = own_keys(section), own_scan(name, section)
    resolved = _resolve(section, key, len(scan.class_names), scan.parts, seed)
    known: dict[str, Any] = {
        "kind": section.kind,
        "content": scan.content[:16],
        "shape": scan.shape,
        "classes": len(scan.class_names),
        **({"frames": scan.frames} if scan.frames else {}),
        "parts": scan.parts,
        **{each: options[each] for each in ("resize", "layout") if each in options},
        **resolved,
    }
    places = {each: value for each, value in options.items() if each in PLACES}
    return {"name": name, "digest": digest({"name": name, "revision": REVISION, **known}), **known, **places}


def _resolve(section: "Split", key: str, classes: int, parts: Mapping[str, int], seed: int) -> dict[str, Any]:
    """The parameters that change the prepared arrays, with their defaults filled in.

    Args:
        section: of the data set; its values are in their ranges.
        key: where it stands.
        classes: how many.
        parts: images of the training, validation and test part that the data come with.
        seed: of the run.
    """
    resolved: dict[str, Any] = {}
    for name in ("validation", "split_seed", "train_images", "test"):
        if not parts.get(name):
            resolved[name] = getattr(section, name)
        elif name in section.model_fields_set:
            raise UserError(f"{key}.{name}: not allowed, since the data have a {name} part of their own")
    if section.folds is not None:
        if parts.get("test"):
            expected = "null: only data without a test part of their own are cut into folds"
            raise _wrong(f"{key}.folds", section.folds, expected)
        del resolved["test"]
        resolved |= {"folds": section.folds, "fold": seed % section.folds}
    _refuse_empty_parts(resolved, key, parts["train"])
    images = resolved["train_images"]
    if images is not None and images < classes:
        raise _wrong(f"{key}.train_images", images, f"null, or at least {classes}, one image a class")
    return resolved


def _refuse_empty_parts(shares: Mapping[str, Any], key: str, images: int) -> None:
    """Refuse shares of which it is known that they leave a part without images, as `splits.split_indices` takes them."""
    if sum(shares.get(name, 0) for name in ("validation", "test")) >= 1:
        raise _wrong(f"{key}.validation", shares["validation"], "validation + test below 1")
    for name in ("test", "validation"):
        if name in shares:
            taken = round(shares[name] * images)
            if not 0 < taken < images:
                raise _wrong(f"{key}.{name}", shares[name], f"a share that is neither none nor all of {images} images")
            images -= taken


def _wrong(key: str, value: Any, expected: str) -> UserError:
    return UserError(f"{key}: {value!r} is not allowed; expected {expected}")
