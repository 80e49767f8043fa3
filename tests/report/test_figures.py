import html
import json
import os
import re
import shutil
import subprocess
import sys
from base64 import b64encode
from pathlib import Path

import pandas as pd
import pytest

from snn2ann.errors import UserError
from snn2ann.report.figures import FIGURES, make_figure, style
from snn2ann.report.figures.accuracy_against_spikes import accuracy_against_spikes
from snn2ann.report.results import COLUMNS, collect_results, load_results
from snn2ann.report.selection import without_ablation
from snn2ann.report.study_data import load_study
from snn2ann.report.tables import TABLES, make_table

from .synthetic import METHODS, Method, write_study

LABELS = ["dataset", "network", "method", "variant", "mapping_unit", "ata", "training_time_steps", "time_steps"]
KINDS = ("png", "svg", "pdf", "html", "csv")


@pytest.fixture(scope="module")
def drawn(small_study: Path) -> Path:
    for name in FIGURES:
        make_figure(name, small_study)
    return small_study


def data(study: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(study / "figures" / f"{name}.csv", keep_default_na=False)


def test_every_figure_has_every_file(drawn: Path) -> None:
    heads = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF", "html": b"<!DOCTYPE html>", "csv": b"dataset"}
    for name in FIGURES:
        for kind in KINDS:
            content = (drawn / "figures" / f"{name}.{kind}").read_bytes()
            assert content.startswith(heads[kind]) or (name, kind) == ("training_cost", "csv")


@pytest.mark.parametrize("name", [name for name in FIGURES if name not in ("training_cost", "ablation_effects")])
def test_an_unknown_method_is_in_every_figure(drawn: Path, name: str) -> None:
    assert "dummy" in set(data(drawn, name)["method"])


def test_an_unknown_method_is_in_the_cost_figure_once_it_is_measured(small_study: Path, tmp_path: Path) -> None:
    shutil.copytree(small_study.parent / "measurements", tmp_path / "measurements")
    shutil.copytree(small_study, tmp_path / "synthetic")
    path = next((tmp_path / "measurements").glob("training_cost-*"))
    lines = path.read_text().splitlines()
    path.write_text(
        "\n".join([*lines, *(line.replace(",ann,", ",dummy,") for line in lines if ",ann," in line)]) + "\n"
    )
    make_figure("training_cost", tmp_path / "synthetic")
    assert "dummy" in set(data(tmp_path / "synthetic", "training_cost")["method"])


@pytest.mark.parametrize("measure", ["accuracy", "spikes_per_image", "energy"])
def test_points_of_the_frontier_are_the_means_in_results(drawn: Path, measure: str) -> None:
    results = load_results(drawn)
    rows = results[(results["measure"] == measure) & (results["split"] == "test")]
    # Of the headline's method no other configuration: these belong to the ablation.
    judged = (rows["mapping_unit"] == "resu") & (rows["ata"] == "training")
    rows = rows[(rows["method"] != "snn2ann") | judged]
    means = rows.groupby(LABELS, dropna=False)["value"].agg(["mean", "count"])
    points = data(drawn, "accuracy_against_spikes").replace({"training_time_steps": "", "time_steps": ""}, pd.NA)
    points = points[points[f"{measure}_mean"] != ""]
    assert len(points) == len(means)
    for column in ("training_time_steps", "time_steps"):
        points[column] = points[column].astype("Int64")
    both = points.merge(means.reset_index(), on=LABELS)
    assert len(both) == len(means)
    assert both[f"{measure}_mean"].astype(float).tolist() == pytest.approx(both["mean"].tolist())
    assert both["n"].tolist() == both["count"].tolist()


def test_effects_of_the_ablation_are_paired_differences_from_the_headline(drawn: Path) -> None:
    results = load_results(drawn)
    rows = results[
        (results["measure"] == "accuracy") & (results["split"] == "test") & (results["network"] == "vgg-small")
    ]
    rows = rows[(rows["method"] == "snn2ann") & (rows["time_steps"] == 5)]
    values = {key: each.set_index("seed")["value"] for key, each in rows.groupby(["mapping_unit", "ata"])}
    headline = values.pop(("resu", "training"))
    shown = data(drawn, "ablation_effects")
    shown = shown[shown["network"] == "vgg-small"]
    expected = sorted(100 * (each - headline).mean() for each in values.values())
    assert sorted(shown["accuracy_mean"].astype(float)) == pytest.approx(expected)
    assert len(expected) == len(shown) > 2


def test_a_methods_look_is_the_same_in_figures_with_and_without_the_ablation(small_study: Path) -> None:
    study = load_study(small_study)
    whole, part = style.looks(study), style.looks(without_ablation(study))
    assert whole == part and len(without_ablation(study).configurations) < len(study.configurations)
    assert {study.label(each) for each in without_ablation(study).configurations} == {
        without_ablation(study).label(each) for each in without_ablation(study).configurations
    }


def test_figures_without_the_ablation_have_nothing_of_a_calibration_that_they_leave_out(drawn: Path) -> None:
    shown = data(drawn, "firing_rate")
    own = shown[(shown["method"] == "snn2ann") & (shown["network"] == "vgg-small")]
    assert set(own["ata"]) == {"training"} and set(own["n"].astype(int)) == {2}


def test_convergence_shows_the_histories(drawn: Path) -> None:
    runs = json.loads((drawn / "study.json").read_text())["runs"]
    own = [run for run in runs if (run["method"], run["training_time_steps"]) == ("stbp", 8)]
    losses = [pd.read_csv(drawn.parent / "runs" / run["name"] / "history.csv")["train_loss"] for run in own]
    shown = data(drawn, "convergence")
    shown = shown[shown["configuration"] == "Spike-based BP, T=8"]
    means = pd.concat(losses, axis=1).mean(axis=1)
    assert shown["train_loss_mean"].astype(float).tolist() == pytest.approx(means.tolist())


def test_noisy_spikes_before_and_after_calibration(drawn: Path) -> None:
    shown = data(drawn, "noisy_spikes")
    layers = shown[(shown["panel"] == "layers") & (shown["mapping_unit"] == "resu")]
    before, after = (layers[layers["ata"] == word] for word in ("training", "training+calibration"))
    assert before["layer"].tolist() == after["layer"].tolist() == [f"conv{number}" for number in range(1, 7)]
    assert (after["mean"].to_numpy() < before["mean"].to_numpy()).all()
    results = load_results(drawn)
    rate = results[
        (results["measure"] == "noisy_spike_rate") & (results["split"] == "test") & (results["ata"] == "training")
    ]
    assert before["mean"].mean() == pytest.approx(rate["value"].mean())


def test_thresholds_span_the_seeds(drawn: Path) -> None:
    runs = json.loads((drawn / "study.json").read_text())["runs"]
    own = [run for run in runs if run["method"] == "snn2ann" and run["ata"]]
    layers = pd.concat([pd.read_csv(drawn.parent / "runs" / run["name"] / "layers.csv") for run in own])
    last = layers[(layers["epoch"] == 20) & (layers["layer"] == "conv6")]
    shown = data(drawn, "threshold_evolution")
    point = shown[(shown["ata"] == "training") & (shown["epoch"] == 20) & (shown["layer"] == "conv6")].iloc[0]
    assert point["mean"] == pytest.approx(last["threshold_mean"].mean())
    assert point["maximum"] == last["threshold_maximum"].max()
    assert point["position"] == 6


def test_another_process_makes_the_same_bytes(drawn: Path, tmp_path: Path) -> None:
    for name in TABLES:
        make_table(name, drawn)
    for part in ("runs", "measurements", "synthetic"):
        shutil.copytree(drawn.parent / part, tmp_path / part, ignore=shutil.ignore_patterns("figures", "tables"))
    code = (
        "import sys; from pathlib import Path\n"
        "from snn2ann.report.figures import FIGURES, make_figure\n"
        "from snn2ann.report.tables import TABLES, make_table\n"
        "for name in TABLES: make_table(name, Path(sys.argv[1]))\n"
        "for name in FIGURES: make_figure(name, Path(sys.argv[1]))"
    )
    # Another seed of hashes: nothing may follow the order of a set.
    environment = {**os.environ, "PYTHONHASHSEED": "1"}
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "synthetic")], check=True, env=environment)
    made = [path for part in ("figures", "tables") for path in (tmp_path / "synthetic" / part).iterdir()]
    assert len(made) == len(KINDS) * len(FIGURES) + 4 * len(TABLES)
    for path in made:
        assert path.read_bytes() == (drawn / path.parent.name / path.name).read_bytes(), path.name


