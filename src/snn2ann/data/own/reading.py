"""Data of one's own as the preparation takes them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from snn2ann.data.download_progress import say
from snn2ann.data.fetching import FetchedFile
from snn2ann.data.own import own_reader, own_section
from snn2ann.data.source import RawImages, Source
from snn2ann.errors import UserError


@dataclass(frozen=True)
class OwnFiles(FetchedFile):
    """The files of a data set of one's own, together."""

    def describe(self) -> dict[str, Any]:
        """Their line in the manifest."""
        return {"name": self.name, "origin": self.origin, "content": self.checksum, "fetched": self.fetched}


def own_source(spec: Mapping[str, Any]) -> tuple[Source, list[FetchedFile]]:
    """What reads data of one's own, and where they are.

    Args:
        spec: of a data set with a `kind`.

    Raises:
        UserError: they are not what the specification was made of.
    """
    name = spec["name"]
    reader = own_reader(name, own_section(spec))
    scan = reader.scan()
    if scan.content[:16] != spec["content"]:
        raise UserError(f"{reader.origin}: changed since the study was resolved; start again")
    for note in scan.notes:
        say(f"{name}: {note}")

    def read(_: Mapping[str, Path]) -> RawImages:
        parts = scan.parts
        return RawImages(reader.labels(), parts["train"], scan.class_names, reader.blocks(scan), parts["validation"])

    now = datetime.now(UTC).isoformat(timespec="seconds")
    files = OwnFiles(name, Path(spec.get("path", name)), reader.origin, f"sha256:{scan.content}", now)
    return Source(read, {}, maximum_value=scan.maximum_value, dtype=scan.dtype), [files]
