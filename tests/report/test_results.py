import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from snn2ann.errors import UserError
from snn2ann.report.results import COLUMNS, collect_results, load_results

from .synthetic import METHODS, write_study

FEW = [METHODS[0], METHODS[2], METHODS[4]]  # ann, stbp T=8, snn2ann resu with ATA


def study_of(root: Path) -> Path:
    return write_study(root, FEW, ("vgg-small",), (0, 1), cost=False)


def runs_of(study: Path) -> dict[str, Path]:
    runs = json.loads((study / "study.json").read_text())["runs"]
    return {run["method"] + str(run["seed"]): study.parent / "runs" / run["name"] for run in runs}


def test_every_number_of_an_evaluation_is_in_the_table(tmp_path: Path) -> None:
    study = study_of(tmp_path)
    collect_results(study)
    results = load_results(study)
    assert list(results.columns) == COLUMNS
    folder = runs_of(study)["snn2ann1"]
    entries = json.loads((folder / "evaluation-e0e0e0e0.json").read_text())["entries"]
    words = {"trained": "training", "calibrated": "training+calibration"}
    own = results[results["run"] == folder.name]
    for entry in entries:
        here = own[(own["split"] == entry["split"]) & (own["ata"] == words[entry["thresholds"]])]
        measures = ["accuracy_last_epoch"]
        if entry["checkpoint"] == "selected":
            measures = ["accuracy", "spikes_per_image", "firing_rate", "synaptic_operations", "energy"]
        for measure in measures:
            rows = here[here["measure"] == measure]
            assert rows["time_steps"].tolist() == entry["time_steps"]
            assert rows["value"].tolist() == entry[measure.removesuffix("_last_epoch")]


def test_values_without_time_steps(tmp_path: Path) -> None:
    study = study_of(tmp_path)
    collect_results(study)
    results = load_results(study)
    folder = runs_of(study)["snn2ann0"]
    entry = json.loads((folder / "evaluation-e0e0e0e0.json").read_text())["entries"][1]
    rates = [layer["noisy_spike_rate"] for layer in entry["layers"]]
    own = results[(results["run"] == folder.name) & (results["ata"] == "training")]

    def only(split: str, measure: str) -> pd.Series:
        rows = own[(own["split"] == split) & (own["measure"] == measure)]
        assert len(rows) == 1
        return rows.iloc[0]

    noisy, worst = only("test", "noisy_spike_rate"), only("test", "noisy_spike_rate_maximum")
    assert noisy["value"] == pytest.approx(sum(rates) / len(rates))
    assert noisy["time_steps"] == 5
    assert worst["value"] == max(rates)
    seconds = [float(line.split(",")[1]) for line in (folder / "history.csv").read_text().splitlines()[1:]]
    epoch = only("train", "epoch_seconds")["value"]
    steps = sorted(after - before for before, after in zip([0.0, *seconds], seconds, strict=False))
    assert epoch == pytest.approx((steps[9] + steps[10]) / 2)


def test_the_plain_ann_has_no_time_steps(tmp_path: Path) -> None:
    study = study_of(tmp_path)
    collect_results(study)
    results = load_results(study)
    ann = results[results["method"] == "ann"]
    assert ann["time_steps"].isna().all() and (ann["ata"] == "").all()
    assert {"accuracy", "accuracy_last_epoch", "energy", "multiply_accumulates"} <= set(ann["measure"])


def test_equal_files_give_equal_bytes(tmp_path: Path) -> None:
    first, second = study_of(tmp_path / "a"), study_of(tmp_path / "b")
    for study in (first, second):
        collect_results(study)
    assert (first / "results.csv").read_bytes() == (second / "results.csv").read_bytes()


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("evaluation-e0e0e0e0.json", "{"),
        ("evaluation-e0e0e0e0.json", '{"entries": [{"split": "test"}]}'),
        ("training.json", "[]"),
        ("history.csv", "epoch\n1\n"),
        ("history.csv", "\0\0"),
    ],
)
def test_a_wrong_file_is_named_and_the_rest_is_made(tmp_path: Path, file: str, content: str) -> None:
    study = study_of(tmp_path)
    collect_results(study)
    whole = load_results(study)
    folder = runs_of(study)["stbp1"]
    (folder / file).write_text(content)
    with pytest.raises(UserError, match=f"{folder.name}/{file}"):
        collect_results(study)
    rest = load_results(study)
    others = whole[whole["run"] != folder.name].reset_index(drop=True)
    assert rest[rest["run"] != folder.name].reset_index(drop=True).equals(others)


def test_ragged_lists_are_named(tmp_path: Path) -> None:
    study = study_of(tmp_path)
    path = runs_of(study)["stbp0"] / "evaluation-e0e0e0e0.json"
    content = json.loads(path.read_text())
    content["entries"][1]["energy"].pop()
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match="`energy` has 15 values for 16 time steps"):
        collect_results(study)


def test_all_missing_runs_are_named_at_once(tmp_path: Path) -> None:
    study = study_of(tmp_path)
    gone = [runs_of(study)[key] for key in ("ann0", "snn2ann1")]
    for folder in gone:
        shutil.rmtree(folder)
    with pytest.raises(UserError) as error:
        collect_results(study)
    assert all(folder.name in str(error.value) for folder in gone)
    assert len(load_results(study)["run"].unique()) == 4


def test_a_missing_table_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="snn2ann collect"):
        load_results(tmp_path)


def test_a_study_without_a_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "study.json").write_text('{"study": "x", "runs": [{"name": "r"}]}')
    with pytest.raises(UserError, match="run r has no `ata`"):
        collect_results(tmp_path)