@pytest.mark.parametrize("name", FIGURES)
def test_vector_fonts_are_in_the_files(drawn: Path, name: str) -> None:
    content = (drawn / "figures" / f"{name}.pdf").read_bytes()
    # TrueType as it is (type 42), none drawn as pictures of glyphs; in SVG letters are outlines, so no font is needed.
    assert b"/FontFile2" in content and b"/CIDFontType2" in content and b"/Type3" not in content
    assert "<text" not in (drawn / "figures" / f"{name}.svg").read_text()


@pytest.mark.parametrize("name", FIGURES)
def test_the_page_of_a_figure_needs_no_other_file(drawn: Path, name: str) -> None:
    text = (drawn / "figures" / f"{name}.html").read_text()
    picture = b64encode((drawn / "figures" / f"{name}.png").read_bytes()).decode()
    sources = re.findall(r'(?:src|href)="([^"]*)"', text)
    assert sources == [f"data:image/png;base64,{picture}"]
    assert FIGURES[name].reading.split(".")[0] in html.unescape(text)
    assert f"snn2ann figure {name} --study-folder results/synthetic" in text


@pytest.mark.parametrize("name", FIGURES)
def test_axes_are_named(small_study: Path, name: str) -> None:
    with style.theme():
        figure = FIGURES[name].load()(load_study(small_study)).figure
        figure.draw_without_rendering()
        grid = [axes for axes in figure.axes if axes.get_visible()]
        for axes in grid:
            at = axes.get_subplotspec()
            assert at is not None
            # Panels that share an axis name it once, at the left and at the bottom.
            row = [other for other in grid if other.get_subplotspec().rowspan == at.rowspan]
            column = [other for other in grid if other.get_subplotspec().colspan == at.colspan]
            assert figure.get_supylabel() or any(other.get_ylabel() for other in row)
            assert any(other.get_xlabel() for other in column)


