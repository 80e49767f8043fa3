"""What a seed, a processor, a split and a selection are each worth in the study `digits`: `python -m benchmarks.evidence`.

Trains the sides of the claims on a network of the study, once for each seed and kind of kernels, and keeps the accuracy
of the last epoch, of the one that is best on validation images and of the mean of the last quarter, of one training. Rows
that are in the file already are not made again. `ONEDNN_MAX_CPU_ISA=AVX2` stands for another kind of processor.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from tabulate import tabulate

from snn2ann.report import blocks
from snn2ann.study import Run, load_parameters, resolve

RESULTS, PAGE = Path("benchmarks/results/evidence.csv"), Path("docs/evidence.md")
# What other recipes came to on validation images, of five folds: the recipe was chosen by them.
TUNING = Path("benchmarks/results/evidence_tuning.csv")
COLUMNS = ["network", "method", "kernels", "fold", "seed", "select", "validation", "test"]
SELECTIONS = ("last", "best", "average")
KERNELS = ("default", "AVX2")
# What is compared: SNN2ANN as released and refined, and spike-based BP at T = 8.
SIDES = {"released": ("snn2ann", "released", 5), "refined": ("snn2ann", "refined", 5), "stbp": ("stbp", None, 8)}


def the_run(network: str, method: str, seed: int) -> Run:
    """The study's run of a side, the first of its configurations."""
    study = resolve(load_parameters("params.yaml"), "digits")
    wanted = SIDES[method]
    return next(
        run
        for run in study.runs
        if (run.method, run.variant, run.training_time_steps) == wanted
        and (run.network, run.seed) == (network, seed)
        and run.ata is not False
    )


def train_once(network: str, method: str, seed: int, kernels: str) -> Iterator[list[object]]:
    """Train one run and give a row for each selection; in this process, whose kernels are chosen from outside."""
    import torch

    from benchmarks.training import train, trainer_of
    from snn2ann.training.accuracy import score
    from snn2ann.training.loop import Trainer

    run = the_run(network, method, seed)
    # One training each would give the same: what is evaluated does not act on training.
    kept = {}
    for select in SELECTIONS:
        recipe = {**run.spec["recipe"], "select": select}
        kept[select] = trainer_of(replace(run, spec={**run.spec, "recipe": recipe}))
    trainer = kept["last"]

    def select_all(epoch: int, accuracy: float) -> None:
        for each in kept.values():
            each.model = trainer.model
            Trainer._select(each, epoch, accuracy)

    trainer._select = select_all  # type: ignore[method-assign]
    train(trainer)
    for select, each in kept.items():
        weights, thresholds = trainer.model.network.named_state()
        with torch.no_grad():
            for own, new in ((weights, each.best["weights"]), (thresholds, each.best["thresholds"])):
                for name, value in own.items():
                    value.copy_(new[name])
        found = [
            score(trainer.model, trainer.evaluation_batches(split), trainer.loss) for split in ("validation", "test")
        ]
        fold = run.spec["dataset"]["fold"]
        yield [network, method, kernels, fold, seed, select, *(f"{each.accuracy:.6f}" for each in found)]


def rows_so_far() -> pd.DataFrame:
    return pd.read_csv(RESULTS) if RESULTS.exists() else pd.DataFrame(columns=COLUMNS)


def measure(networks: list[str], methods: list[str], seeds: list[int], kernels: list[str]) -> None:
    """Make the rows that are not there, each training in a process of its own."""
    for seed in seeds:
        for network in networks:
            for method in methods:
                for kind in kernels:
                    known = rows_so_far()
                    same = (known["network"] == network) & (known["method"] == method) & (known["seed"] == seed)
                    if (same & (known["kernels"] == kind)).any():
                        continue
                    environment = dict(os.environ)
                    if kind != "default":
                        environment["ONEDNN_MAX_CPU_ISA"] = kind
                    one = ["--one", network, method, str(seed), kind]
                    command = [sys.executable, "-m", "benchmarks.evidence", *one]
                    printed = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
                    new = not RESULTS.exists()
                    with RESULTS.open("a") as file:
                        file.write(",".join(COLUMNS) + "\n" if new else "")
                        file.write(printed.stdout)


def rms(values: pd.Series) -> float:
    """Root of the mean square."""
    return float(np.sqrt(np.mean(np.square(values)))) if len(values) else float("nan")


