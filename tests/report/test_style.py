import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from matplotlib import pyplot as plt
from matplotlib.lines import Line2D

from snn2ann.methods import METHODS as REGISTERED
from snn2ann.methods import MethodEntry
from snn2ann.report.configurations import Configuration, method_name, network_name
from snn2ann.report.figures.style import ROWS_WITH_ROOM, WIDTH, legend_below, looks, method_look, say, theme
from snn2ann.report.results import COLUMNS
from snn2ann.report.study_data import load_study

from .synthetic import DUMMY, METHODS, Method, write_study


def test_a_method_has_one_colour_and_marker(small_study: Path) -> None:
    found = looks(load_study(small_study))
    by_method: dict[tuple[str, str], set[tuple[str, str]]] = {}
    for each, look in found.items():
        by_method.setdefault((each.method, each.mapping_unit), set()).add((look.colour, look.marker))
    assert all(len(own) == 1 for own in by_method.values())
    shown = [own.pop() for own in by_method.values()]
    assert len({colour for colour, _ in shown}) == len({marker for _, marker in shown}) == len(shown)


def test_configurations_of_a_method_differ_in_line_or_filling(small_study: Path) -> None:
    found = looks(load_study(small_study))
    every = [(look.colour, str(look.line), look.hollow) for look in found.values()]
    assert len(set(every)) == len(every)


def test_in_grey_configurations_differ_in_marker_line_or_filling(tmp_path: Path) -> None:
    """Also in an ablation, where one method has many configurations."""
    parts: list[dict[str, Any]] = [{"membrane_dropout": 0}, {"reset": "subtract"}, {"input_coding": "divide"}]
    parts += [{"threshold_start": each} for each in (0.5, 1)]
    own = [replace(METHODS[4], changed=part) for part in parts] + [replace(METHODS[4], variant="refined")]
    folder = write_study(tmp_path, [*METHODS, DUMMY, *own], ("vgg-small",), (0,), cost=False)
    (folder / "results.csv").write_text(",".join(COLUMNS) + "\n")
    found = looks(load_study(folder))
    every = [(look.marker, str(look.line), look.hollow) for look in found.values()]
    assert len(set(every)) == len(every) == 2 * (5 + 6) + 4


def test_rows_of_an_ablation_have_colours_of_their_own(tmp_path: Path) -> None:
    parts: list[dict[str, Any]] = [{"threshold_start": 0.1 * number} for number in range(8)]
    refined = replace(METHODS[6], variant="refined")
    own = [refined, *(replace(refined, changed=part) for part in parts)]
    folder = write_study(tmp_path, [*METHODS, *own], ("vgg-small",), (0,), cost=False)
    (folder / "results.csv").write_text(",".join(COLUMNS) + "\n")
    found = {each.trained: look for each, look in looks(load_study(folder)).items() if each.variant == "refined"}
    assert len({look.colour for look in found.values()}) == len(found) == 1 + 8
    assert len({look.marker for look in found.values()}) == 1


def test_options_that_a_study_has_instead_of_the_defaults_keep_the_methods_own_look(tmp_path: Path) -> None:
    few, free = {"threshold_descent": 0.01}, {"spike_penalty": 0.0}
    methods = [Method("snn2ann", 5, "refined", "stsu", True, noise=0.01, changed=each) for each in (few, free)]
    folder = write_study(tmp_path / "tuned", methods, ("vgg-small",), (0,), cost=False)
    (folder / "results.csv").write_text(",".join(COLUMNS) + "\n")
    own = method_look("snn2ann", "stsu", "refined")[0]
    colours = {each.setting: look.colour for each, look in looks(load_study(folder)).items()}
    assert colours["threshold descent=0.01"] == own != colours["spike penalty=0"]
    folder = write_study(
        tmp_path / "both", [*methods, Method("snn2ann", 5, "refined", "stsu", True)], ("vgg-small",), (0,)
    )
    (folder / "results.csv").write_text(",".join(COLUMNS) + "\n")
    colours = {each.setting: look.colour for each, look in looks(load_study(folder)).items()}
    assert colours[""] == own and len(set(colours.values())) == 3


def test_words_in_the_place_of_data_stay_within_their_panel() -> None:
    figure, grid = plt.subplots(1, 3, figsize=(WIDTH, 2), layout="constrained")
    for axes in grid:
        say(axes, "not run: snakemake --cores all --config study=fashion-mnist-medium")
    figure.draw_without_rendering()
    for axes in grid:
        words, panel = axes.texts[0].get_window_extent(), axes.get_window_extent()
        assert panel.x0 <= words.x0 and words.x1 <= panel.x1


def test_every_method_has_a_name_and_a_look_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        later = MethodEntry("somewhere:Later", f"Later {number}", revision=1)
        monkeypatch.setitem(REGISTERED, f"later-{number}", later)
    assert len({entry.label for entry in REGISTERED.values()}) == len(REGISTERED)
    found = [method_look(name) for name, entry in REGISTERED.items() if not entry.looks]
    found += [look for entry in REGISTERED.values() for look in entry.looks.values()]
    assert len({colour for colour, _ in found}) == len({marker for _, marker in found}) == len(found)


def test_a_method_of_several_looks_has_that_of_its_variant_else_that_of_its_unit() -> None:
    given = REGISTERED["snn2ann"].looks
    assert method_look("snn2ann", "stsu", "refined") == given["refined"]
    assert [method_look("snn2ann", unit, "released") for unit in ("resu", "stsu")] == [given["resu"], given["stsu"]]


def test_panels_keep_their_size_under_a_long_legend() -> None:
    heights = {}
    with theme():
        for entries in (ROWS_WITH_ROOM, 20):
            figure, axes = plt.subplots(figsize=(WIDTH, 3), layout="constrained")
            words = "a configuration of a method with a long name, and another option, number"
            legend_below(figure, [Line2D([], [], label=f"{words} {number}") for number in range(entries)])
            figure.draw_without_rendering()
            heights[entries] = axes.get_position().height * figure.get_figheight()
    assert heights[20] == pytest.approx(heights[ROWS_WITH_ROOM], abs=0.3)


def test_an_unknown_method_keeps_its_look_and_borrows_none() -> None:
    assert method_look("dummy") == method_look("dummy")
    known = {look[0] for entry in REGISTERED.values() for look in entry.looks.values()}
    assert not {method_look(f"dummy {number}")[0] for number in range(100)} & known
    assert method_look("dummy") != method_look("another")


def test_names_in_words() -> None:
    assert Configuration("conversion", ata="none").label() == "Conversion"
    assert Configuration("conversion", ata="calibration").label() == "Conversion (calibrated)"
    own = Configuration("snn2ann", "released", "stsu", "training+calibration", 5)
    assert own.label() == "SNN2ANN (STSU, ATA, calibrated), T=5"
    assert own.trained == Configuration("snn2ann", "released", "stsu", "training", 5)
    assert [method_name(each) for each in ("stbp", "mine")] == ["Spike-based BP", "mine"]
    names = {"vgg13": "VGG-13", "resnet-17": "ResNet-17", "vgg-small": "VGG (small)", "vgg": "VGG", "mine": "mine"}
    assert {name: network_name(name) for name in names} == names


def test_lists_of_tables_and_figures_import_nothing_heavy() -> None:
    code = (
        "import sys, snn2ann.report.figures, snn2ann.report.tables\n"
        "print(*sorted({'pandas', 'matplotlib', 'scipy', 'seaborn', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