def test_curves_show_the_range_of_the_seeds(drawn: Path) -> None:
    results = load_results(drawn)
    rows = results[(results["measure"] == "accuracy") & (results["split"] == "test") & (results["method"] == "stbp")]
    own = rows[(rows["training_time_steps"] == 8) & (rows["time_steps"] == 8)]["value"]
    shown = data(drawn, "accuracy_over_time_steps")
    point = shown[(shown["configuration"] == "Spike-based BP, T=8") & (shown["time_steps"] == "8")].iloc[0]
    assert (float(point["accuracy_least"]), float(point["accuracy_greatest"])) == (own.min(), own.max())
    runs = json.loads((drawn / "study.json").read_text())["runs"]
    ann = [run["name"] for run in runs if run["method"] == "ann"]
    losses = [pd.read_csv(drawn.parent / "runs" / name / "history.csv")["train_loss"] for name in ann]
    curves = data(drawn, "convergence")
    curve = curves[curves["configuration"] == "ANN"]
    assert curve["train_loss_least"].astype(float).tolist() == pd.concat(losses, axis=1).min(axis=1).tolist()
    assert curve["train_loss_greatest"].astype(float).tolist() == pd.concat(losses, axis=1).max(axis=1).tolist()


def test_noisy_spikes_of_each_layer_over_epochs(drawn: Path) -> None:
    runs = json.loads((drawn / "study.json").read_text())["runs"]
    own = [run for run in runs if run["mapping_unit"] == "stsu"]
    layers = pd.concat([pd.read_csv(drawn.parent / "runs" / run["name"] / "layers.csv") for run in own])
    rates = layers[(layers["epoch"] == 7) & (layers["layer"] == "conv3")]["noisy_spike_rate"]
    shown = data(drawn, "noisy_spike_evolution")
    point = shown[(shown["mapping_unit"] == "stsu") & (shown["epoch"] == 7) & (shown["layer"] == "conv3")].iloc[0]
    assert point["mean"] == pytest.approx(rates.mean())
    assert (point["minimum"], point["maximum"], point["n"]) == (rates.min(), rates.max(), len(own))


def test_legends_leave_out_what_was_not_run(small_study: Path, tmp_path: Path) -> None:
    shutil.copytree(small_study.parent / "runs", tmp_path / "runs")
    shutil.copytree(small_study, tmp_path / "synthetic")
    path = tmp_path / "synthetic" / "study.json"
    content = json.loads(path.read_text())
    own = next(run for run in content["runs"] if run["method"] == "snn2ann")
    named = own | {"name": "elsewhere", "changed": {"reset": "subtract"}}
    path.write_text(json.dumps(content | {"not_run": [named]}))
    study = load_study(tmp_path / "synthetic")
    for name, entry in FIGURES.items():
        with style.theme():
            figure = entry.load()(study).figure
            told = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
        assert not any("reset=subtract" in words for words in told), name


