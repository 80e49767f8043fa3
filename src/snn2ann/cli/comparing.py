"""Commands that print what runs came to."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from snn2ann.cli.app import NO
from snn2ann.cli.json_output import print_json
from snn2ann.cli.options import RUNS, Json, RunName, RunNames, Runs, TimeSteps


def show(name: RunName, runs: Runs = RUNS, time_steps: TimeSteps = None, as_json: Json = False) -> None:
    """Print one run: its parameters, its curves as text, its final figures."""
    from snn2ann.report.show import described_run, show_run

    if as_json:
        print_json(described_run(name, runs, time_steps))
    else:
        show_run(name, runs, time_steps)


def compare(names: RunNames, runs: Runs = RUNS, time_steps: TimeSteps = None, as_json: Json = False) -> None:
    """Print runs side by side: the parameters that differ, and what came of them."""
    from snn2ann.report.compare import compare_runs, compared_runs

    if as_json:
        print_json(compared_runs(names, runs, time_steps))
    else:
        compare_runs(names, runs, time_steps)


def agree(
    here: Annotated[Path, typer.Argument(help="Folder of a study: results/<study>, or a published one.")],
    there: Annotated[Path, typer.Argument(help="Folder to compare with, such as docs/reference/<study>.")],
    as_json: Json = False,
) -> None:
    """Say of each claim and headline cell whether two makings of a study agree; it does not, where one differs."""
    from snn2ann.report.agreement import agreement_content, agreement_text, compare_studies

    rows = compare_studies(here, there)
    content = agreement_content(rows, here, there)
    if as_json:
        print_json(content)
    else:
        print(agreement_text(rows))
    if content["differs"]:
        sys.exit(NO)