def worth(data: pd.DataFrame) -> list[list[str]]:
    """For each network and side, and the difference of sides, what a change of one thing alone comes to, in points.

    Each is a standard deviation: of two values that differ in that thing alone, the root mean square of the difference over
    the root of two; of the split, what is left of the spread of the folds' means when that of seeds is taken off.
    """
    wide = (
        data.pivot_table(index=["network", "kernels", "fold", "seed", "select"], columns="method", values="test") * 100
    )
    for side in ("released", "refined"):
        if {side, "stbp"} <= set(wide.columns):
            wide[f"{side} − stbp"] = wide[side] - wide["stbp"]
    rows: list[list[str]] = []
    for network, here in wide.groupby("network"):
        here = here.droplevel("network")
        for name in here.columns:
            of_one = here[name].dropna().unstack("select")
            if of_one.empty:
                continue
            last = of_one["last"].unstack("kernels")
            default = last["default"].dropna() if "default" in last else pd.Series(dtype=float)
            within = default.groupby("fold").std(ddof=1).dropna()
            seed = rms(within)
            processor = rms((last["default"] - last["AVX2"]).dropna()) / np.sqrt(2) if "AVX2" in last else float("nan")
            count = default.groupby("fold").size().mean()
            between = default.groupby("fold").mean().var(ddof=1) - seed**2 / count
            split = float(np.sqrt(max(between, 0.0)))
            selection = rms((of_one["best"] - of_one["last"]).dropna()) / np.sqrt(2)
            gain = float((of_one["best"] - of_one["last"]).mean())
            average = float((of_one["average"] - of_one["last"]).mean())
            spread = default.std(ddof=1)
            error = spread / np.sqrt(len(default))
            numbers = [default.mean(), seed, processor, split, selection, gain, average, spread, error]
            rows.append(
                [
                    str(network),
                    str(name),
                    str(len(default)),
                    *("–" if np.isnan(each) else f"{each:.2f}" for each in numbers),
                ]
            )
    return rows


def tuning() -> str:
    """Validation accuracy of other recipes, its spread over folds and seeds, for each selection: as a table."""
    data = pd.read_csv(TUNING)
    data["percent"] = 100 * data["validation"]
    rows = []
    for (recipe, method), here in data.groupby(["recipe", "method"], sort=False):
        found = here.groupby("select")["percent"].agg(["mean", "std"])
        last, best = found.loc["last"], found.loc["best"]
        if (count := int(here["select"].eq("last").sum())) > 2:
            numbers = (last["mean"], last["std"], best["mean"], best["std"])
            rows.append([recipe, method, count, *(f"{each:.2f}" for each in numbers)])
    head = ["Recipe", "Method", "n", "Last epoch", "Spread", "Best epoch", "Spread"]
    return tabulate(rows, head, tablefmt="github", disable_numparse=True)


def what_each_is_worth() -> str:
    """The table of the page."""
    head = ["Network", "Accuracy of", "n", "Mean", "Seed", "Processor", "Split", "Selection", "Best − last"]
    head += ["Average − last", "Spread", "Standard error"]
    return tabulate(worth(rows_so_far()), head, tablefmt="github", disable_numparse=True)


TABLES: dict[str, Callable[[], str]] = {"evidence": what_each_is_worth, "tuning": tuning}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="+", default=["vgg-tiny", "resnet-tiny"])
    parser.add_argument("--methods", nargs="+", default=list(SIDES))
    parser.add_argument("--seeds", nargs="+", type=int, default=list(range(9)))
    parser.add_argument("--kernels", nargs="+", default=list(KERNELS))
    parser.add_argument(
        "--one", nargs=4, metavar=("NETWORK", "METHOD", "SEED", "KERNELS"), help="a training, for itself"
    )
    parser.add_argument("--fill", action="store_true", help="only fill the page from what is there")
    chosen = parser.parse_args()
    if chosen.one:
        network, method, seed, kernels = chosen.one
        for row in train_once(network, method, int(seed), kernels):
            print(",".join(map(str, row)))
        return
    if not chosen.fill:
        measure(chosen.networks, chosen.methods, chosen.seeds, chosen.kernels)
    blocks.fill(PAGE, {name: table() for name, table in TABLES.items()})


if __name__ == "__main__":
    main()
