"""Every method tuned by the same budget, on validation images alone: `python -m benchmarks.tuning`.

benchmarks/tuning.yaml says what may be chosen. Rows that benchmarks/results/tuning.csv has are not made again, so it may be
stopped at any time; docs/tuning.md gets the table. Test images are never looked at.
"""

import argparse
import json
import math
import os
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from tabulate import tabulate

from benchmarks.training import Job, make, rows_of, runs_of
from snn2ann.report import blocks
from snn2ann.study import Run, load_parameters

CHOICES, PAGE = Path("benchmarks/tuning.yaml"), Path("docs/tuning.md")
RESULTS = Path("benchmarks/results/tuning.csv")
ACTIVITY = ("spikes", "operations")
COLUMNS = ["method", "trial", "learning_rate", "options", "network", "seed", "validation", *ACTIVITY, "seconds", "run"]
Options = dict[str, Any]


@dataclass(frozen=True)
class Tuning:
    """The file of choices.

    Attributes:
        content: as it stands there.
        parameters: those of params.yaml, which the runs are resolved from.
    """

    content: Mapping[str, Any]
    parameters: Mapping[str, Any]
    # To resolve a run takes longer than to look for it.
    _resolved: dict[str, tuple[Run, ...]] = field(default_factory=dict)

    @cached_property
    def methods(self) -> list[str]:
        return list(self.content["methods"])

    @cached_property
    def first_rate(self) -> float:
        """The learning rate of the recipe, which a method's first trial has."""
        return float(self.runs(self.methods[0], None, {}, 0)[0].spec["recipe"]["learning_rate"])

    def trials(self, method: str) -> list[tuple[float, Options]]:
        """The learning rate and the options of each trial: the defaults, then drawn without repetition."""
        described, wanted = self.content["methods"][method]["options"], int(self.content["budget"]["trials"])
        lists = [self.content["learning_rate"], *described.values()]
        found: list[tuple[float, Options]] = [(self.first_rate, {})]
        places = math.prod(map(len, lists))
        for place in random.Random(method).sample(range(places), places):
            values = []
            for choices in lists:
                place, one = divmod(place, len(choices))
                values.append(choices[one])
            trial = float(values[0]), dict(zip(described, values[1:], strict=True))
            if self._name(method, trial) not in {self._name(method, each) for each in found}:
                found.append(trial)
            if len(found) == wanted:
                break
        return found

    def _name(self, method: str, trial: tuple[float, Options]) -> str:
        """Tells trials apart by what they come to."""
        return self.runs(method, *trial, 0)[0].name

    def runs(self, method: str, learning_rate: float | None, options: Options, seed: int) -> tuple[Run, ...]:
        """A trial's runs on one seed, a network each.

        Args:
            method: a name of the file.
            learning_rate: None for the recipe's.
            options: of the method.
            seed: of the run.
        """
        key = json.dumps([method, learning_rate, options, seed])
        if key not in self._resolved:
            self._resolved[key] = self._resolve(method, learning_rate, options, seed)
        return self._resolved[key]

    def _resolve(self, method: str, learning_rate: float | None, options: Options, seed: int) -> tuple[Run, ...]:
        rate = {} if learning_rate is None else {"learning_rate": learning_rate}
        recipe = {**self.content["recipe"], **rate}
        entry = {**self.content["methods"][method]["run"], "options": options}
        study = {**self.content["study"], "seeds": [seed]}
        return runs_of(self.parameters, study, recipe, entry)


def read() -> Tuning:
    """The file of choices, and params.yaml."""
    return Tuning(yaml.safe_load(CHOICES.read_text(encoding="utf-8")), load_parameters("params.yaml"))


def jobs(tuning: Tuning, method: str, trials: list[int], seeds: list[int]) -> Iterator[Job]:
    """The runs of some of a method's trials."""
    every = tuning.trials(method)
    for seed in seeds:
        for number in trials:
            rate, options = every[number]
            for run in tuning.runs(method, rate, options, seed):
                row = {"method": method, "trial": number, "learning_rate": rate, "options": json.dumps(options)}
                yield Job(run, {**row, "network": run.network, "seed": seed, "run": run.name})


