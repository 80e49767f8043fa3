"""A finished study as an RO-Crate: its files with what each is, what made them and whose work they are of."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snn2ann.data import DATASETS
from snn2ann.errors import UserError
from snn2ann.files import read_json
from snn2ann.report.results import read_study
from snn2ann.runs.folder import RunFolder

if TYPE_CHECKING:
    from rocrate.rocrate import ROCrate

LICENCE = "https://spdx.org/licenses/MIT"
# Of the project: what a reader needs to see what was done, and to do it again.
SOURCES = {
    "params.yaml": "Every parameter",
    "requirements.lock": "The exact versions of all packages, with digests of their files",
    "README.md": "How to make this study, and others",
    "LICENSE": "The licence",
    "CITATION.cff": "How to cite",
}
OUTPUTS = {
    "study.json": "The study's runs and parameters",
    "results.csv": "Every measure of every run",
    "claims.md": "The paper's claims with verdicts",
    "claims.json": "The same for programs",
    "metrics.json": "The headline's measures",
    "report.html": "The whole report on one page",
}
PAPERS = {
    "https://arxiv.org/abs/2206.09449": (
        "SNN2ANN: A Fast and Memory-Efficient Training Framework for Spiking Neural Networks",
        "arXiv:2206.09449",
        "2022",
    ),
    "#ac2as": (
        "AC2AS: Activation Consistency Coupled ANN-SNN Framework for Fast and Memory-Efficient SNN Training",
        "Pattern Recognition",
        "2023",
    ),
}
AUTHORS = ("Tang", "Lai", "Xie", "Yang", "Zheng")


def write_crate(study_folder: Path, output: Path, root: Path = Path()) -> None:
    """Copy a finished study, its runs and what made them into a crate.

    Args:
        study_folder: results/<study>, complete.
        output: folder to make, or a file that ends in .zip.
        root: of the project.

    Raises:
        UserError: the study is not complete, or the output is there.
    """
    study = read_study(study_folder)
    if output.exists():
        raise UserError(f"{output}: is there; name a new folder or .zip file, nothing is overwritten")
    runs = [RunFolder(study_folder.parent / "runs" / run["name"]) for run in study["runs"]]
    lacking = [path for path in (study_folder / "claims.json", *(run.training for run in runs)) if not path.is_file()]
    if lacking:
        more = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
        command = f"snakemake --cores all --config study={study['study']}"
        raise UserError(f"{lacking[0]}{more}: missing, the study is not finished; `{command}` finishes it")
    crate = _filled(study, study_folder, runs, root)
    if output.suffix == ".zip":
        crate.write_zip(output)
    else:
        crate.write(output)


def _filled(study: dict[str, Any], folder: Path, runs: list[RunFolder], root: Path) -> "ROCrate":
    from rocrate.rocrate import ROCrate

    crate = ROCrate()
    title, made = study["parameters"]["studies"][study["study"]]["title"], [read_json(run.training) for run in runs]
    crate.name = f"SNN2ANN, reproduced: {title}"
    crate.description = (
        "The claims of the paper SNN2ANN, tested: runs with weights, results, tables, figures and verdicts."
    )
    crate.license = LICENCE
    crate.root_dataset["citation"] = list(_papers(crate))
    workflow = crate.add_workflow(
        root / "Snakefile", "Snakefile", main=True, lang="snakemake", properties={"name": "From parameters to verdicts"}
    )
    workflow["license"] = LICENCE
    for name, what in SOURCES.items():
        if (root / name).is_file():
            crate.add_file(root / name, name, properties={"description": what}, record_size=True)
    results = [*_outputs(crate, folder), *(_run(crate, run) for run in runs)]
    action = crate.add_action(workflow, object=[crate.get("params.yaml"), *_datasets(crate, study)], result=results)
    action["name"] = f"snakemake --config study={study['study']}"
    if ends := [datetime.fromtimestamp(run.training.stat().st_mtime, UTC) for run in runs]:
        action["endTime"] = max(ends).isoformat(timespec="seconds")
    action["softwareRequirements"] = list(_software(crate, made))
    return crate


def _outputs(crate: "ROCrate", folder: Path) -> Iterator[Any]:
    """The study's own files: those at its top, then tables and figures."""
    for name, what in OUTPUTS.items():
        if (folder / name).is_file():
            yield _added(crate, folder / name, f"results/{folder.name}/{name}", what)
    for kind in ("tables", "figures"):
        for path in sorted((folder / kind).glob("*")):
            words = f"{kind.removesuffix('s').capitalize()}: {path.stem.replace('_', ' ')}"
            yield _added(crate, path, f"results/{folder.name}/{kind}/{path.name}", words)


def _added(crate: "ROCrate", path: Path, place: str, what: str) -> Any:
    return crate.add_file(path, place, properties={"description": what}, record_size=True)


def _run(crate: "ROCrate", run: RunFolder) -> Any:
    """A run's folder, as a data set of files."""
    place = f"results/runs/{run.name}"
    dataset = crate.add_dataset(dest_path=f"{place}/", properties={"name": run.name, "description": "A run"})
    files = sorted(path for path in run.path.rglob("*") if path.is_file() and path.name != run.checkpoint.name)
    dataset["hasPart"] = [
        crate.add_file(path, f"{place}/{path.relative_to(run.path).as_posix()}", record_size=True) for path in files
    ]
    return dataset


def _papers(crate: "ROCrate") -> Iterator[Any]:
    from rocrate.model.contextentity import ContextEntity

    people = [
        crate.add(ContextEntity(crate, f"#{name}", properties={"@type": "Person", "familyName": name, "name": name}))
        for name in AUTHORS
    ]
    for place, (name, where, year) in PAPERS.items():
        properties = {"@type": "ScholarlyArticle", "name": name, "isPartOf": where, "datePublished": year}
        paper = crate.add(ContextEntity(crate, place, properties=properties))
        paper["author"] = people
        yield paper


def _datasets(crate: "ROCrate", study: dict[str, Any]) -> Iterator[Any]:
    """The data sets that runs were trained on, which are not in the crate, with the digests of their files."""
    from rocrate.model.contextentity import ContextEntity

    for name in dict.fromkeys(run["dataset"] for run in study["runs"]):
        entry = DATASETS.get(name)
        sums = [f"{file} {value}" for file, values in entry.checksums.items() for value in values[:1]] if entry else []
        properties = {"@type": "Dataset", "name": name, "description": "; ".join(sums) or "Data of one's own"}
        yield crate.add(ContextEntity(crate, f"#data-{name}", properties=properties))


def _software(crate: "ROCrate", made: list[dict[str, Any]]) -> Iterator[Any]:
    """Packages and commits that runs were made with."""
    from rocrate.model.contextentity import ContextEntity

    versions = {(name, version) for each in made for name, version in each.get("versions", {}).items()}
    versions |= {("snn2ann, commit", each["commit"]) for each in made if each.get("commit")}
    for name, version in sorted(versions):
        place = "#" + re.sub(r"[^A-Za-z0-9.]+", "-", f"{name}-{version}")
        properties = {"@type": "SoftwareApplication", "name": name, "version": version}
        yield crate.add(ContextEntity(crate, place, properties=properties))
