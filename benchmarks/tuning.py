"""Every method tuned by the same budget, on validation images alone: `python -m benchmarks.tuning`.

benchmarks/tuning.yaml says what may be chosen. Many trials are short; the best of them are then trained on all images,
since what is best in a short training need not be in a long one; and those that are close to the best there, for as long as
the study trains. The winner is trained for twice as long, which shows how near it is to where it ends. Rows that
benchmarks/results/tuning.csv has are not made again, so it may be stopped at any time; docs/tuning.md gets the table. Test
images are never looked at.
"""

import argparse
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import yaml
from tabulate import tabulate

from benchmarks.training import ACTIVITY, Job, make, rows_of, runs_of
from snn2ann.report import blocks
from snn2ann.report.table import number as written
from snn2ann.study import Run, load_parameters

CHOICES, PAGE = Path("benchmarks/tuning.yaml"), Path("docs/tuning.md")
RESULTS = Path("benchmarks/results/tuning.csv")
COLUMNS = ["method", "learning_rate", "options", "length", "network", "seed", "validation", *ACTIVITY, "seconds", "run"]
Options = dict[str, Any]
# A learning rate, None for the recipe's, and options.
Trial = tuple[float | None, Options]
# "study": for the study's epochs; "twice": for two times these.
Length = Literal["short", "long", "study", "twice"]


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
        return float(self.runs(self.methods[0], (None, {}))[0].spec["recipe"]["learning_rate"])

    def alone(self, method: str) -> list[Trial]:
        """The defaults, then each learning rate and each option's values alone, as many as the budget has."""
        described = self.content["methods"][method]["options"]
        rates: list[Trial] = [(float(rate), {}) for rate in self.content["learning_rate"]]
        others: list[Trial] = [
            (self.first_rate, {option: value}) for option, values in described.items() for value in values
        ]
        found: dict[str, Trial] = {}
        for trial in [(self.first_rate, {}), *rates, *others]:
            # What comes to the defaults is no second trial.
            found.setdefault(self._name(method, trial), trial)
        return list(found.values())[: int(self.content["budget"]["trials"])]

    def _name(self, method: str, trial: Trial) -> str:
        """Tells trials apart by what they come to."""
        return self.runs(method, trial)[0].name

    def runs(self, method: str, trial: Trial, length: Length = "short") -> tuple[Run, ...]:
        """A trial's runs, one for each network and seed.

        Args:
            method: a name of the file.
            trial: learning rate, None for the recipe's, and options.
            length: how long they are trained.
        """
        key = json.dumps([method, trial, length])
        if key not in self._resolved:
            self._resolved[key] = self._resolve(method, *trial, length)
        return self._resolved[key]

    def _resolve(self, method: str, learning_rate: float | None, options: Options, length: Length) -> tuple[Run, ...]:
        rate = {} if learning_rate is None else {"learning_rate": learning_rate}
        entry = {**self.content["methods"][method]["run"], "options": options}
        study = {**self.content["common"], **self.content[length]}
        recipe = {**self.content["recipe"], **study.pop("recipe", {}), **rate}
        return runs_of(self.parameters, study, recipe, entry)


def read() -> Tuning:
    """The file of choices, and params.yaml."""
    return Tuning(yaml.safe_load(CHOICES.read_text(encoding="utf-8")), load_parameters("params.yaml"))


def jobs(tuning: Tuning, method: str, numbers: list[int], length: Length = "short") -> Iterator[Job]:
    """The runs of some of a method's trials."""
    every = trials(tuning, method)
    for number in numbers:
        rate, options = every[number]
        row = {"method": method, "learning_rate": rate, "options": json.dumps(options), "length": length}
        for run in tuning.runs(method, every[number], length):
            yield Job(run, {**row, "network": run.network, "seed": run.seed, "run": run.name})


def trials(tuning: Tuning, method: str) -> list[Trial]:
    """A method's trials: each value alone and, once all of these are known, what was better than the defaults together."""
    alone = tuning.alone(method)
    found = _means(tuning, method, alone)["validation"]
    if len(found) < len(alone):
        return alone
    rate: float | None = tuning.first_rate
    options: Options = {}
    # From the worst to the best, so that of an option's values the best stays.
    for number in found[found > found[0]].sort_values(kind="stable").index:
        own_rate, own = alone[number]
        rate, options = (rate, options | own) if own else (own_rate, options)
    names = {tuning.runs(method, trial)[0].name for trial in alone}
    together = (rate, options)
    return alone if tuning.runs(method, together)[0].name in names else [*alone, together]


def of_trials(tuning: Tuning, method: str, length: Length = "short") -> pd.DataFrame:
    """A method's trials as they are in the file now: mean accuracy and activity over networks and seeds.

    Only trials are in it that have every network and seed.
    """
    return _means(tuning, method, trials(tuning, method), length)


