"""The figure of what each class is taken for: counts of the runs, summed over seeds, of few classes and of many."""

import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from snn2ann.report.confusions import Confusion
from snn2ann.report.figures import FIGURES, make_figure, style
from snn2ann.report.figures.confusion import _draw, confusion_matrices
from snn2ann.report.registry import listed
from snn2ann.report.study_data import load_study


def test_data_are_the_counts_of_the_runs(small_study: Path) -> None:
    make_figure("confusion", small_study)
    shown = pd.read_csv(
        small_study / "figures/confusion.csv", keep_default_na=False, dtype={"class": str, "answer": str}
    )
    runs = json.loads((small_study / "study.json").read_text())["runs"]
    own = [run for run in runs if (run["method"], run["training_time_steps"]) == ("stbp", 8)]
    counts = np.zeros((4, 4), int)
    for run in own:
        entries = json.loads((small_study.parent / "runs" / run["name"] / run["evaluation"]).read_text())["entries"]
        tested = next(each for each in entries if (each["checkpoint"], each["split"]) == ("selected", "test"))
        counts += np.array(tested["confusion"])
    here = shown[shown["configuration"] == "Spike-based BP, T=8"]
    table = here.pivot(index="class", columns="answer", values="images").fillna(0).to_numpy()
    np.testing.assert_array_equal(table, counts)
    assert here.groupby("class")["share"].sum().tolist() == pytest.approx([1] * 4)


def test_panels_are_the_two_sides_of_the_claims(small_study: Path) -> None:
    with style.theme():
        drawn = confusion_matrices(load_study(small_study))
        titles = [axes.get_title().splitlines()[1] for axes in drawn.figure.axes if axes.get_visible()]
    assert len(titles) == 2 and titles[1] == "Spike-based BP, T=8" and "T=5" in titles[0]
    assert drawn.data["method"].nunique() > 3


@pytest.mark.parametrize(
    ("classes", "written", "named"), [(2, True, True), (12, True, True), (30, False, True), (100, False, False)]
)
def test_two_to_a_hundred_classes(classes: int, written: bool, named: bool) -> None:
    names = [f"class number {number}" for number in range(classes)]
    counts = np.eye(classes, dtype=np.int64) * 9 + 1
    with style.theme():
        figure, axes = plt.subplots()
        _draw(axes, Confusion(counts, 5, names), "")
        figure.draw_without_rendering()
        ticks = [tick.get_text() for tick in axes.get_yticklabels()]
    assert (len(axes.texts) == classes**2) == written and (len(axes.texts) == 0) != written
    assert ticks[0].startswith("class") == named and len(ticks) == (classes if named else 10)
    assert all(len(tick) <= 12 for tick in ticks)


def test_it_is_a_figure_of_data_of_ones_own_alone() -> None:
    assert "confusion" not in listed(FIGURES, {"datasets": {"digits": {}}})
    assert "confusion" in listed(FIGURES, {"datasets": {"mine": {"kind": "folder"}}})
