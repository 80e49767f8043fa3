import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from snn2ann.errors import UserError
from snn2ann.report.figures import FIGURES, make_figure, style
from snn2ann.report.results import COLUMNS, collect_results, load_results
from snn2ann.report.tables import TABLES, make_table

from .synthetic import METHODS, write_study

LABELS = ["dataset", "network", "method", "variant", "mapping_unit", "ata", "training_time_steps", "time_steps"]
KINDS = ("png", "svg", "pdf", "csv")


@pytest.fixture(scope="module")
def drawn(small_study: Path) -> Path:
    for name in FIGURES:
        make_figure(name, small_study)
    return small_study


def data(study: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(study / "figures" / f"{name}.csv", keep_default_na=False)


def test_every_figure_has_every_file(drawn: Path) -> None:
    heads = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF", "csv": b"dataset"}
    for name in FIGURES:
        for kind in KINDS:
            content = (drawn / "figures" / f"{name}.{kind}").read_bytes()
            assert content.startswith(heads[kind]) or (name, kind) == ("training_cost", "csv")


@pytest.mark.parametrize("name", [name for name in FIGURES if name != "training_cost"])
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


def test_fonts_are_in_the_files(drawn: Path) -> None:
    content = (drawn / "figures" / "convergence.pdf").read_bytes()
    assert b"/FontFile2" in content and b"/Type3" not in content
    assert "<text" not in (drawn / "figures" / "convergence.svg").read_text()


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
    monkeypatch.setattr(style, "save", lambda drawing, stem: written.append(drawing.figure.get_suptitle()))
    make_figure("convergence", folder)
    assert written == ["Incomplete: 1 of 2 runs have no results (snakemake --cores all --config study=synthetic)"]


def test_an_unknown_figure_names_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no figure is called nonsense; there are convergence"):
        make_figure("nonsense", tmp_path)
