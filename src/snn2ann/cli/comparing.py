"""Commands that print what runs came to."""

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
