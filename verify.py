"""What can be checked of this artifact with Python alone, nothing installed: `make verify`, or `python3 verify.py`.

- the lock: every package has one version and the digests of its files, and is what `.venv` holds, if that is there;
- data: downloads are the declared ones, prepared arrays are those of their manifests;
- reference runs: every file in docs/reference is the one that was published, and runs that are here are compared with them.

Prints what it found, one line for each thing that is wrong, and ends with 1 where something is.
"""

import re
import sys
import tomllib
from collections.abc import Iterator
from hashlib import file_digest
from json import loads
from pathlib import Path

ROOT = Path(__file__).resolve().parent
SUMS = "SHA256SUMS"
RUNS = "runs.sha256"
ENTRY = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)(\[[^]]*\])?==(?P<version>[^\s;\\]+)")
# Not of the lock: the package itself, and what makes and fills an environment.
OWN = {"snn2ann", "pip"}


def main() -> int:
    """Check everything; the number of problems decides the status."""
    wrong = 0
    for title, check in (("lock", lock), ("data", data), ("reference runs", references)):
        lines = list(check(ROOT))
        problems = [line[1:] for line in lines if line.startswith("!")]
        print(f"{title}: {'; '.join(line for line in lines if not line.startswith('!'))}; {len(problems)} problems")
        for problem in problems:
            print(f"  {problem}")
        wrong += len(problems)
    return 1 if wrong else 0


def lock(root: Path) -> Iterator[str]:
    """Say what the lock is; a line that begins with ! is a problem."""
    path = root / "requirements.lock"
    versions, hashes = _locked(path.read_text(encoding="utf-8"))
    for name in versions:
        if not hashes[name]:
            yield f"!{path.name}: {name} has no digest; `make lock`"
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["workflow"]]
    for requirement in wanted:
        if (name := normal(re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0])) not in versions:
            yield f"!{path.name}: {name} of pyproject.toml is not there; `make lock`"
    yield f"{len(versions)} packages, {sum(map(len, hashes.values()))} digests of files"
    places = list(root.glob(".venv/lib/python3*/site-packages"))
    installed = {}
    for folder in (folder for place in places for folder in place.glob("*.dist-info")):
        name, _, version = folder.name.removesuffix(".dist-info").rpartition("-")
        installed[normal(name)] = version
    for name, version in sorted(installed.items()):
        if name not in OWN and versions.get(name) != version:
            yield f"!.venv: {name} {version}, the lock has {versions.get(name, 'none')}; remove .venv and make it again"
    if places:
        yield f"{len(installed)} packages in .venv"


def _locked(text: str) -> tuple[dict[str, str], dict[str, set[str]]]:
    versions: dict[str, str] = {}
    hashes: dict[str, set[str]] = {}
    name = ""
    for line in text.splitlines():
        if found := ENTRY.match(line):
            name = normal(found["name"])
            versions[name] = found["version"]
            hashes[name] = set()
        for digest in re.findall(r"--hash=sha256:([0-9a-f]{64})\b", line):
            hashes[name].add(digest)
    return versions, hashes


def normal(name: str) -> str:
    """A package's name as registries compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def data(root: Path) -> Iterator[str]:
    """Say what the data sets are."""
    sys.path.insert(0, str(root / "src"))
    from snn2ann.data import DATASETS

    declared = {name: sums for entry in DATASETS.values() for name, sums in entry.checksums.items()}
    downloads = [path for path in sorted(root.glob("data/raw/**/*")) if path.name in declared]
    for path in downloads:
        sums = declared[path.name]
        if not any(digest(path, kind) == value for kind, _, value in (each.partition(":") for each in sums)):
            yield f"!{path.relative_to(root)}: not the declared file; remove it and fetch the data set again"
    manifests = sorted(root.glob("data/*/manifest.json"))
    for manifest in manifests:
        for name, expected in loads(manifest.read_text(encoding="utf-8"))["files"].items():
            path = manifest.with_name(name)
            if not path.is_file() or digest(path) != expected["sha256"]:
                yield f"!{path.relative_to(root)}: missing, or not what the manifest says; remove the folder, fetch it again"
    yield f"{len(downloads)} downloads and {len(manifests)} prepared data sets here"


def references(root: Path) -> Iterator[str]:
    """Say what the published runs are, and how the runs here compare with them."""
    folders = sorted(path.parent for path in root.glob("docs/reference/*/claims.json"))
    files = same = other = 0
    for folder in folders:
        published = _sums(folder / SUMS)
        for name in sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()):
            files += 1
            if name != SUMS and published.pop(name, None) != digest(folder / name):
                yield f"!{folder.relative_to(root)}/{name}: not what was published; `git checkout` it, or publish anew"
        for name in published:
            yield f"!{folder.relative_to(root)}/{name}: missing; `git checkout` it, or publish anew"
        for name, expected in _sums(folder / RUNS).items():
            if (path := root / "results/runs" / name).is_file():
                equal = digest(path) == expected
                same, other = same + equal, other + (not equal)
    yield f"{files} files of {len(folders)} studies"
    if same + other:
        # Processors round differently, so this is said and is no fault.
        yield f"{same} of {same + other} files of runs here have the reference's bytes"


def _sums(path: Path) -> dict[str, str]:
    """Digests by file, as `sha256sum` writes them; none where there is no such list."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return {name: value for value, _, name in (line.partition("  ") for line in lines)}


def digest(path: Path, kind: str = "sha256") -> str:
    """The digest of a file."""
    with path.open("rb") as file:
        return file_digest(file, kind).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
