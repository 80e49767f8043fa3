"""One run in a terminal: its parameters, its curves as text, its final figures."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from tabulate import tabulate

from snn2ann.report.compare import selected_epoch, shown_number
from snn2ann.report.configurations import flatten
from snn2ann.report.table import shown
from snn2ann.runs.columns import BALANCED
from snn2ann.runs.folder import RunFolder
from snn2ann.runs.problems import raise_problems, try_read
from snn2ann.runs.reading import read_history, read_layers
from snn2ann.runs.recorded_run import Entry, RecordedRun, figures_at, read_recorded_run

BARS = "▁▂▃▄▅▆▇█"
WIDTH = 48  # characters of a curve


def show_run(name: str, root: Path, time_steps: int | None = None) -> None:
    """Print one run.

    Args:
        name: the run's folder, or its name under `root`.
        root: the folder of all runs.
        time_steps: T of the final figures; None for the training T or, where there is none, the largest T evaluated.

    Raises:
        UserError: no such run, T was not evaluated; or, once the rest has been printed, files of the run are wrong.
    """
    run = read_recorded_run(name, root)
    problems, files = list(run.problems), RunFolder(run.folder)
    sections = {
        "Parameters": _plain(flatten(run.spec).items()),
        "Training": _plain(_training(run)),
        "Curves, by epoch": _curves(_history_curves(_read(read_history, files.history, problems))),
        "Layers, by epoch": _curves(_layer_curves(_read(read_layers, files.layers, problems))),
        "Final figures": _final(run, time_steps),
        "Accuracy (%) over T": _curves(_accuracy_curves(run)),
    }
    print("\n".join([run.name, *(f"missing: {each}" for each in run.missing)]))
    for title, text in sections.items():
        if text:
            print(f"\n{title}\n{text}")
    raise_problems(problems, "the run was shown by the rest")


def described_run(name: str, root: Path, time_steps: int | None = None) -> dict[str, object]:
    """Tell what `show_run` prints, and every evaluation whole, as maps and lists for a script.

    Raises:
        UserError: no such run, or T was not evaluated.
    """
    run = read_recorded_run(name, root)
    problems, files = list(run.problems), RunFolder(run.folder)
    curves = {
        "history": _read(read_history, files.history, problems),
        "layers": _read(read_layers, files.layers, problems),
    }
    return {
        "run": run.name,
        "folder": str(run.folder),
        "parameters": run.spec,
        "training": run.training,
        "figures": [
            dict(zip(("evaluation", "split", "checkpoint", "thresholds"), (file, *_identity(entry)), strict=True))
            | figures_at(run, entry, time_steps)
            for file, entries in run.evaluations.items()
            for entry in entries
        ],
        "evaluations": run.evaluations,
        **{key: frame.to_dict("records") for key, frame in curves.items()},
        "missing": run.missing,
        "problems": problems,
    }


def sparkline(values: Sequence[float], width: int = WIDTH) -> str:
    """A curve as a line of blocks, from the least value to the greatest; at most `width` of them, evenly picked."""
    if len(values) > width:
        values = [values[round(at * (len(values) - 1) / (width - 1))] for at in range(width)]
    low, high = min(values), max(values)
    # Rounding of a mean that stands still is no curve.
    flat = high - low <= 1e-6 * max(abs(low), abs(high))
    scale = 0.0 if flat else (len(BARS) - 1) / (high - low)
    return "".join(BARS[round((value - low) * scale)] for value in values)


def _read(read: Callable[[Path], pd.DataFrame], file: Path, problems: list[str]) -> pd.DataFrame:
    """The rows of a file; none where it isn't there yet or is wrong."""
    found = try_read(read, file, problems) if file.exists() else None
    return pd.DataFrame() if found is None else found


def _training(run: RecordedRun) -> Iterator[tuple[str, Any]]:
    training = run.training
    if training is None:
        return
    yield "trained parameters", shown_number(training["parameters"], 0)
    yield "selected epoch", selected_epoch(training)
    yield "seconds", shown_number(training["seconds"], 1)
    for key in ("device", "threads"):
        yield key, training.get(key)
    yield from flatten(training.get("machine", {}), "machine.").items()
    yield from flatten(training.get("versions", {}), "version.").items()
    yield "commit", f"{shown(training.get('commit'))}{', with changes' if training.get('dirty') else ''}"


Curve = tuple[str, list[float]]


def _history_curves(history: pd.DataFrame) -> Iterator[Curve]:
    for column in history.columns.drop("epoch", errors="ignore"):
        yield column.replace("_", " "), history[column].dropna().tolist()


def _layer_curves(layers: pd.DataFrame) -> Iterator[Curve]:
    if layers.empty:
        return
    for measure in ("noisy_spike_rate", "threshold_mean", "firing_rate"):
        for layer, group in layers.groupby("layer", sort=False):
            yield f"{measure.replace('_', ' ')}, {layer}", group[measure].dropna().tolist()


def _accuracy_curves(run: RecordedRun) -> Iterator[Curve]:
    for words, entry in _entries(run):
        yield ", ".join(words), [100 * value for value in entry["accuracy"]]


def _entries(run: RecordedRun) -> Iterator[tuple[list[str], Entry]]:
    several = len(run.evaluations) > 1
    for file, entries in run.evaluations.items():
        for entry in entries:
            yield [file] * several + _identity(entry), entry


def _identity(entry: Entry) -> list[str]:
    """Which of an evaluation's entries one is."""
    return [entry["split"], entry["checkpoint"], entry["thresholds"]]


def _final(run: RecordedRun, time_steps: int | None) -> str:
    # Of images of one's own, whose classes may be of any size.
    balanced = any(BALANCED in entry for _, entry in _entries(run))
    rows = []
    for words, entry in _entries(run):
        figures = figures_at(run, entry, time_steps)
        rows.append(
            [
                *words,
                shown(figures["time_steps"]),
                shown_number(figures["accuracy"], 2, 100),
                *([shown_number(figures[BALANCED], 2, 100)] * balanced),
                shown_number(figures["spikes_per_image"], 1),
                shown_number(figures["noisy_spike_rate"], 2, 100),
                shown_number(figures["energy"], 4, 1e6),
            ]
        )
    accuracies = ["accuracy (%)", *["balanced accuracy (%)"] * balanced]
    measures = ["T", *accuracies, "spikes per image", "noisy spikes (%)", "energy (µJ)"]
    evaluation = ["evaluation"] * (len(run.evaluations) > 1)
    return _table(rows, [*evaluation, "split", "epoch", "thresholds", *measures])


def _curves(curves: Iterator[Curve]) -> str:
    rows = [
        [name, sparkline(values), *(f"{each:.4g}" for each in (values[0], values[-1], min(values), max(values)))]
        for name, values in curves
        if values
    ]
    return _table(rows, ["", "", "first", "last", "least", "greatest"])


def _plain(pairs: Any) -> str:
    return _table([[key, shown(value)] for key, value in pairs], None)


def _table(rows: list[list[str]], headers: list[str] | None) -> str:
    if not rows:
        return ""
    return str(tabulate(rows, headers or (), tablefmt="plain" if headers is None else "simple", disable_numparse=True))
