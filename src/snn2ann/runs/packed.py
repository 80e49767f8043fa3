"""Records of runs in one file: what tables, figures and verdicts are made from, and digests in the place of weights."""

import io
import lzma
import re
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path

from snn2ann.errors import UserError
from snn2ann.files import read_sha256_lines, sha256_lines, sha256_of, write_bytes
from snn2ann.runs.folder import RunFolder, compared_files

RUNS, MEASUREMENTS = "runs", "measurements"
_RUN = RunFolder(Path())
# An evaluation is what a workflow looks for, so it comes last.
_RECORDS = (
    _RUN.spec,
    _RUN.snapshot,
    _RUN.history,
    _RUN.layers,
    _RUN.training,
    _RUN.calibration("*"),
    _RUN.evaluation("*"),
)
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
# More is no record of a run.
_LARGEST = 64 << 20


def digests_of(run: RunFolder) -> dict[str, str]:
    """SHA-256, by path in the folder, of what making the run again makes with the same bytes; also where it is elsewhere."""
    if run.records_only:
        return read_sha256_lines(run.digests.read_text(encoding="utf-8"))
    return {str(path.relative_to(run.path)): sha256_of(path) for path in compared_files(run) if path.is_file()}


def refuse_records_only(run: RunFolder) -> None:
    """Refuse to go on with a run whose weights are elsewhere.

    Raises:
        UserError: they are.
    """
    if run.records_only:
        raise UserError(
            f"{run.path}: has records only, its weights stayed where it was made; move it away and `snakemake` makes it here"
        )


def pack(results: Path, runs: Sequence[str], measurements: Sequence[str], output: Path) -> list[str]:
    """Put the records of finished runs, and measurements, into a file; the same records make the same bytes.

    Args:
        results: folder of runs and measurements.
        runs: names; those that are not finished are left out.
        measurements: names of files; those that are not there are left out.
        output: a .tar.xz file, written over.

    Returns:
        The names of the runs that are in it.

    Raises:
        UserError: none is finished, or the output has another ending.
    """
    if not output.name.endswith(".tar.xz"):
        raise UserError(f"{output}: its format is not known; name a file that ends in .tar.xz")
    folders = [RunFolder(results / RUNS / name) for name in runs]
    finished = [run for run in folders if run.trained and run.evaluations()]
    if not finished:
        raise UserError(f"{results / RUNS}: no run of the study is finished, so there is nothing to pack")
    files = {name: content for run in finished for name, content in _records(run)}
    for name in measurements:
        if (path := results / MEASUREMENTS / name).exists():
            files[f"{MEASUREMENTS}/{name}"] = path.read_bytes()
    write_bytes(output, _archive(files))
    return [run.name for run in finished]


def _records(run: RunFolder) -> Iterator[tuple[str, bytes]]:
    place = f"{RUNS}/{run.name}"
    yield f"{place}/{_RUN.digests}", sha256_lines(digests_of(run)).encode()
    for pattern in _RECORDS:
        for path in sorted(run.path.glob(str(pattern))):
            yield f"{place}/{path.name}", path.read_bytes()


def _archive(files: Mapping[str, bytes]) -> bytes:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return lzma.compress(whole.getvalue(), preset=9)


def unpack(archive: Path, results: Path) -> list[str]:
    """Put packed records where the workflow looks for them; what is there with the same bytes stays.

    Args:
        archive: a file of `pack`.
        results: folder of runs and measurements.

    Returns:
        The names of the runs that were not there.

    Raises:
        UserError: no such archive, or a file of it is there and is another; nothing is unpacked then.
    """
    files = dict(_members(archive))
    here = {name: results / name for name in files}
    runs = {path.parent for name, path in here.items() if name.startswith(f"{RUNS}/")}
    new = sorted(path for path in runs if not path.exists())
    if other := sorted({_whose(path) for name, path in here.items() if _differs(path, files[name])}):
        more = f" and {len(other) - 1} more" if len(other) > 1 else ""
        raise UserError(
            f"{other[0]}{more}: there already, made otherwise than in {archive}; nothing was unpacked; move "
            f"{'them' if more else 'it'} away to take what the archive has"
        )
    for name, path in here.items():
        # A run that was made here has its weights.
        if not path.exists() and (path.name != str(_RUN.digests) or path.parent in new):
            write_bytes(path, files[name])
    return [path.name for path in new]


def _whose(path: Path) -> str:
    return str(path if path.suffix == ".csv" and path.parent.name == MEASUREMENTS else path.parent)


def _differs(path: Path, content: bytes) -> bool:
    """Whether a file, or a training that is under way, is in the place of another."""
    if path.exists():
        return path.read_bytes() != content
    run = RunFolder(path.parent)
    return path.name == str(_RUN.training) and (run.checkpoint.exists() or run.live.path.exists())


def _members(archive: Path) -> Iterator[tuple[str, bytes]]:
    try:
        with tarfile.open(archive, "r:xz") as opened:
            for member in opened:
                if not member.isfile() or member.size > _LARGEST or not _is_record(member.name):
                    raise UserError(
                        f"{archive}: holds {member.name}, which is no record of a run; nothing was unpacked"
                    )
                content = opened.extractfile(member)
                assert content is not None
                yield member.name, content.read()
    except (OSError, EOFError, tarfile.TarError, lzma.LZMAError) as error:
        raise UserError(f"{archive}: cannot be read as packed records ({error}); fetch or pack it again") from error


def _is_record(name: str) -> bool:
    kind, *parts = name.split("/")
    if not all(_NAME.fullmatch(part) for part in parts):
        return False
    if kind == MEASUREMENTS:
        return len(parts) == 1 and name.endswith(".csv")
    return kind == RUNS and len(parts) == 2 and any(fnmatch(parts[1], str(each)) for each in (*_RECORDS, _RUN.digests))