def test_runs_of_another_study_in_the_same_folder_are_not_drawn(small_study: Path, tmp_path: Path) -> None:
    shutil.copytree(small_study.parent, tmp_path, dirs_exist_ok=True)
    folder = tmp_path / small_study.name
    content = json.loads((folder / "study.json").read_text())
    own = [run for run in content["runs"] if run["method"] != "dummy"]
    named = [run for run in content["runs"] if run["method"] == "dummy"]
    (folder / "study.json").write_text(json.dumps(content | {"runs": own, "not_run": named}))
    collect_results(folder)
    for name in FIGURES:
        make_figure(name, folder)
        assert "dummy" not in set(data(folder, name)["method"]), name
    make_table("provenance", folder)
    made_with = pd.read_csv(folder / "tables" / "provenance.csv").set_index("item")
    assert made_with.loc["torch", "runs"] == len(own)


@pytest.mark.parametrize("name", FIGURES)
def test_a_study_of_which_nothing_has_run(tmp_path: Path, name: str) -> None:
    folder = write_study(tmp_path, METHODS[:5], ("vgg-small",), (0,), cost=False)
    shutil.rmtree(tmp_path / "runs")
    (folder / "results.csv").write_text(",".join(COLUMNS) + "\n")
    make_figure(name, folder)
    assert (folder / "figures" / f"{name}.png").exists()
    assert data(folder, name).empty


def test_one_run_of_one_seed_is_enough(tmp_path: Path) -> None:
    folder = write_study(tmp_path, METHODS[4:5], ("vgg-small",), (0,), cost=False)
    collect_results(folder)
    make_figure("accuracy_against_spikes", folder)
    points = data(folder, "accuracy_against_spikes")
    assert set(points["n"]) == {1} and set(points["accuracy_low"]) == {""}


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("convergence", "history.csv"),
        ("threshold_evolution", "layers.csv"),
        ("noisy_spikes", "evaluation-e0e0e0e0.json"),
    ],
)
def test_a_wrong_file_is_named_and_the_figure_is_made(tmp_path: Path, name: str, file: str) -> None:
    folder = write_study(tmp_path, METHODS[4:5], ("vgg-small",), (0, 1), cost=False)
    collect_results(folder)
    wrong = next(path for path in (tmp_path / "runs").iterdir() if "_s1-" in path.name) / file
    wrong.write_text("nonsense")
    with pytest.raises(UserError, match=str(wrong)):
        make_figure(name, folder)
    shown = data(folder, name)
    assert set(shown[shown["panel"] == "layers"]["n"] if name == "noisy_spikes" else shown["n"]) == {1}


def test_a_figure_says_that_runs_are_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_study(tmp_path, METHODS[:1], ("vgg-small",), (0, 1), cost=False)
    shutil.rmtree(next(path for path in (tmp_path / "runs").iterdir() if "_s1-" in path.name))
    with pytest.raises(UserError, match="has not been made"):
        collect_results(folder)
    written: list[str] = []
    save = style.save

    def note_and_save(drawing: style.Drawing, stem: Path) -> None:
        written.append(drawing.figure.get_suptitle())
        save(drawing, stem)

    monkeypatch.setattr(style, "save", note_and_save)
    make_figure("convergence", folder)
    assert written == ["Incomplete: 1 of 2 runs have no results (snakemake --cores all --config study=synthetic)"]


def test_an_unknown_figure_names_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no figure is called nonsense; there are accuracy_over_time_steps, conf"):
        make_figure("nonsense", tmp_path)


def test_a_point_below_the_accuracy_axis_stretches_no_cost_axis(tmp_path: Path) -> None:
    poor = Method("dummy", 4, accuracy=0.2, spikes=1e-6)
    limits = []
    for number, methods in enumerate(([*METHODS], [*METHODS, poor])):
        folder = write_study(tmp_path / str(number), methods, ("vgg-small",), (0,), cost=False)
        collect_results(folder)
        with style.theme():
            drawing = accuracy_against_spikes(load_study(folder))
            limits.append(drawing.figure.axes[0].get_xlim())
    few = drawing.data.loc[drawing.data["method"] == "dummy", "spikes_per_image_mean"].max()
    assert few < limits[0][0] / 100
    assert limits[1] == pytest.approx(limits[0])
