"""Data of one's own: what `datasets: <name>: {kind: ...}` may say, and what of it a run's specification holds.

Unlike the data sets of the registry, these are read when a study is resolved: size, classes and content are theirs to say.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from snn2ann.data.own.scan import Reader, Scan, remembered
from snn2ann.errors import UserError

REVISION = 1


@dataclass(frozen=True)
class OwnKind:
    """A kind of data of one's own.

    Attributes:
        path: "module:function" of what gives a `Reader` for the resolved options.
        needed: keys that must be there, and what their values are.
        others: keys that may be there, likewise.
        frames: whether each image is one for each time step.
    """

    path: str
    needed: Mapping[str, str]
    others: Mapping[str, str]
    frames: bool = False


_LABELS = {"labels": "the path of a .npy file of labels, where `path` is a .npy file"}
_LAYOUT = {"layout": "NCHW or NHWC: where the channels stand in an image"}
_RESIZE = {"resize": "a side in pixels, or [height, width]"}

OWN_KINDS: dict[str, OwnKind] = {
    "folder": OwnKind("snn2ann.data.own.folder:reader", {"path": "a folder of class folders"}, _RESIZE),
    "npz": OwnKind("snn2ann.data.own.arrays:reader", {"path": "a .npz file"}, _LAYOUT | _RESIZE),
    "npy": OwnKind(
        "snn2ann.data.own.arrays:reader",
        {"path": "a folder of .npy files, or one with images"},
        _LABELS | _LAYOUT | _RESIZE,
    ),
    "frames": OwnKind(
        "snn2ann.data.own.arrays:reader",
        {"path": "a .npz file, a folder of .npy files, or one with frames"},
        _LABELS,
        frames=True,
    ),
    "torchvision": OwnKind(
        "snn2ann.data.own.from_torchvision:reader",
        {"class": "the name of a class of torchvision.datasets with a download"},
        {"arguments": "a map of arguments of the class"} | _RESIZE,
    ),
}


def own_options(name: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Check the keys of `datasets: <name>:` that say where data are and how they are read.

    Returns:
        The kind and its keys, without those of the split.

    Raises:
        UserError: an unknown kind or key, a missing key, or a value that is not allowed.
    """
    kind = parameters["kind"]
    if kind not in OWN_KINDS:
        raise UserError(f"datasets.{name}.kind: {kind!r} is unknown; allowed: {', '.join(OWN_KINDS)}")
    entry = OWN_KINDS[kind]
    for key, meaning in entry.needed.items():
        if parameters.get(key) is None:
            raise UserError(f"datasets.{name}.{key}: missing; kind {kind} needs {meaning}")
    given = {key: parameters[key] for key in (*entry.needed, *entry.others) if parameters.get(key) is not None}
    for key, value in given.items():
        if not _allowed(key, value):
            meaning = {**entry.needed, **entry.others}[key]
            raise UserError(f"datasets.{name}.{key}: {value!r} is not allowed; expected {meaning}")
    return {"kind": kind, **given}


def _allowed(key: str, value: Any) -> bool:
    if key == "layout":
        return value in ("NCHW", "NHWC")
    if key == "arguments":
        return isinstance(value, Mapping) and all(isinstance(each, str | int | float | bool) for each in value.values())
    if key == "resize":
        sides = value if isinstance(value, list) else [value]
        right = all(isinstance(side, int) and not isinstance(side, bool) and 1 <= side <= 4096 for side in sides)
        return right and (not isinstance(value, list) or len(value) == 2)
    return isinstance(value, str) and bool(value)


def option_names(kind: str) -> list[str]:
    """The keys of a kind, its own name among them."""
    entry = OWN_KINDS[kind]
    return ["kind", *entry.needed, *entry.others]


def own_reader(name: str, options: Mapping[str, Any]) -> Reader:
    """What reads the data that `own_options` has checked."""
    module, _, function = OWN_KINDS[options["kind"]].path.partition(":")
    made: Reader = getattr(import_module(module), function)(name, options)
    return made


def own_scan(name: str, options: Mapping[str, Any]) -> Scan:
    """What the data are: read once, then remembered for as long as no file of theirs has changed.

    Raises:
        UserError: they cannot be read, or are not what the kind says.
    """
    try:
        return remembered(own_reader(name, options), [REVISION, name, dict(options), str(Path.cwd())])
    except OSError as error:
        raise UserError(f"datasets.{name}: {error.filename or 'its files'}: {error.strerror or error}") from error
