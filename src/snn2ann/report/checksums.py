"""Digests of published files, as `sha256sum` writes and checks them."""

from pathlib import Path

from snn2ann.files import sha256_lines, sha256_of, write_text

SUMS = "SHA256SUMS"
"""Of every other file of a published study."""
RUNS = "runs.sha256"
"""Of the files that training a study's runs again writes with the same bytes, on a machine that rounds alike."""
RECORDS = "records.tar.xz"
"""All that a study's tables and verdicts are made from; `snn2ann unpack` puts it where the workflow looks."""


def write_checksums(folder: Path) -> None:
    """Write `SUMS` of all files of a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != SUMS)
    write_text(folder / SUMS, sha256_lines({path.relative_to(folder).as_posix(): sha256_of(path) for path in files}))
