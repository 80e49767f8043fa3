"""What might make the refined variant better, each lead against the variant as it is: `python -m benchmarks.leads`.

benchmarks/leads.yaml names the leads. They are read on validation images, seed by seed; rows that
benchmarks/results/leads.csv has are not made again, and docs/method.md gets the table.
"""

import argparse
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import yaml
from tabulate import tabulate
from torch import Tensor
from torch.nn import functional

from benchmarks.training import Change, Job, make, rows_of, runs_of, train, trainer_of
from snn2ann.methods import METHODS
from snn2ann.report import blocks
from snn2ann.report.configurations import network_name
from snn2ann.report.statistics import paired_difference, paired_ratio
from snn2ann.report.table import interval_text
from snn2ann.specs import MethodSpec
from snn2ann.study import Run, load_parameters
from snn2ann.training.loop import Trainer

LEADS, PAGE = Path("benchmarks/leads.yaml"), Path("docs/method.md")
RESULTS = Path("benchmarks/results/leads.csv")
COLUMNS = ["lead", "network", "seed", "validation", "spikes", "seconds", "run"]
AS_IT_IS = "as it is"


def five_steps_first(trainer: Trainer, run: Run) -> None:
    """Train for two more steps while the first half lasts, with finer counts."""
    step, own = trainer.step, trainer.model.time_steps

    def longer(images: Tensor, labels: Tensor, whole: int, progress: float) -> tuple[Tensor, Tensor]:
        trainer.model.time_steps = own + 2 if progress < 0.5 else own
        return step(images, labels, whole, progress)

    trainer.step = longer


def taught_by_the_ann(trainer: Trainer, run: Run, share: float = 0.5, temperature: float = 2.0) -> None:
    """Put the answers of the plain ANN, trained alike, in the place of half of the labels (Hinton et al. 2015)."""
    revision = METHODS["ann"].revision
    method: MethodSpec = {"name": "ann", "revision": revision, "time_steps": None, "variant": None, "options": {}}
    teacher = trainer_of(replace(run, spec={**run.spec, "method": method}))
    train(teacher)
    ann, step = teacher.model.eval(), trainer.model.training_step

    def taught(images: Tensor, labels: Tensor, loss: Any, observer: Any = None) -> Any:
        with torch.no_grad():
            answers = (ann.ann_forward(images) / temperature).softmax(1)

        def both(logits: Tensor, labels: Tensor) -> Tensor:
            softer = functional.cross_entropy(logits / temperature, answers) * temperature**2
            return (1 - share) * loss(logits, labels) + share * softer

        return step(images, labels, both, observer)

    trainer.model.training_step = taught  # type: ignore[method-assign]


CHANGES: dict[str, Change] = {each.__name__: each for each in (five_steps_first, taught_by_the_ann)}


def read() -> dict[str, Any]:
    """The file of leads."""
    found: dict[str, Any] = yaml.safe_load(LEADS.read_text(encoding="utf-8"))
    return found


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
    head = [f"{network_name(network)}, {what}" for network in networks for what in ("points", "spikes")]
    rows = []
    for name in described["leads"]:
        cells: list[str] = []
        for network in networks:
            here = data[data["network"] == network].set_index("seed")
            one, other = (here[here["lead"] == each] for each in (name, AS_IT_IS))
            points = paired_difference(100 * one["validation"], 100 * other["validation"])
            ratio = paired_ratio(one["spikes"], other["spikes"])
            if not points.n:
                cells += ["not tried yet", "–"]
                continue
            cells += [interval_text(points.mean, points.low, points.high, 2, sign=True), f"× {ratio.mean:.2f}"]
        rows.append([name, *cells])
    return tabulate(rows, ["Lead", *head], tablefmt="github", disable_numparse=True)


def main() -> None:
    """Make what is missing and fill the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--fill", action="store_true", help="only fill the page from what is there")
    options = parser.parse_args()
    described = read()
    if not options.fill:
        make(RESULTS, COLUMNS, list(jobs(described, load_parameters("params.yaml"))), options.processes)
    blocks.fill(PAGE, {"leads": table(described, rows_of(RESULTS, COLUMNS))})


if __name__ == "__main__":
    main()
