"""What might make the refined variant better, each lead against the variant as it is: `python -m benchmarks.leads`.

benchmarks/leads.yaml names the leads, of short trainings and of long ones. They are read on validation images, seed by seed;
rows that benchmarks/results/ has in the file of their name are not made again, and docs/method.md gets the tables.
"""

import argparse
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from tabulate import tabulate

from benchmarks.changes import CHANGES
from benchmarks.training import ACTIVITY, Job, make, rows_of, runs_of
from snn2ann.report import blocks
from snn2ann.report.configurations import network_name
from snn2ann.report.statistics import paired_difference, paired_ratio
from snn2ann.report.table import interval_text
from snn2ann.study import load_parameters

LEADS, PAGE = Path("benchmarks/leads.yaml"), Path("docs/method.md")
RESULTS = Path("benchmarks/results")
COLUMNS = ["lead", "network", "seed", "validation", *ACTIVITY, "seconds", "run"]
AS_IT_IS = "as it is"


def read() -> dict[str, dict[str, Any]]:
    """The file of leads: those of a length by the name that their table and their results have."""
    found: dict[str, dict[str, Any]] = yaml.safe_load(LEADS.read_text(encoding="utf-8"))
    return found


def results(name: str) -> Path:
    """Where rows are kept."""
    return RESULTS / f"{name}.csv"


def tables(every: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """The table of each length, by its name."""
    return {name: table(described, rows_of(results(name), COLUMNS)) for name, described in every.items()}


def jobs(described: Mapping[str, Any], parameters: Mapping[str, Any]) -> Iterator[Job]:
    """Every lead's runs, the variant as it is before all, of all networks on a seed before the next seed's."""
    for seed in described["study"]["seeds"]:
        for name, lead in {AS_IT_IS: {}, **described["leads"]}.items():
            entry = {**described["run"], "options": lead.get("options", {})}
            study, recipe = {**described["study"], "seeds": [seed]}, {**described["recipe"], **lead.get("recipe", {})}
            change = lead.get("change")
            for run in runs_of(parameters, study, recipe, entry):
                known = f"{run.name} {change}" if change else run.name
                row = {"lead": name, "network": run.network, "seed": seed, "run": known}
                yield Job(run, row, CHANGES[change] if change else None)


def table(described: Mapping[str, Any], data: pd.DataFrame) -> str:
    """Each lead's difference from the variant as it is, for each network, in Markdown."""
    networks = described["study"]["networks"]
    head = [f"{network_name(network)}, {what}" for network in networks for what in ("points", *ACTIVITY)]
    rows = []
    for name in described["leads"]:
        cells: list[str] = []
        for network in networks:
            here = data[data["network"] == network].set_index("seed")
            one, other = (here[here["lead"] == each] for each in (name, AS_IT_IS))
            points = paired_difference(100 * one["validation"], 100 * other["validation"])
            if not points.n:
                cells += ["not tried yet", *"–" * len(ACTIVITY)]
                continue
            cells.append(interval_text(points.mean, points.low, points.high, 2, sign=True))
            cells += [f"× {paired_ratio(one[what], other[what]).mean:.2f}" for what in ACTIVITY]
        rows.append([name, *cells])
    return tabulate(rows, ["Lead", *head], tablefmt="github", disable_numparse=True)


def main() -> None:
    """Make what is missing and fill the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--fill", action="store_true", help="only fill the page from what is there")
    options = parser.parse_args()
    parameters, every = load_parameters("params.yaml"), read()
    for name, described in ({} if options.fill else every).items():
        make(results(name), COLUMNS, list(jobs(described, parameters)), options.processes)
    blocks.fill(PAGE, tables(every))


if __name__ == "__main__":
    main()
