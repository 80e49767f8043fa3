"""Data of one's own: what reads each kind, and what it found.

Unlike the data sets of the registry, these are read when a study is resolved: size, classes and content are theirs to say.
"""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snn2ann.data.own.scan import Reader, Scan, remembered
from snn2ann.errors import UserError

if TYPE_CHECKING:
    from snn2ann.parameters.dataset import Own

REVISION = 1

READERS = {
    "folder": "snn2ann.data.own.folder:reader",
    "npz": "snn2ann.data.own.arrays:ArrayReader",
    "npy": "snn2ann.data.own.arrays:ArrayReader",
    "frames": "snn2ann.data.own.arrays:ArrayReader",
    "torchvision": "snn2ann.data.own.from_torchvision:reader",
}
"""By kind, "module:name" of what makes a `Reader` of a data set's name and its section."""


def own_keys(data: "Own") -> dict[str, Any]:
    """The keys of a section that say where data are and how they are read, as they were written; those of the split not."""
    from snn2ann.parameters.dataset import Split

    given = data.as_given()
    return {key: value for key, value in given.items() if key not in Split.model_fields and value is not None}


def own_section(spec: Mapping[str, Any]) -> "Own":
    """The section of data of which a run's specification tells."""
    from snn2ann.parameters.dataset import KINDS, Split
    from snn2ann.parameters.whole import part_of

    kind = KINDS[spec["kind"]]
    names = [field.alias or name for name, field in kind.model_fields.items() if name not in Split.model_fields]
    return part_of(kind, {name: spec[name] for name in names if name in spec}, f"datasets.{spec['name']}")


def own_reader(name: str, data: "Own") -> Reader:
    """What reads the data that a section describes."""
    module, _, maker = READERS[data.kind].partition(":")
    made: Reader = getattr(import_module(module), maker)(name, data)
    return made


def own_scan(name: str, data: "Own") -> Scan:
    """What the data are: read once, then remembered for as long as no file of theirs has changed.

    Raises:
        UserError: they cannot be read, or are not what the kind says.
    """
    try:
        return remembered(own_reader(name, data), [REVISION, name, own_keys(data), str(Path.cwd())])
    except OSError as error:
        raise UserError(f"datasets.{name}: {error.filename or 'its files'}: {error.strerror or error}") from error
