"""Every method tuned by the same budget, on validation images alone: `python -m benchmarks.tuning`.

benchmarks/tuning.yaml says what may be chosen. Rows that benchmarks/results/tuning.csv has are not made again, so it may be
stopped at any time; docs/tuning.md gets the table. Test images are never looked at.
"""

import argparse
import json
import os
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
# A learning rate and options.
Trial = tuple[float, Options]


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


def jobs(tuning: Tuning, method: str, numbers: list[int], seeds: list[int]) -> Iterator[Job]:
    """The runs of some of a method's trials."""
    every = trials(tuning, method)
    for seed in seeds:
        for number in numbers:
            rate, options = every[number]
            for run in tuning.runs(method, rate, options, seed):
                row = {"method": method, "trial": number, "learning_rate": rate, "options": json.dumps(options)}
                yield Job(run, {**row, "network": run.network, "seed": seed, "run": run.name})


def trials(tuning: Tuning, method: str) -> list[Trial]:
    """A method's trials: each value alone and, once all of these are known, what was better than the defaults together.

    Where that is too active, one more is without what made more spikes or operations than the defaults do.
    """
    found, first = tuning.alone(method), tuning.content["budget"]["seeds"][:1]
    known = _means(tuning, method, found, first)
    if len(known) < len(found):
        return found
    better = known[known["validation"] > known["validation"][0]]
    found = _with_all(tuning, method, found, better)
    known = _means(tuning, method, found, first)
    limit = _limit(tuning, method)
    if len(known) < len(found) or limit is None or _within(known, limit).index.isin([len(found) - 1]).any():
        return found
    calm = better[(better[list(ACTIVITY)] <= 1.05 * known.loc[0, list(ACTIVITY)]).all(axis=1)]
    return _with_all(tuning, method, found, calm)


def _with_all(tuning: Tuning, method: str, found: list[Trial], better: pd.DataFrame) -> list[Trial]:
    """The trials, and one that has all of the better ones' changes, unless it is there already."""
    rate: float = tuning.first_rate
    options: Options = {}
    # From the worst to the best, so that of an option's values the best stays.
    for number in better.sort_values("validation", kind="stable").index:
        own_rate, own = found[number]
        rate, options = (rate, options | own) if own else (own_rate, options)
    names = {tuning.runs(method, *trial, 0)[0].name for trial in found}
    together = (rate, options)
    return found if tuning.runs(method, *together, 0)[0].name in names else [*found, together]


def _limit(tuning: Tuning, method: str) -> pd.Series | None:
    """The most spikes and operations that a trial may have: none where there is no limit, 0 where it is not known yet."""
    share = tuning.content["methods"][method].get("activity")
    if share is None:
        return None
    reference = tuning.content["reference"]
    known = _means(tuning, reference, tuning.alone(reference)[:1], tuning.content["budget"]["seeds"][:1])
    return share * known.loc[0, list(ACTIVITY)] if len(known) else pd.Series(0.0, list(ACTIVITY))


def _within(known: pd.DataFrame, limit: pd.Series) -> pd.DataFrame:
    return known[(known[list(ACTIVITY)] <= limit).all(axis=1)]


def of_trials(tuning: Tuning, method: str, seeds: list[int]) -> pd.DataFrame:
    """A method's trials over seeds, as they are in the file now: mean accuracy and activity over networks and seeds.

    Only trials are in it that have every network and seed.
    """
    return _means(tuning, method, trials(tuning, method), seeds)


def _means(tuning: Tuning, method: str, of: list[Trial], seeds: list[int]) -> pd.DataFrame:
    wanted = {
        run.name: number
        for number, trial in enumerate(of)
        for seed in seeds
        for run in tuning.runs(method, *trial, seed)
    }
    data = rows_of(RESULTS, COLUMNS)
    data = data[data["run"].isin(wanted)].assign(trial=lambda here: here["run"].map(wanted))
    found = data.groupby("trial")[["validation", *ACTIVITY]].agg(["mean", "count"])
    networks = len(tuning.content["study"]["networks"])
    whole = found[found["validation"]["count"] == networks * len(seeds)]
    return pd.DataFrame({name: whole[name]["mean"] for name in ("validation", *ACTIVITY)})


def ranking(tuning: Tuning, method: str, seeds: list[int]) -> list[int]:
    """A method's trials from the best to the worst, without those of too much activity; of equal ones the earlier first."""
    found, limit = of_trials(tuning, method, seeds), _limit(tuning, method)
    found = found if limit is None else _within(found, limit)
    return [int(each) for each in found.sort_values("validation", ascending=False, kind="stable").index]


def finalists(tuning: Tuning, method: str) -> list[int]:
    """The best trials of the first seed, once all of them are known, and the defaults."""
    seed = tuning.content["budget"]["seeds"][:1]
    if len(of_trials(tuning, method, seed)) < len(trials(tuning, method)):
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
        every = trials(tuning, method)
        cells = ["not tuned yet"] * 5
        if chosen is not None:
            rate, options = every[chosen]
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
        rows.append([method, f"{len(seen)} of {len(every)}", *cells])
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
        # Each alone, then what was better together, and less of it where that is too active.
        for _ in range(3):
            every = list(range(len(trials(tuning, method))))
            make(RESULTS, COLUMNS, list(jobs(tuning, method, every, seeds[:1])), options.processes)
        make(RESULTS, COLUMNS, list(jobs(tuning, method, finalists(tuning, method), seeds)), options.processes)
        blocks.fill(PAGE, {"tuning": table(tuning)})
    blocks.fill(PAGE, {"tuning": table(tuning)})


if __name__ == "__main__":
    main()
