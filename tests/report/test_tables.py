import json
import math
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from scipy import stats
from scipy.special import expit, logit

from snn2ann.errors import UserError
from snn2ann.report.registry import listed
from snn2ann.report.results import COLUMNS, collect_results
from snn2ann.report.study_data import load_study
from snn2ann.report.tables import TABLES, make_table
from snn2ann.report.tables.classification import load_published

from .hand_made import measure_a_second_variant, write_hand_made
from .synthetic import METHODS, Method, write_study

COMMAND = "`snakemake --cores all --config study=hand`"
# The rest has rows only where a method of the study has a bar, or the study has aims.
OF_ANY = [name for name, entry in TABLES.items() if entry.only not in ("bars", "aims")]


def shown(folder: Path, name: str) -> pd.DataFrame:
    """The Markdown table as text, by its headers."""
    make_table(name, folder)
    lines = [line for line in (folder / "tables" / f"{name}.md").read_text().splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return pd.DataFrame(cells[2:], columns=cells[0])


@pytest.fixture
def hand_made(tmp_path: Path) -> Path:
    return write_hand_made(tmp_path)


def _interval(mean: float) -> str:
    """In percent, of three seeds a hundredth apart: the t-interval of the log odds, by the delta method."""
    place, reach = logit(mean), 0.01 * stats.t.ppf(0.975, 2) / math.sqrt(3) / (mean * (1 - mean))
    return f"{100 * mean:.2f} [{100 * expit(place - reach):.2f}, {100 * expit(place + reach):.2f}]"


def test_classification_cells(hand_made: Path) -> None:
    table = shown(hand_made, "classification")
    own = table[table["Origin"] == "this study"].reset_index(drop=True)
    assert own["Method"].tolist() == ["ANN", "Spike-based BP", "Spike-based BP", "SNN2ANN"]
    assert own["Training T"].tolist() == ["–", "5", "8", "5"]
    assert own["T"].tolist() == ["–", "5", "8", "5"]
    assert own["Test accuracy (%)"].tolist() == [_interval(mean) for mean in (0.96, 0.92, 0.94, 0.935)]
    assert own["Last epoch (%)"].tolist() == [_interval(mean) for mean in (0.95, 0.91, 0.93, 0.925)]
    assert own["Seeds"].tolist() == ["3"] * 4


def test_classification_sets_published_and_unknown_cells_apart(hand_made: Path) -> None:
    table = shown(hand_made, "classification")
    published = table[table["Origin"] == "published"]
    assert len(published) == len(load_published()) == 34
    tet = published[(published["Method"] == "TET (Deng 2022)") & (published["Dataset"] == "CIFAR-100")].iloc[0]
    assert tet["Network"] == "ResNet-19"
    assert (tet["T"], tet["Test accuracy (%)"]) == ("4", "74.47")
    assert tet["Note or source"] == "Spikformer (2023), table 3"
    paper = table[table["Origin"] == "the paper"]
    assert len(paper) == 6 and (paper["Test accuracy (%)"] == "not at hand").all()


def test_missing_runs_are_said_with_the_command(tmp_path: Path) -> None:
    gone = [f"digits_vgg-small_stbp_T5_s{seed}-00000000" for seed in range(3)]
    folder = write_hand_made(tmp_path, (*gone, "digits_vgg-small_snn2ann_T5_s1-00000000"))
    table = shown(folder, "classification")
    row = table[(table["Method"] == "Spike-based BP") & (table["Training T"] == "5")].iloc[0]
    assert row["Test accuracy (%)"] == "not run"
    assert row["Note or source"] == "[1]"
    assert f"- [1] not run: {COMMAND}" in (folder / "tables" / "classification.md").read_text()
    row = table[(table["Method"] == "SNN2ANN") & (table["Origin"] == "this study")].iloc[0]
    assert (row["Seeds"], row["Note or source"]) == ("2", "[2]")
    assert f"- [2] 1 of 3 seeds not run: {COMMAND}" in (folder / "tables" / "classification.md").read_text()
    assert "4 of 12 runs have no results" in (folder / "tables" / "classification.md").read_text()


def cells(table: pd.DataFrame, **where: str) -> dict[str, str]:
    """The one row that has these cells."""
    for column, value in where.items():
        table = table[table[column] == value]
    assert len(table) == 1
    return {str(key): str(value) for key, value in table.iloc[0].items()}


def test_training_efficiency_cells(hand_made: Path) -> None:
    table = shown(hand_made, "training_efficiency")
    own = cells(table, Measured="training step", Method="SNN2ANN", T="5")
    assert own["Seconds"] == "16.0 (12.0–20.0)"
    assert own["Time / ANN"] == "2.67"
    assert own["Time / Spike-based BP T=8"] == "0.33"
    assert own["Time / Spike-based BP same T"] == "0.53"
    assert own["Saved for backward (MiB)"] == "120.0"
    assert own["Saved / Spike-based BP T=8"] == "0.150"
    assert own["Saved / Spike-based BP same T"] == "0.240"
    epoch = cells(table, Measured="epoch", Method="SNN2ANN (ReSU, ATA), T=5")
    assert epoch["Seconds"] == "10.0"
    assert epoch["Time / ANN"] == "5.00"
    assert epoch["Time / Spike-based BP T=8"] == "0.62"


def test_inference_efficiency_cells(hand_made: Path) -> None:
    table = shown(hand_made, "inference_efficiency")
    own = cells(table, Method="SNN2ANN", T="5")
    assert own["Spikes an image (k)"] == "2.00"
    assert own["Spikes / reference"] == "0.25"
    assert own["Energy (µJ)"] == "2.000"
    assert own["Energy / ANN"] == "0.200"
    assert own["Speed / ANN"] == "0.250"
    assert own["Speed / reference"] == "2.00"
    # Rounds of 250, 125 and 83.3 images a second.
    assert own["Images/s"].startswith("153 [")
    assert cells(table, Method="ANN", T="–")["Spikes an image (k)"] == "–"


def test_inference_that_was_not_timed_is_said(tmp_path: Path) -> None:
    folder = write_hand_made(tmp_path)
    (tmp_path / "measurements" / "inference-00000000.csv").unlink()
    assert "Images/s" not in shown(folder, "inference_efficiency")
    assert f"Inference was not timed: {COMMAND}" in (folder / "tables" / "inference_efficiency.md").read_text()
    (tmp_path / "measurements" / "inference-00000000.csv").write_text("network\nvgg\n")
    with pytest.raises(UserError, match=r"inference-00000000.csv: .*method"):
        make_table("inference_efficiency", folder)


def test_the_speed_of_another_variant_is_not_this_ones(tmp_path: Path) -> None:
    folder = write_hand_made(tmp_path)
    path = tmp_path / "measurements" / "inference-00000000.csv"
    path.write_text(path.read_text().replace(",released,", ",refined,"))
    own = cells(shown(folder, "inference_efficiency"), Method="SNN2ANN", T="5")
    assert (own["Images/s"], own["Speed / ANN"]) == ("–", "–")


def test_peak_memory_is_compared_where_the_device_tells_it(tmp_path: Path) -> None:
    folder = write_hand_made(tmp_path)
    assert "Peak (MiB)" not in shown(folder, "training_efficiency")
    path = tmp_path / "measurements" / "training_cost-00000000.csv"
    peaks = {"ann,": 200, "stbp,,own,5": 1000, "stbp,,own,8": 1600, "snn2ann,released,own,5": 400}
    lines = path.read_text().splitlines()
    for at, line in enumerate(lines[1:], start=1):
        peak = next(value for key, value in peaks.items() if line.removeprefix("vgg13,").startswith(key))
        lines[at] = line.replace(",cpu,", ",cuda,").replace(",,here", f",{peak * 2**20},here")
    path.write_text("\n".join(lines) + "\n")
    own = cells(shown(folder, "training_efficiency"), Measured="training step", Method="SNN2ANN", T="5")
    assert own["Peak (MiB)"] == "400.0"
    assert own["Peak / ANN"] == "2.000"
    assert own["Peak / Spike-based BP T=8"] == "0.250"
    assert own["Peak / Spike-based BP same T"] == "0.400"


def test_variants_of_a_method_have_rows_of_their_own_in_the_cost(tmp_path: Path) -> None:
    folder = write_hand_made(tmp_path)
    before = cells(shown(folder, "training_efficiency"), Measured="training step", Method="SNN2ANN", T="5")
    measure_a_second_variant(tmp_path, seconds=10)
    table = shown(folder, "training_efficiency")
    assert cells(table, Measured="training step", Method="SNN2ANN (released)", T="5")["Seconds"] == before["Seconds"]
    assert cells(table, Measured="training step", Method="SNN2ANN (refined)", T="5")["Seconds"].startswith("10")


def test_ablation_starts_at_the_headline(hand_made: Path) -> None:
    table = shown(hand_made, "ablation")
    assert table["Method"].tolist() == ["SNN2ANN", "ANN", "Spike-based BP", "Spike-based BP"]
    assert table["Δ accuracy (points)"].tolist() == ["+0.00", "+2.50", "−1.50", "+0.50"]
    assert table["Noisy spikes (%)"].tolist() == ["4.00", "–", "–", "–"]
    assert table["Δ spikes (k)"].tolist() == ["+0.00", "–", "+3.00", "+6.00"]


def test_every_configuration_stands_beside_the_reference(hand_made: Path) -> None:
    table = shown(hand_made, "against_reference")
    assert table["Method"].tolist() == ["Spike-based BP", "ANN", "Spike-based BP", "SNN2ANN"]
    assert table["T"].tolist() == ["8", "–", "5", "5"]
    assert table["Δ accuracy (points)"].tolist() == ["+0.00", "+2.00", "−2.00", "−0.50"]
    assert table["Spikes / reference's"].tolist()[0] == "1.000"


def test_what_is_trained_without_time_stands_beside_the_reference_at_the_headlines_t(small_study: Path) -> None:
    table = shown(small_study, "against_reference")
    rows = table[table["Method"] == "Conversion"]
    assert rows["T"].tolist() == ["5"] * len(rows) and len(rows) == 2 * len(set(table["Network"]))


def test_the_worst_seed_stands_beside_the_reference(small_study: Path) -> None:
    row = cells(shown(small_study, "against_reference"), Method="SNN2ANN", **{"Threshold adjustment": "in training"})
    results = pd.read_csv(small_study / "results.csv", keep_default_na=False)
    chosen = results[(results["network"] == results["network"].iloc[0]) & (results["split"] == "test")]
    own = chosen[(chosen["method"] == "snn2ann") & (chosen["ata"] == "training")]
    own = own[own["mapping_unit"] == own["mapping_unit"].iloc[0]]
    worst = own.loc[own["measure"] == "noisy_spike_rate_maximum", "value"].max()
    assert row["Noisiest layer, any seed (%)"] == f"{100 * worst:.2f}"
    ann = own[own["measure"] == "ann_branch_accuracy"].set_index("seed")["value"]
    at_training = (own["measure"] == "accuracy") & (own["time_steps"] == own["training_time_steps"])
    gap = ann - own[at_training].set_index("seed")["value"]
    assert float(row["ANN − SNN branch, furthest seed (points)"].replace("−", "-")) == pytest.approx(
        100 * gap[gap.abs().idxmax()], abs=0.005
    )


def test_provenance_lists_seeds_parameters_and_what_runs_were_made_with(tmp_path: Path) -> None:
    folder = write_study(tmp_path, METHODS[:2], ("vgg-small",), (0, 3), cost=False)
    collect_results(folder)
    content = json.loads((folder / "study.json").read_text())
    parameters = {"recipes": {"short": {"epochs": 12, "schedule": {"kind": "one-cycle"}}}}
    (folder / "study.json").write_text(json.dumps(content | {"parameters": parameters}))
    path = tmp_path / "runs" / content["runs"][-1]["name"] / "training.json"
    training = json.loads(path.read_text())
    path.write_text(json.dumps(training | {"commit": "c0ffee", "dirty": True, "versions": {"torch": "3"}}))
    table = shown(folder, "provenance")
    rows = [tuple(row) for row in table.itertuples(index=False)]
    assert ("Study", "digest of runs, settings and the report's code", "5eed5eed", "–") in rows
    assert ("Seeds", "digits, VGG (small), Spike-based BP, T=5", "0, 3", "2") in rows
    assert ("Code", "git commit", "c0ffee, with uncommitted changes", "1") in rows
    assert ("Versions", "torch", "2", "3") in rows and ("Versions", "torch", "3", "1") in rows
    assert ("Machine", "processor", "made up", "4") in rows
    assert ("Parameters", "recipes.short.schedule.kind", "one-cycle", "–") in rows


def test_a_wrong_training_file_is_named_and_the_rest_of_the_provenance_is_made(tmp_path: Path) -> None:
    folder = write_study(tmp_path, METHODS[:1], ("vgg-small",), (0, 1), cost=False)
    collect_results(folder)
    wrong = next(path for path in (tmp_path / "runs").iterdir() if "_s1-" in path.name) / "training.json"
    wrong.write_text("nonsense")
    with pytest.raises(UserError, match=str(wrong)):
        make_table("provenance", folder)
    frame = pd.read_csv(folder / "tables" / "provenance.csv")
    assert frame.loc[frame["item"] == "processor", "runs"].tolist() == [1]


def test_values_that_are_not_taken_at_every_t_are_shown_beside_those_that_are(small_study: Path) -> None:
    own = cells(shown(small_study, "ablation"), Method="Conversion", **{"Threshold adjustment": "no"})
    assert own["T"] == "5" and own["Noisy spikes (%)"] != "–"


class CellReader(HTMLParser):
    """Collects the text of each row's cells; refuses whatever would load something."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in ("script", "link", "img") and not {"src", "href"} & dict(attrs).keys()  # it works offline
        if tag == "tr":
            self.rows.append([])
        self.inside = tag in ("th", "td")
        if self.inside:
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        self.inside = False

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.rows[-1][-1] += data


@pytest.mark.parametrize("name", OF_ANY)
def test_the_page_shows_what_the_text_shows(hand_made: Path, name: str) -> None:
    table = shown(hand_made, name)
    reader = CellReader()
    reader.feed((hand_made / "tables" / f"{name}.html").read_text())
    assert reader.rows == [list(table.columns), *table.to_numpy().tolist()]


def test_csv_has_the_numbers_of_the_text(hand_made: Path) -> None:
    make_table("classification", hand_made)
    frame = pd.read_csv(hand_made / "tables" / "classification.csv")
    row = frame[(frame["method"] == "stbp") & (frame["training_time_steps"] == 8)].iloc[0]
    assert row["accuracy_mean"] == pytest.approx(0.94)
    assert (
        f"{100 * row['accuracy_mean']:.2f} [{100 * row['accuracy_low']:.2f}, {100 * row['accuracy_high']:.2f}]"
        == _interval(0.94)
    )
    assert row["accuracy_n"] == 3


def test_one_seed_has_no_interval(tmp_path: Path) -> None:
    table = shown(write_hand_made(tmp_path, seeds=(1,)), "classification")
    assert table["Test accuracy (%)"].tolist()[:4] == ["96.00", "92.00", "94.00", "93.50"]


def test_conversion_is_reported_at_every_training_t_and_the_largest(small_study: Path) -> None:
    table = shown(small_study, "classification")
    conversion = table[(table["Method"] == "Conversion") & (table["Threshold adjustment"] == "no")]
    assert conversion["T"].tolist() == ["4", "5", "8", "16"]


@pytest.mark.parametrize("name", [name for name in OF_ANY if name not in ("claims", "repeatability")])
def test_an_unknown_method_is_in_every_table(small_study: Path, name: str) -> None:
    table = shown(small_study, name)
    column = "Item" if name == "provenance" else "Method"
    assert any("dummy" in cell for cell in table[column])


def test_a_relative_meets_its_bar_or_is_named(tmp_path: Path) -> None:
    """Two methods within a point of the reference and beyond it, and a conversion beside its own ANN at two T."""
    methods = [METHODS[2], Method("ottt", 5), Method("sltt", 5), Method("qcfs")]
    folder = write_study(tmp_path, methods, ("vgg-small",), (0, 1, 2), cost=False)
    collect_results(folder)
    frame = pd.read_csv(folder / "results.csv")
    own = frame["method"].isin(["ottt", "sltt", "stbp"]) & (frame["measure"] == "accuracy") & (frame["split"] == "test")
    spread = frame["seed"] * 1e-4
    for method, right in {"stbp": 0.976, "ottt": 0.972, "sltt": 0.90}.items():
        frame.loc[own & (frame["method"] == method), "value"] = right + spread * (1 if method == "stbp" else 2)
    qcfs = (frame["method"] == "qcfs") & (frame["measure"] == "accuracy") & (frame["split"] == "test")
    frame.loc[qcfs, "value"] = 0.95 + spread
    ann = frame[qcfs & (frame["time_steps"] == 8)].assign(measure="ann_branch_accuracy", time_steps=None, value=0.955)
    pd.concat([frame, ann]).to_csv(folder / "results.csv", index=False)
    table = shown(folder, "bars")
    rows = list(zip(table["Method"], table["T"], table["Compared with"], table["Bar"], strict=True))
    assert rows == [
        ("OTTT", "5", "the reference, T = 8", "met"),
        ("SLTT", "5", "the reference, T = 8", "missed"),
        ("QCFS conversion", "8", "its ANN", "met"),
        ("QCFS conversion", "16", "its ANN", "missed"),
    ]
    assert table["Δ accuracy (points)"].iloc[0].startswith("−0.39 [")
    assert table["May lie below by (points)"].tolist() == ["1.0", "1.0", "1.0", "0.3"]
    parameters = {"studies": {"synthetic": {"runs": [{"method": "ottt"}]}}}
    assert "bars" in listed(TABLES, parameters) and "bars" not in listed(TABLES, {})


def test_an_aim_is_met_missed_or_undecided_on_each_network_that_has_its_rows(tmp_path: Path) -> None:
    """Accuracy and spikes of the headline beside the reference's, at its own T and at another; and its noise."""
    folder = write_study(tmp_path, METHODS, ("vgg-small",), (0, 1, 2), cost=False)
    own, bp = (
        {"method": "snn2ann", "mapping_unit": "resu", "ata": "training"},
        {"method": "stbp", "training_time_steps": 8},
    )
    aims: list[dict[str, Any]] = [
        {"measure": "accuracy", "of": own, "beside": bp, "limit": -1},
        {"measure": "accuracy", "of": own, "beside": bp, "limit": 0.5},
        {"measure": "accuracy", "of": own, "beside": bp, "limit": 0},
        {"measure": "spikes", "of": own, "beside": bp, "limit": 0.5},
        {"measure": "spikes", "of": own, "beside": bp | {"time_steps": 2}, "limit": 8},
        {"measure": "noise", "of": own, "limit": 0.02},
        {"measure": "accuracy", "of": own | {"training_time_steps": 7}, "beside": bp, "limit": 0},
    ]
    content = json.loads((folder / "study.json").read_text())
    content["report"]["aims"] = aims
    (folder / "study.json").write_text(json.dumps(content))
    collect_results(folder)
    frame = pd.read_csv(folder / "results.csv")
    test = frame["split"] == "test"
    values = {
        ("snn2ann", "accuracy", 5): (0.970, 0.972, 0.974),
        ("stbp", "accuracy", 8): (0.971, 0.971, 0.974),
        ("snn2ann", "spikes_per_image", 5): (60.0, 66.0, 60.0),
        ("stbp", "spikes_per_image", 8): (100.0, 100.0, 100.0),
        ("stbp", "spikes_per_image", 2): (10.0, 11.0, 10.0),
    }
    for (method, measure, steps), right in values.items():
        chosen = test & (frame["method"] == method) & (frame["measure"] == measure) & (frame["time_steps"] == steps)
        for seed, value in enumerate(right):
            frame.loc[chosen & (frame["seed"] == seed), "value"] = value
    frame.to_csv(folder / "results.csv", index=False)
    table = shown(folder, "aims")
    assert table["Aim"].tolist()[:5] == ["met", "missed", "undecided", "missed", "met"] and len(table) == 6
    assert table["Limit"].tolist() == ["> −1.0", "> 0.5", "> 0.0", "≤ 0.5", "≤ 8", "≤ 0.02"]
    difference = pd.Series([-0.1, 0.1, 0.0])
    reach = stats.t.ppf(0.975, 2) * difference.std() / math.sqrt(3)
    assert table["Measured"][0] == f"+0.00 [−{reach:.2f}, +{reach:.2f}]" and table["Measured"][4].startswith("6.000")
    assert table["Beside"][4] == "Spike-based BP, T=8, run at T=2" and table["Beside"][5] == "–"
    assert listed(TABLES, {"report": {"aims": aims}}) != listed(TABLES, {})
    assert "aims" in listed(TABLES, {"studies": {"synthetic": {"runs": [], "report": {"aims": aims}}}})


def test_options_that_differ_tell_rows_apart(tmp_path: Path) -> None:
    changes: list[dict[str, Any]] = [{"reset": "subtract", "membrane_dropout": 0.0}, {}]
    methods = [Method("snn2ann", 5, "released", "resu", True, noise=0.04, changed=each) for each in changes]
    folder = write_study(tmp_path, methods, ("vgg-small",), (0, 1), cost=False)
    collect_results(folder)
    table = shown(folder, "ablation")
    # The headline is the one with the variant's own options, wherever it stands in the study.
    assert table["Other options"].tolist() == ["–", "membrane dropout=0, reset=subtract"]
    assert table["Δ accuracy (points)"].iloc[0] == "+0.00"


def test_parts_of_the_ablation_that_were_not_run_have_rows(tmp_path: Path) -> None:
    folder = write_hand_made(tmp_path)
    content = json.loads((folder / "study.json").read_text())
    own = next(run for run in content["runs"] if run["method"] == "snn2ann")
    parts: list[dict[str, Any]] = [{"reset": "subtract"}, {"input_coding": "divide"}]
    named = [own | {"name": f"none{at}", "changed": part} for at, part in enumerate(parts)]
    (folder / "study.json").write_text(json.dumps(content | {"not_run": named}))
    table = shown(folder, "ablation")
    rows = table[table["Group"] == "ablation"]
    assert rows["Other options"].tolist() == ["–", "reset=subtract", "input coding=divide"]
    assert rows["Accuracy (%)"].tolist() == [_interval(0.935), "not run", "not run"]
    assert rows["Note"].tolist()[1:] == ["[1]"] * 2
    text = (folder / "tables" / "ablation.md").read_text()
    assert text.count(f"- [1] not run: take `run: false` out of params.yaml, then {COMMAND}") == 1


def test_variants_are_named_where_there_are_several(tmp_path: Path) -> None:
    methods = [METHODS[4], Method("snn2ann", 5, "refined", "resu", True, noise=0.01)]
    folder = write_study(tmp_path, methods, ("vgg-small",), (0,), cost=False)
    (folder / "results.csv").write_text(",".join(COLUMNS) + "\n")
    study = load_study(folder)
    labels = [study.label(each) for each in study.configurations]
    assert labels[0] == "SNN2ANN (released, ReSU, ATA), T=5"
    assert "SNN2ANN (refined, ReSU, ATA), T=5" in labels


@pytest.mark.parametrize("name", TABLES)
def test_a_study_of_which_nothing_has_run(tmp_path: Path, name: str) -> None:
    folder = write_study(tmp_path, METHODS[:5], seeds=(0,), cost=False)
    (folder / "results.csv").write_text(",".join(COLUMNS) + "\n")
    make_table(name, folder)
    assert "--config study=synthetic" in (folder / "tables" / f"{name}.md").read_text()


def test_runs_that_a_study_only_names_have_a_row(tmp_path: Path) -> None:
    folder = write_hand_made(tmp_path)
    content = json.loads((folder / "study.json").read_text())
    named = content["runs"][-1] | {"name": "elsewhere", "dataset": "cifar10", "network": "vgg13"}
    (folder / "study.json").write_text(json.dumps(content | {"not_run": [named]}))
    table = shown(folder, "classification")
    row = table[table["Dataset"] == "cifar10"].iloc[0]
    assert (row["Network"], row["Test accuracy (%)"]) == ("VGG-13", "not run")
    assert row["Note or source"] == "[1]"
    assert (
        f"- [1] not run: take `run: false` out of params.yaml, then {COMMAND}"
        in (folder / "tables" / "classification.md").read_text()
    )
    assert "have no results" not in (folder / "tables" / "classification.md").read_text()


def test_a_wrong_measurement_is_named_and_the_table_is_made(tmp_path: Path) -> None:
    folder = write_hand_made(tmp_path)
    (tmp_path / "measurements" / "training_cost-00000000.csv").write_text("network\nvgg13\n")
    with pytest.raises(UserError, match=r"training_cost-00000000.csv: .*method"):
        make_table("training_efficiency", folder)
    assert "epoch" in (folder / "tables" / "training_efficiency.md").read_text()


def test_an_unknown_table_names_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no table is called nonsense; there are classification"):
        make_table("nonsense", tmp_path)
