"""Arguments and options that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

from snn2ann.cli.completing import complete_run, complete_study

RUNS = Path("results/runs")
RESULTS = Path("results")
PARAMS = Path("params.yaml")
RUN_HELP = "A run: its folder, its name, or the beginning of its name or of its digest where no other run has it."

RunName = Annotated[str, typer.Argument(metavar="RUN", help=RUN_HELP, autocompletion=complete_run)]
RunNames = Annotated[list[str], typer.Argument(metavar="RUN", help=RUN_HELP, autocompletion=complete_run)]
StudyName = Annotated[
    str | None,
    typer.Argument(metavar="STUDY", help="Name of a study; else the file's own choice.", autocompletion=complete_study),
]
StudyOption = Annotated[str | None, typer.Option("--study", help="Likewise.", autocompletion=complete_study)]
Params = Annotated[Path, typer.Option(help="The parameters' file.")]
Runs = Annotated[Path, typer.Option(help="Folder of all runs.")]
Results = Annotated[Path, typer.Option(help="Folder of all runs and measurements.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else, on standard output.")]
TimeSteps = Annotated[
    int | None, typer.Option(help="T of the figures; else the training T, or the largest T evaluated.")
]

Spec = Annotated[str, typer.Option(help="Specification as JSON, or the path of a YAML or JSON file.")]
Data = Annotated[Path, typer.Option(help="Folder of the prepared data set.")]
RunFolderPath = Annotated[Path, typer.Option(help="Folder of the run.")]
Threads = Annotated[int, typer.Option(help="Threads of torch; 0 leaves torch's own choice.")]
Device = Annotated[str, typer.Option(help="auto or cuda, a free GPU; cpu, or cuda:N, free or not.")]
StudyFolder = Annotated[Path, typer.Option(help="Folder of the study, such as results/digits.")]
StoreUri = Annotated[str | None, typer.Option(help="URI of an MLflow store.")]
