"""Every file of a data set, taken from where it is nearest, and verified."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from snn2ann.data import DatasetEntry
from snn2ann.data.download import download
from snn2ann.data.download_progress import say
from snn2ann.data.identity import Identity
from snn2ann.data.source import Source
from snn2ann.errors import UserError
from snn2ann.files import read_json, sha256_of, write_json


@dataclass(frozen=True)
class FetchedFile:
    """A verified file and where it came from."""

    name: str
    path: Path
    origin: str
    checksum: str
    fetched: str

    def describe(self) -> dict[str, Any]:
        """Its line in the manifest: name, origin, declared checksum, size, SHA-256, date."""
        return {
            "name": self.name,
            "origin": self.origin,
            "checksum": self.checksum,
            "size": self.path.stat().st_size,
            "sha256": sha256_of(self.path),
            "fetched": self.fetched,
        }


def fetch(entry: DatasetEntry, source: Source, spec: Mapping[str, Any], folder: Path) -> list[FetchedFile]:
    """Find or download every file of a data set.

    Looked at in turn: the `local` file or folder of the parameters (nothing else then), `folder`
    with what was downloaded before, folders where a package of this system may have put the files,
    then the mirrors.

    Args:
        entry: the registry's entry.
        source: its source.
        spec: the resolved parameters, for `local` and `mirrors`.
        folder: where downloads are kept.

    Raises:
        UserError: a file is not the declared one, or is nowhere to be had.
    """
    mirrors = [*spec.get("mirrors", []), *source.mirrors]
    found = []
    for name, checksums in entry.checksums.items():
        identity = Identity(name, checksums, source.sizes[name])
        if "local" in spec:
            file = _local(identity, Path(spec["local"]).expanduser(), spec["name"])
        else:
            file = _nearest(identity, [folder, *source.installed()]) or _downloaded(
                identity, mirrors, folder, spec["name"]
            )
        found.append(file)
    return found


def _local(identity: Identity, place: Path, dataset: str) -> FetchedFile:
    path = place / identity.name if place.is_dir() else place
    if not path.is_file():
        raise UserError(
            f"datasets.{dataset}.local: {path} is not there; {identity.describe()} was expected at that path"
        )
    cause = identity.defect(path)
    if cause is not None:
        raise UserError(f"{path}: {cause}; {identity.describe()} was expected")
    return _fetched(identity, path)


def _nearest(identity: Identity, folders: list[Path]) -> FetchedFile | None:
    for folder in folders:
        path = folder / identity.name
        if not path.is_file():
            continue
        cause = identity.defect(path)
        if cause is None:
            return _fetched(identity, path)
        say(f"{path}: {cause}; looking elsewhere")
    return None


def _downloaded(identity: Identity, mirrors: list[str], folder: Path, dataset: str) -> FetchedFile:
    path = folder / identity.name
    url = download(identity, mirrors, path, dataset)
    write_json(_origin_file(path), {"origin": url, "fetched": _now()})
    return _fetched(identity, path)


def _fetched(identity: Identity, path: Path) -> FetchedFile:
    origin = {"origin": path.resolve().as_uri(), "fetched": _now()}
    if _origin_file(path).is_file():
        origin = read_json(_origin_file(path))
    return FetchedFile(identity.name, path, checksum=identity.checksums[0], **origin)


def _origin_file(path: Path) -> Path:
    """Remembers URL and date of a download for the manifests of later preparations."""
    return path.with_name(path.name + ".origin.json")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
