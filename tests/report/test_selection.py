"""Which runs are the headline: one answer for claims, metrics and recorded models, also beside an ablation."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from snn2ann.report.judging import make_claims
from snn2ann.report.metrics import make_metrics
from snn2ann.report.results import COLUMNS, collect_results, load_results
from snn2ann.report.selection import comparison, find_cell, headline_runs, without_ablation
from snn2ann.report.study_data import load_study, runs_of_study
from snn2ann.tracking.recorded_model import _chosen

from .hand_made import write_hand_made
from .synthetic import METHODS, write_study

HEADLINE = METHODS[4]
ABLATED = replace(HEADLINE, accuracy=0.7, changed={"reset": "subtract"})


@pytest.fixture(params=["ablation first", "ablation last"])
def study(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The headline and, with one option changed, a row of its ablation."""
    both = [ABLATED, HEADLINE] if request.param == "ablation first" else [HEADLINE, ABLATED]
    folder = write_study(tmp_path / "results", [METHODS[2], *both], ("vgg-small", "resnet-small"), (0, 1), cost=False)
    collect_results(folder)
    return folder


def test_a_row_of_an_ablation_is_not_the_headline(study: Path) -> None:
    data = load_study(study)
    wanted = comparison(data).headline
    for place in data.places:
        cell = find_cell(data, place, wanted)
        assert cell is not None and cell.configuration.setting == ""
    chosen = headline_runs(data.runs, data.settings)
    assert [(run.dataset, run.network, run.seed) for run in chosen] == [
        ("digits", "vgg-small", 0),
        ("digits", "resnet-small", 0),
    ]
    assert all(run.configuration.setting == "" for run in chosen)


def test_metrics_and_recorded_models_are_those_of_the_same_runs(study: Path) -> None:
    make_claims(study)
    make_metrics(study)
    accuracies = json.loads((study / "metrics.json").read_text())["accuracy"]["headline"]
    data, content = load_study(study), json.loads((study / "study.json").read_text())
    assert set(accuracies) == {"digits vgg-small", "digits resnet-small"}
    for place in data.places:
        cell = find_cell(data, place, comparison(data).headline)
        assert cell is not None
        # The ablated runs are a quarter lower, and a mean over both would be between.
        assert accuracies[" ".join(place)] == pytest.approx(data.values(cell, "accuracy").mean())
        assert accuracies[" ".join(place)] > 0.9
    names = _chosen(content, study.parent / "runs", "headline")
    assert names == [
        run.name for run in headline_runs(runs_of_study(content, study.parent / "runs"), content["report"])
    ]
    assert len(_chosen(content, study.parent / "runs", "all")) == len(content["runs"])
    assert _chosen(content, study.parent / "runs", "none") == []


def test_changed_options_are_the_headlines_where_all_runs_have_them(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "results", [METHODS[2], ABLATED], ("vgg-small",), (0,), cost=False)
    collect_results(folder)
    data = load_study(folder)
    assert [run.configuration.setting for run in headline_runs(data.runs, data.settings)] == ["reset=subtract"]
    # And they are what figures show of the method.
    assert "reset=subtract" in {run.configuration.setting for run in without_ablation(data).runs}


def test_a_side_may_name_the_options_that_its_rows_have_changed(study: Path) -> None:
    content = json.loads((study / "study.json").read_text())
    content["report"]["headline"] |= {"setting": "reset=subtract"}
    (study / "study.json").write_text(json.dumps(content))
    data = load_study(study)
    assert {run.configuration.setting for run in headline_runs(data.runs, data.settings)} == {"reset=subtract"}
    # What readers compare is what is judged; the preset is then a row of the ablation.
    own = {run.configuration.setting for run in without_ablation(data).runs if run.configuration.method == "snn2ann"}
    assert own == {"reset=subtract"}


def test_what_is_aimed_at_is_shown_beside_what_is_judged(study: Path) -> None:
    def shown() -> set[str]:
        runs = without_ablation(load_study(study)).runs
        return {run.configuration.setting for run in runs if run.configuration.method == "snn2ann"}

    assert shown() == {""}
    content = json.loads((study / "study.json").read_text())
    of = {"method": "snn2ann", "setting": "reset=subtract", "time_steps": 2}
    content["report"]["aims"] = [{"measure": "noise", "of": of, "limit": 0.02}]
    (study / "study.json").write_text(json.dumps(content))
    assert shown() == {"", "reset=subtract"}


def test_rows_of_an_ablation_are_no_part_of_the_headlines_metrics(tmp_path: Path) -> None:
    """Preset 0.935 on the mean, the same method with an option changed 0.80: what is published is the preset's."""
    folder = write_hand_made(tmp_path)
    study = json.loads((folder / "study.json").read_text())
    lines = (folder / "results.csv").read_text().splitlines()
    headline = [run for run in study["runs"] if run["method"] == "snn2ann"]
    for run in headline:
        other = run["name"].replace("00000000", "11111111")
        # Before the headline, too, so that no order helps.
        study["runs"].insert(0, run | {"name": other, "changed": {"membrane_dropout": 0}})
        for line in [line for line in lines if line.endswith(run["name"]) and ",accuracy," in line]:
            cells = dict(zip(COLUMNS, line.split(","), strict=True))
            cells |= {"run": other, "changed": "membrane dropout=0", "value": "0.8"}
            lines.append(",".join(cells[key] for key in COLUMNS))
    (folder / "study.json").write_text(json.dumps(study))
    (folder / "results.csv").write_text("\n".join(lines) + "\n")
    make_claims(folder)
    make_metrics(folder)
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["accuracy"]["headline"] == {"digits vgg-small": pytest.approx(0.935)}
    assert metrics["measured"]["comparable accuracy"] == pytest.approx(-0.5)
    frame = load_results(folder)
    of_headline = frame[(frame["method"] == "snn2ann") & (frame["changed"] == "") & (frame["measure"] == "accuracy")]
    assert of_headline.loc[of_headline["time_steps"] == 5, "value"].mean() == pytest.approx(0.935)
