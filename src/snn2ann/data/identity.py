"""Whether a file is the one that was declared, and in which way it is not."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path

from snn2ann.errors import UserError


@dataclass(frozen=True)
class Identity:
    """A declared file.

    Attributes:
        name: its name.
        checksums: accepted checksums, `algorithm:hex`, the official one first.
        size: size of the official file in bytes.
    """

    name: str
    checksums: Sequence[str]
    size: int

    def describe(self) -> str:
        """The file in words for a message."""
        return f"{self.name} ({self.size:,} bytes, {self.checksums[0]})"

    def matches(self, path: Path) -> bool:
        """Whether one of the accepted checksums is that of the file at `path`."""
        for algorithm in {checksum.partition(":")[0] for checksum in self.checksums}:
            try:
                with path.open("rb") as file:
                    digest = file_digest(file, algorithm).hexdigest()
            except OSError as error:
                raise UserError(f"{path}: cannot be read ({error.strerror}); mend that and start again") from error
            if f"{algorithm}:{digest}" in self.checksums:
                return True
        return False

    def defect(self, path: Path) -> str | None:
        """None where `path` is the declared file, else in words what is wrong with it."""
        if self.matches(path):
            return None
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(512)
        if not start:
            return "an empty file"
        if start.lstrip()[:1] == b"<":
            return "a web page in the place of the file (a login or error page?)"
        if not self.is_kind(path):
            return f"not a {Path(self.name).suffix} file"
        if size < self.size:
            return f"truncated ({size:,} of {self.size:,} bytes), or another file"
        return "a wrong checksum (damaged, or another file)"

    def is_kind(self, path: Path) -> bool:
        """Whether the first bytes are those of the type that the name says."""
        start = _FIRST_BYTES[Path(self.name).suffix]
        with path.open("rb") as file:
            return file.read(len(start)) == start


_FIRST_BYTES = {".gz": b"\x1f\x8b", ".zip": b"PK\x03\x04"}
