"""Commands that carry a study's records from one machine to another."""

from pathlib import Path
from typing import Annotated

import typer

from snn2ann.cli.options import PARAMS, RESULTS, Params, Results, StudyName, StudyOption
from snn2ann.cli.planning import resolved_study


def pack(
    output: Annotated[Path, typer.Option(help="A .tar.xz file to write.")],
    name: StudyName = None,
    params: Params = PARAMS,
    study: StudyOption = None,
    results: Results = RESULTS,
) -> None:
    """Put the records of a study's finished runs into one file, without weights, to go on elsewhere or to publish."""
    from snn2ann.runs.packed import pack as pack_runs

    found = resolved_study(params, name, study)
    packed = pack_runs(results, [run.name for run in found.runs], found.measurements, output)
    print(f"{output}: records of {len(packed)} of the {len(found.runs)} runs of {found.name}")


def unpack(
    archive: Annotated[Path, typer.Argument(help="What `snn2ann pack` wrote, or records.tar.xz of a reference.")],
    results: Results = RESULTS,
) -> None:
    """Put packed records where the workflow looks for them, so that it makes what is missing and the report of all."""
    from snn2ann.runs.packed import unpack as unpack_runs

    print(f"{results}: {len(unpack_runs(archive, results))} runs more, from {archive}")
