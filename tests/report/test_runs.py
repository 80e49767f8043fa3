"""`snn2ann compare` and `snn2ann show`: what they print is what the runs' files say."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from snn2ann.errors import UserError
from snn2ann.report.compare import compare_runs
from snn2ann.report.show import WIDTH, show_run, sparkline

from .synthetic import METHODS, Method, write_study

# The plain ANN, spike-based BP at T=8, SNN2ANN with calibration, conversion.
FEW = [METHODS[0], METHODS[2], METHODS[4], METHODS[3]]


@pytest.fixture
def runs(tmp_path: Path) -> dict[str, Path]:
    """The folder of each run of seed 0, by method."""
    study = write_study(tmp_path, FEW, ("vgg-small",), (0,), cost=False)
    described = json.loads((study / "study.json").read_text())["runs"]
    return {run["method"]: tmp_path / "runs" / run["name"] for run in described}


def entry_of(folder: Path, thresholds: str = "trained") -> dict[str, Any]:
    """The entry of the selected epoch on the test images."""
    entries = json.loads((folder / "evaluation-e0e0e0e0.json").read_text())["entries"]
    wanted = ("selected", thresholds, "test")
    return next(each for each in entries if (each["checkpoint"], each["thresholds"], each["split"]) == wanted)


def rows(printed: str) -> dict[str, list[str]]:
    """The cells of each row of the printed table, by its first cell."""
    found = {}
    for line in printed.splitlines():
        cells = [cell for cell in line.strip().split("  ") if cell.strip()]
        if cells:
            found[cells[0].strip()] = [cell.strip() for cell in cells[1:]]
    return found


def test_runs_side_by_side(runs: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    names = [runs[method].name for method in ("ann", "stbp", "snn2ann")]
    compare_runs(names, runs["ann"].parent)
    printed = capsys.readouterr().out
    table = rows(printed)
    spiking = [entry_of(runs["stbp"]), entry_of(runs["snn2ann"]), entry_of(runs["snn2ann"], "calibrated")]
    places = [7, 4, 4]  # T=8 and T=5 of a list that starts at T=1
    ann = entry_of(runs["ann"])
    accuracies = [ann["ann_accuracy"]] + [each["accuracy"][at] for each, at in zip(spiking, places, strict=True)]
    assert printed.startswith("".join(f"{number}  {name}\n" for number, name in enumerate(names, start=1)))
    assert table["method.name"] == ["ann", "stbp", "snn2ann", "snn2ann"]
    assert table["training T"] == table["T"] == ["–", "8", "5", "5"]
    assert table["selected epoch"] == ["18 of 20"] * 4
    assert table["test accuracy (%)"] == [f"{100 * each:.2f}" for each in accuracies]
    spikes = [each["spikes_per_image"][at] for each, at in zip(spiking, places, strict=True)]
    assert table["spikes per image"] == ["–", *(f"{each:,.1f}" for each in spikes)]
    energies = [each["energy"][at] * 1e6 for each, at in zip(spiking, places, strict=True)]
    assert table["energy per image (µJ)"] == [f"{ann['ann_energy'] * 1e6:.4f}", *(f"{each:.4f}" for each in energies)]
    assert table["noisy spikes (%)"][:2] == ["–", "–"]
    assert float(table["noisy spikes (%)"][3]) < float(table["noisy spikes (%)"][2])
    assert "seed" not in table  # the same in all runs


def test_only_parameters_that_differ_are_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = [{"reset": "zero", "membrane_dropout": each} for each in (0.5, 0.0)]
    methods = [Method("snn2ann", 5, "released", "resu", True, changed=each) for each in options]
    write_study(tmp_path, methods, ("vgg-small",), (0,), cost=False)
    folders = sorted((tmp_path / "runs").iterdir())
    compare_runs([str(folder) for folder in folders], tmp_path)
    table = rows(capsys.readouterr().out)
    assert sorted(table["method.options.membrane_dropout"]) == ["0", "0.5"]
    assert not {"method.options.reset", "method.name", "seed"} & table.keys()


def test_figures_at_another_t(runs: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    names = [runs["stbp"].name, runs["conversion"].name]
    compare_runs(names, runs["ann"].parent)
    assert rows(capsys.readouterr().out)["T"] == ["8", "16", "16"]
    compare_runs(names, runs["ann"].parent, time_steps=2)
    table = rows(capsys.readouterr().out)
    assert table["T"] == ["2", "2", "2"]
    assert table["test accuracy (%)"][0] == f"{100 * entry_of(runs['stbp'])['accuracy'][1]:.2f}"
    with pytest.raises(UserError, match="not evaluated at T=17; choose 1 to 16"):
        show_run(names[0], runs["ann"].parent, time_steps=17)


def test_one_run_in_a_terminal(runs: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    folder = runs["snn2ann"]
    show_run(str(folder), Path("elsewhere"))
    printed = capsys.readouterr().out
    assert printed.startswith(folder.name)
    table = rows(printed)
    assert table["method.options.mapping_unit"] == ["resu"]
    assert table["selected epoch"] == ["18 of 20"]
    assert table["version.torch"] == ["2"]
    losses = [float(line.split(",")[3]) for line in (folder / "history.csv").read_text().splitlines()[1:]]
    curve, first, last, least, greatest = table["train loss"]
    assert curve == sparkline(losses) and len(curve) == 20
    assert [first, last] == [f"{each:.4g}" for each in (losses[0], losses[-1])]
    assert [least, greatest] == [f"{each:.4g}" for each in (min(losses), max(losses))]
    assert len(table["threshold mean, conv6"][0]) == 21
    entry = entry_of(folder, "calibrated")
    line = next(line for line in printed.splitlines() if line.split()[:3] == ["test", "selected", "calibrated"])
    assert line.split()[3:6] == ["5", f"{100 * entry['accuracy'][4]:.2f}", f"{entry['spikes_per_image'][4]:,.1f}"]


def test_a_run_without_curves_has_no_empty_section(runs: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    show_run(runs["conversion"].name, runs["ann"].parent)
    printed = capsys.readouterr().out
    assert "Curves" not in printed and "Layers" not in printed and "Final figures" in printed


def test_sparklines() -> None:
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7]) == "▁▂▃▄▅▆▇█"
    assert sparkline([0.3, 0.3 + 1e-9, 0.3]) == "▁▁▁"
    long = sparkline(list(range(1000)))
    assert len(long) == WIDTH and (long[0], long[-1]) == ("▁", "█")


def test_what_is_not_there_yet_is_said(runs: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("training.json", "evaluation-e0e0e0e0.json", "layers.csv"):
        (runs["stbp"] / name).unlink()
    compare_runs([runs["stbp"].name, runs["ann"].name], runs["ann"].parent)
    printed = capsys.readouterr().out
    assert "missing: training.json (training is not finished)" in printed
    assert "missing: evaluation-*.json (not evaluated)" in printed
    assert rows(printed)["test accuracy (%)"][0] == "–"
    show_run(runs["stbp"].name, runs["ann"].parent)
    printed = capsys.readouterr().out
    assert "missing: training.json" in printed and "train loss" in printed and "Final figures" not in printed


@pytest.mark.parametrize("file", ["training.json", "evaluation-e0e0e0e0.json", "history.csv"])
def test_a_wrong_file_is_named_and_the_rest_is_printed(
    runs: dict[str, Path], capsys: pytest.CaptureFixture[str], file: str
) -> None:
    (runs["stbp"] / file).write_text("nonsense")
    with pytest.raises(UserError, match=f"{runs['stbp'].name}/{file}"):
        show_run(runs["stbp"].name, runs["ann"].parent)
    assert "method.name" in capsys.readouterr().out
    if file != "history.csv":  # which a comparison does not read
        with pytest.raises(UserError, match=f"{runs['stbp'].name}/{file}"):
            compare_runs([runs["stbp"].name, runs["ann"].name], runs["ann"].parent)
        assert rows(capsys.readouterr().out)["method.name"] == ["stbp", "ann"]


def test_mistakes(runs: dict[str, Path]) -> None:
    root, name = runs["ann"].parent, runs["ann"].name
    with pytest.raises(UserError, match=f"did you mean {name}"):
        show_run(f"{name[:-2]}xy", root)
    with pytest.raises(UserError, match=r"holds 4 runs"):
        show_run("x", root)
    with pytest.raises(UserError, match="give two runs or more"):
        compare_runs([name], root)
    (runs["ann"] / "run.yaml").write_text("seed: 0\n")
    with pytest.raises(UserError, match=r"run.yaml: a run's parameters with a `method` expected"):
        show_run(name, root)


def test_the_commands_read_files_without_torch(runs: dict[str, Path]) -> None:
    code = (
        "import sys; from snn2ann.cli import app\n"
        "app(sys.argv[1:], standalone_mode=False)\n"
        "sys.exit(any(name in sys.modules for name in ('torch', 'matplotlib', 'mlflow')))"
    )
    root = str(runs["ann"].parent)
    for arguments in (["show", runs["snn2ann"].name], ["compare", runs["ann"].name, runs["stbp"].name]):
        command = [sys.executable, "-c", code, *arguments, "--runs", root]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "method.name" in done.stdout