def of_trials(tuning: Tuning, method: str, seeds: list[int]) -> pd.DataFrame:
    """A method's trials over seeds, as they are in the file now: mean accuracy and activity over networks and seeds.

    Only trials are in it that have every network and seed.
    """
    every = tuning.trials(method)
    wanted = {job.run.name: job.row["trial"] for job in jobs(tuning, method, list(range(len(every))), seeds)}
    data = rows_of(RESULTS, COLUMNS)
    data = data[data["run"].isin(wanted)].assign(trial=lambda here: here["run"].map(wanted))
    found = data.groupby("trial")[["validation", *ACTIVITY]].agg(["mean", "count"])
    networks = len(tuning.content["study"]["networks"])
    whole = found[found["validation"]["count"] == networks * len(seeds)]
    return pd.DataFrame({name: whole[name]["mean"] for name in ("validation", *ACTIVITY)})


def ranking(tuning: Tuning, method: str, seeds: list[int]) -> list[int]:
    """A method's trials from the best to the worst, without those of too much activity; of equal ones the earlier first."""
    found = of_trials(tuning, method, seeds)
    if share := tuning.content["methods"][method].get("activity"):
        reference = of_trials(tuning, tuning.content["reference"], seeds[:1])
        if 0 not in reference.index:
            return []
        for what in ACTIVITY:
            found = found[found[what] <= share * reference[what][0]]
    return [int(each) for each in found.sort_values("validation", ascending=False, kind="stable").index]


def finalists(tuning: Tuning, method: str) -> list[int]:
    """The best trials of the first seed, once all of them are known, and the defaults."""
    seed = tuning.content["budget"]["seeds"][:1]
    if len(of_trials(tuning, method, seed)) < len(tuning.trials(method)):
        return []
    best = ranking(tuning, method, seed)[: tuning.content["budget"]["finalists"]]
    return [*best, *([0] if 0 not in best else [])]


def winner(tuning: Tuning, method: str) -> int | None:
    """The best finalist over all seeds; None before all are known."""
    seeds, last = tuning.content["budget"]["seeds"], finalists(tuning, method)
    known = [number for number in ranking(tuning, method, seeds) if number in last]
    return known[0] if last and set(last) <= set(of_trials(tuning, method, seeds).index) and known else None


def table(tuning: Tuning) -> str:
    """What each method had to choose from, and what it came to, in Markdown."""
    seeds, rows = tuning.content["budget"]["seeds"], []
    for method in tuning.methods:
        found, chosen = of_trials(tuning, method, seeds), winner(tuning, method)
        trials = tuning.trials(method)
        cells = ["not tuned yet"] * 5
        if chosen is not None:
            rate, options = trials[chosen]
            words = [
                f"learning rate {rate:g}",
                *(f"{name} {value}" for name, value in options.items() if value is not None),
            ]
            cells = [
                *(f"{found['validation'][number]:.2%}" for number in (0, chosen)),
                *(f"{found[what][chosen]:,.0f}" if found[what][chosen] else "–" for what in ACTIVITY),
                "its defaults" if chosen == 0 else ", ".join(words),
            ]
        seen = of_trials(tuning, method, seeds[:1])
        rows.append([method, f"{len(seen)} of {len(trials)}", *cells])
    head = ["Method", "Trials", "Defaults", "Chosen", "Spikes an image", "Synaptic operations", "What was chosen"]
    return tabulate(rows, head, tablefmt="github", disable_numparse=True)


def main() -> None:
    """Make what is missing and fill the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", metavar="METHOD", help="some of them; the reference is among the first")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--fill", action="store_true", help="only fill the page from what is there")
    options = parser.parse_args()
    tuning = read()
    names = options.methods or sorted(tuning.methods, key=lambda name: name != tuning.content["reference"])
    if unknown := set(names) - set(tuning.methods):
        parser.error(f"{', '.join(sorted(unknown))}: not in {CHOICES}, which has {', '.join(tuning.methods)}")
    seeds = tuning.content["budget"]["seeds"]
    for method in [] if options.fill else names:
        every = list(range(len(tuning.trials(method))))
        make(RESULTS, COLUMNS, list(jobs(tuning, method, every, seeds[:1])), options.processes)
        make(RESULTS, COLUMNS, list(jobs(tuning, method, finalists(tuning, method), seeds)), options.processes)
        blocks.fill(PAGE, {"tuning": table(tuning)})
    blocks.fill(PAGE, {"tuning": table(tuning)})


if __name__ == "__main__":
    main()