def _means(tuning: Tuning, method: str, of: list[Trial], length: Length = "short") -> pd.DataFrame:
    runs = {number: tuning.runs(method, trial, length) for number, trial in enumerate(of)}
    wanted = {run.name: number for number, some in runs.items() for run in some}
    data = rows_of(RESULTS, COLUMNS)
    data = data[data["run"].isin(wanted)].assign(trial=lambda here: here["run"].map(wanted))
    found = data.groupby("trial")[["validation", *ACTIVITY]].agg(["mean", "count"])
    whole = found[found["validation"]["count"] == len(runs[0])]
    return pd.DataFrame({name: whole[name]["mean"] for name in ("validation", *ACTIVITY)})


def finalists(tuning: Tuning, method: str) -> list[int]:
    """The best short trials, once all of them are known, and the defaults; of equal ones the earlier first."""
    found = of_trials(tuning, method)["validation"]
    if len(found) < len(trials(tuning, method)):
        return []
    ordered = found.sort_values(ascending=False, kind="stable").index
    best = [int(each) for each in ordered[: tuning.content["budget"]["finalists"]]]
    return [*best, *([0] if 0 not in best else [])]


def _of_all(tuning: Tuning, method: str, some: list[int], length: Length) -> pd.Series:
    """Accuracy of some trials, in their order; empty before all of them are known."""
    found = of_trials(tuning, method, length)["validation"]
    return found[some if set(some) <= set(found.index) else []]


def contenders(tuning: Tuning, method: str) -> list[int]:
    """The best finalist of long training, then those so close that another seed might turn them; once all are known."""
    found = _of_all(tuning, method, finalists(tuning, method), "long").sort_values(ascending=False, kind="stable")
    close = float(tuning.content["budget"]["close"]) / 100
    return [int(number) for number in found.index[found >= found.max() - close]]


def winner(tuning: Tuning, method: str) -> int | None:
    """The contender that is best in the study's epochs, once all of them are known."""
    found = _of_all(tuning, method, contenders(tuning, method), "study")
    return max(found.index.tolist(), key=lambda number: found[number], default=None)


def table(tuning: Tuning) -> str:
    """What each method had to choose from, and what it came to, in Markdown."""
    rows = []
    for method in tuning.methods:
        every, chosen = trials(tuning, method), winner(tuning, method)
        cells = ["not tuned yet"] * 7 if chosen is None else _outcome(tuning, method, every, chosen)
        rows.append([method, f"{len(of_trials(tuning, method))} of {len(every)}", *cells])
    head = ["Method", "Short trials", "Defaults", "Chosen", "Spikes an image", "Synaptic operations", "What was chosen"]
    return tabulate(rows, [*head, "In the study's epochs", "In twice these"], tablefmt="github", disable_numparse=True)


def _outcome(tuning: Tuning, method: str, every: list[Trial], chosen: int) -> list[str]:
    found = of_trials(tuning, method, "long")
    rate, options = every[chosen]
    words = [f"learning rate {rate:g}", *(f"{name} {value}" for name, value in options.items())]
    longer = [of_trials(tuning, method, length)["validation"].get(chosen) for length in ("study", "twice")]
    from_one_to_next = zip(longer, [found["validation"][chosen], longer[0]], strict=True)
    return [
        *(f"{found['validation'][number]:.2%}" for number in (0, chosen)),
        *(f"{found[what][chosen]:,.0f}" if found[what][chosen] else "–" for what in ACTIVITY),
        "its defaults" if chosen == 0 else ", ".join(words),
        *(
            f"{here:.2%} ({written(100 * (here - before), sign=True)})" if here and before else "not made yet"
            for here, before in from_one_to_next
        ),
    ]


def main() -> None:
    """Make what is missing and fill the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", metavar="METHOD", help="some of them; else all")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument(
        "--no-twice", dest="twice", action="store_false", help="train none for twice the study's epochs"
    )
    parser.add_argument("--fill", action="store_true", help="only fill the page from what is there")
    options = parser.parse_args()
    tuning = read()
    names = options.methods or tuning.methods
    if unknown := set(names) - set(tuning.methods):
        parser.error(f"{', '.join(sorted(unknown))}: not in {CHOICES}, which has {', '.join(tuning.methods)}")
    for method in [] if options.fill else names:
        # Each alone, then what was better together.
        for _ in range(2):
            every = list(range(len(trials(tuning, method))))
            make(RESULTS, COLUMNS, list(jobs(tuning, method, every)), options.processes)
        make(RESULTS, COLUMNS, list(jobs(tuning, method, finalists(tuning, method), "long")), options.processes)
        make(RESULTS, COLUMNS, list(jobs(tuning, method, contenders(tuning, method), "study")), options.processes)
        if options.twice and (chosen := winner(tuning, method)) is not None:
            make(RESULTS, COLUMNS, list(jobs(tuning, method, [chosen], "twice")), options.processes)
        blocks.fill(PAGE, {"tuning": table(tuning)})
    blocks.fill(PAGE, {"tuning": table(tuning)})


if __name__ == "__main__":
    main()
