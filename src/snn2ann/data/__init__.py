"""Data sets: their registry, and what a run's specification says of them.

This module stays light, so that a workflow can resolve a study without loading an array library.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from snn2ann.errors import UserError

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


def dataset_spec(name: str, parameters: Mapping[str, Any], seed: int = 0) -> dict[str, Any]:
    """Resolve the parameters of a data set into the `dataset` part of a run's specification.

    Args:
        name: a name of `DATASETS`.
        parameters: the section `datasets: <name>:` of `params.yaml`:
            `validation` (fraction of the training part held out, 0.1), `test` (fraction, 0.2; only
            where there is no official test part), `split_seed` (0), `train_images` (at most so
            many training images, a stratified subset; null = all), `folds` (in the place of `test`: the test part is
            that of so many folds which is the seed's), `local` (file or folder taken
            instead of a download) and `mirrors` (URLs tried before the built-in ones).
        seed: of the run; it counts where the data set has folds.

    Returns:
        `name`, `digest`, `shape`, `classes`, every parameter that changes the prepared arrays, and
        the keys of `PLACES` that were given. The digest (8 hex digits) covers the declared
        checksums, the revision and those parameters, never `PLACES`: a run is named by `name` and
        `digest` alone.

    Raises:
        UserError: unknown name or key, wrong type, or value out of range.
    """
    if "kind" in parameters:
        return _own_spec(name, parameters, seed)
    entry = dataset_entry(name)
    resolved = _resolve(name, parameters, _BUILT_IN_PLACES, entry.classes, {"test": entry.official_test}, seed)
    identity = {
        "name": name,
        "checksums": {file: list(sums) for file, sums in entry.checksums.items()},
        "revision": entry.revision,
        **resolved,
    }
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"))
    return {
        "name": name,
        "digest": hashlib.sha256(text.encode()).hexdigest()[:8],
        "shape": list(entry.shape),
        "classes": entry.classes,
        **resolved,
        **_places(name, parameters),
    }


def _own_spec(name: str, parameters: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Likewise of data of one's own, whose content is hashed here; `docs/your-images.md` has the keys."""
    from snn2ann.data.own import REVISION, option_names, own_options, own_scan

    if name in DATASETS:
        raise UserError(f"datasets.{name}.kind: {name} is a data set that is built in; give yours another name")
    options = own_options(name, parameters)
    scan = own_scan(name, options)
    official = {part: scan.parts[part] > 0 for part in ("validation", "test")}
    resolved = _resolve(name, parameters, option_names(options["kind"]), len(scan.class_names), official, seed)
    known: dict[str, Any] = {
        "kind": options["kind"],
        "content": scan.content[:16],
        "shape": scan.shape,
        "classes": len(scan.class_names),
        **({"frames": scan.frames} if scan.frames else {}),
        "parts": scan.parts,
        **{key: options[key] for key in ("resize", "layout") if key in options},
        **resolved,
    }
    text = json.dumps({"name": name, "revision": REVISION, **known}, sort_keys=True, separators=(",", ":"))
    places = {key: value for key, value in options.items() if key in PLACES}
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return {"name": name, "digest": digest, **known, **places}


def _resolve(
    name: str,
    parameters: Mapping[str, Any],
    places: Sequence[str],
    classes: int,
    official: Mapping[str, bool],
    seed: int,
) -> dict[str, Any]:
    """The parameters that change the prepared arrays, with their defaults filled in.

    Args:
        name: of the data set.
        parameters: its section.
        places: further keys that are allowed.
        classes: how many.
        official: which of the parts `validation` and `test` come with the data.
        seed: of the run, which chooses its fold.
    """
    defaults: dict[str, Any] = {"validation": 0.1, "split_seed": 0, "train_images": None, "test": 0.2}
    folds = parameters.get("folds")
    if folds is not None and (official["test"] or not _is_integer(folds, 2)):
        expected = "an integer of at least 2; only data without a test part of their own are cut into folds"
        raise _wrong(name, "folds", folds, expected)
    for part in [part for part, there in official.items() if there]:
        del defaults[part]
        if part in parameters and "kind" in places:
            raise UserError(f"datasets.{name}.{part}: not allowed, since the data have a {part} part of their own")
    allowed = sorted([*defaults, "folds", *places])
    for key in parameters:
        if key not in allowed:
            raise UserError(f"datasets.{name}.{key}: unknown key; allowed: {', '.join(allowed)}")
    resolved = {key: parameters.get(key, default) for key, default in defaults.items()}
    if folds is not None:
        del resolved["test"]
        resolved |= {"folds": folds, "fold": seed % folds}
    fractions = [key for key in ("validation", "test") if key in resolved]
    for key in fractions:
        if not isinstance(resolved[key], float) or not 0 < resolved[key] < 1:
            raise _wrong(name, key, resolved[key], "a fraction between 0 and 1 (both excluded)")
    if sum(resolved[key] for key in fractions) >= 1:
        raise _wrong(name, "validation", resolved["validation"], "validation + test below 1")
    if not _is_integer(resolved["split_seed"], 0):
        raise _wrong(name, "split_seed", resolved["split_seed"], "an integer of at least 0")
    images = resolved["train_images"]
    if images is not None and not _is_integer(images, classes):
        expected = f"null or an integer of at least {classes} (one image a class)"
        raise _wrong(name, "train_images", images, expected)
    return resolved


def _places(name: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """`local` and `mirrors`, where they were given."""
    local, mirrors = parameters.get("local"), parameters.get("mirrors")
    if local is not None and (not isinstance(local, str) or not local):
        raise _wrong(name, "local", local, "null or the path of a file or folder")
    if mirrors is not None and not (
        isinstance(mirrors, list)
        and all(isinstance(url, str) and url.startswith(("http://", "https://")) for url in mirrors)
    ):
        raise _wrong(name, "mirrors", mirrors, "null or a list of http:// or https:// URLs")
    places = {"local": local, "mirrors": mirrors}
    return {key: value for key, value in places.items() if value}


def _is_integer(value: Any, minimum: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= minimum


def _wrong(name: str, key: str, value: Any, expected: str) -> UserError:
    return UserError(f"datasets.{name}.{key}: {value!r} given, {expected} was expected")
