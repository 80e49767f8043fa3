"""Tuning, tiny: every method has its trials and no more, what is there is not made again, and test images stay unread."""

import sys
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from benchmarks import training, tuning
from snn2ann.study import Run, load_parameters, resolve

CHOICES: dict[str, Any] = {
    "common": {"datasets": ["digits"]},
    "short": {
        "dataset_options": {"digits": {"train_images": 200}},
        "networks": ["vgg-tiny", "resnet-tiny"],
        "seeds": [100],
    },
    "long": {"networks": ["vgg-tiny"], "seeds": [101]},
    "study": {"networks": ["vgg-tiny"], "seeds": [101], "recipe": {"epochs": 2}},
    "twice": {"networks": ["vgg-tiny"], "seeds": [101], "recipe": {"epochs": 3}},
    "recipe": {"inherit": "digits", "epochs": 1},
    "budget": {"trials": 5, "finalists": 1, "close": 1.5},
    "learning_rate": [0.006, 0.012],
    "methods": {
        "ANN": {"run": {"method": "ann"}, "options": {}},
        "BP": {
            "run": {"method": "stbp", "time_steps": 2},
            "options": {"threshold": [0.5, 1.0, 2.0], "tau": [2.0, 4.0]},
        },
        "Tandem": {"run": {"method": "tandem", "time_steps": 2}, "options": {"threshold": [0.5, 1.0]}},
    },
}


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuning.Tuning:
    monkeypatch.setattr(tuning, "CHOICES", tmp_path / "tuning.yaml")
    monkeypatch.setattr(tuning, "RESULTS", tmp_path / "tuning.csv")
    tuning.CHOICES.write_text(yaml.safe_dump(CHOICES, sort_keys=False))
    return tuning.read()


def add(small: tuning.Tuning, method: str, accuracy: dict[int, float], length: tuning.Length = "short") -> None:
    """Rows of some of a method's trials, all networks alike."""
    rows = []
    for number, validation in accuracy.items():
        right = {"validation": validation, "spikes": 10, "operations": 20, "seconds": 1}
        rows += [{**job.row, **right} for job in tuning.jobs(small, method, [number], length)]
    known = training.rows_of(tuning.RESULTS, tuning.COLUMNS)
    pd.concat([known, pd.DataFrame(rows)] if len(known) else [pd.DataFrame(rows)]).to_csv(tuning.RESULTS, index=False)


def test_a_trial_changes_one_thing_and_the_last_has_all_that_was_better(small: tuning.Tuning) -> None:
    assert tuning.trials(small, "ANN") == [(0.012, {}), (0.006, {})]
    alone = [(0.012, {}), (0.006, {}), (0.012, {"threshold": 0.5}), (0.012, {"threshold": 2.0}), (0.012, {"tau": 2.0})]
    assert tuning.trials(small, "BP") == alone, (
        "the defaults are not drawn again, and there are no more than the budget"
    )
    add(small, "BP", dict(enumerate([0.8, 0.9, 0.85, 0.9, 0.7])))
    assert tuning.trials(small, "BP") == [*alone, (0.006, {"threshold": 2.0})]
    add(small, "Tandem", dict(enumerate([0.8, 0.7, 0.9])))
    assert len(tuning.trials(small, "Tandem")) == 3, "one that was better alone has been tried already"


def test_the_best_of_short_training_is_trained_for_long_and_wins_there_or_not(small: tuning.Tuning) -> None:
    add(small, "Tandem", {0: 0.8, 1: 0.9})
    assert tuning.finalists(small, "Tandem") == [], "a trial is missing"
    add(small, "Tandem", {2: 0.7})
    assert tuning.finalists(small, "Tandem") == [1, 0] and tuning.winner(small, "Tandem") is None
    add(small, "Tandem", {1: 0.9}, "long")
    assert tuning.winner(small, "Tandem") is None, "the defaults are missing"
    add(small, "Tandem", {0: 0.91, 2: 0.99}, "long")
    assert tuning.contenders(small, "Tandem") == [0, 1], "a point is close, and the third was no finalist"
    add(small, "Tandem", {0: 0.915}, "study")
    assert tuning.winner(small, "Tandem") is None, "one that might have been better is missing"
    add(small, "Tandem", {1: 0.91}, "study")
    assert tuning.winner(small, "Tandem") == 0
    assert "its defaults" in tuning.table(small) and tuning.table(small).count("not tuned yet") == 14
    tuning.RESULTS.unlink()
    add(small, "Tandem", {0: 0.8, 1: 0.9, 2: 0.7})
    add(small, "Tandem", {0: 0.90, 1: 0.92}, "long")
    assert tuning.contenders(small, "Tandem") == [1], "two points are no matter of a seed"
    add(small, "Tandem", {1: 0.9155}, "study")
    assert tuning.winner(small, "Tandem") == 1
    assert "90.00%" in tuning.table(small) and "92.00%" in tuning.table(small) and "rate 0.006" in tuning.table(small)
    assert "91.55% (−0.45)" in tuning.table(small) and tuning.table(small).count("not made yet") == 1
    add(small, "Tandem", {1: 0.918}, "twice")
    assert "91.80% (+0.25)" in tuning.table(small)
    tuning.RESULTS.unlink()
    add(small, "Tandem", {0: 0.8, 1: 0.9, 2: 0.7})
    add(small, "Tandem", {0: 0.915, 1: 0.92}, "long")
    add(small, "Tandem", {0: 0.93, 1: 0.925}, "study")
    assert tuning.winner(small, "Tandem") == 0, "what is close is decided by the study's epochs"


def test_what_is_made_is_not_made_again_and_no_test_image_is_read(
    small: tuning.Tuning, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "tuning.md"
    page.write_text("<!-- tuning: made by `python -m benchmarks.tuning` -->\n<!-- end of tuning -->\n")
    monkeypatch.setattr(tuning, "PAGE", page)
    made: list[str] = []

    def noted(run: Run, change: training.Change | None) -> dict[str, Any]:
        made.append(run.name)
        return training.outcome(run, change)

    load = training.dataset_of

    def dataset(run: Run) -> Any:
        found = load(run)
        del found.indices["test"]  # type: ignore[attr-defined]
        return found

    monkeypatch.setattr(training, "DATA", tmp_path / "data")
    monkeypatch.setattr(training, "dataset_of", dataset)
    monkeypatch.setattr(training, "ProcessPoolExecutor", Here)
    monkeypatch.setattr(tuning, "make", partial(training.make, of=noted))
    monkeypatch.setattr(sys, "argv", ["tuning", "--methods", "ANN"])
    tuning.main()
    # Both rates on two networks, then the better and the defaults for long on one, and the winner for longer, twice.
    assert len(made) == len(set(made)) in (7, 8, 9)
    rows = training.rows_of(tuning.RESULTS, tuning.COLUMNS)
    assert set(rows["run"]) == set(made) and list(rows["length"])[:5] == ["short"] * 4 + ["long"]
    assert sorted(rows["length"])[-2:] == ["study", "twice"] and "not made yet" not in page.read_text()
    assert rows[rows["length"] == "long"]["validation"].min() > 0.3, "10 % by chance"
    assert set(rows["options"]) == {"{}"} and tuning.winner(small, "ANN") is not None
    assert "2 of 2" in page.read_text()
    before = tuning.RESULTS.read_bytes()
    count = len(made)
    tuning.main()
    assert len(made) == count and tuning.RESULTS.read_bytes() == before


class Here:
    """In the place of a pool of processes: what is submitted is done at once."""

    def __init__(self, *_: Any) -> None: ...

    def __enter__(self) -> "Here":
        return self

    def __exit__(self, *_: object) -> None: ...

    def submit(self, function: Any, *given: Any) -> Any:
        from concurrent.futures import Future

        done: Future[Any] = Future()
        done.set_result(function(*given))
        return done


def test_the_study_has_what_was_chosen_and_the_defaults_until_then() -> None:
    whole = tuning.read()
    runs = resolve(load_parameters("params.yaml"), "fashion-mnist-medium").runs
    for method in whole.methods:
        chosen = tuning.trials(whole, method)[tuning.winner(whole, method) or 0]
        wanted = whole.runs(method, chosen, "study")[0].spec
        same = [
            run for run in runs if (run.method, run.variant) == (wanted["method"]["name"], wanted["method"]["variant"])
        ]
        for run in same:
            assert run.spec["recipe"] == wanted["recipe"], run.name
        of_options = [run for run in same if run.spec["method"]["options"] == wanted["method"]["options"]]
        # What is beside it is the refined variant without a price.
        beside = [run.spec["method"]["options"]["spike_penalty"] for run in same if run not in of_options]
        assert of_options and set(beside) <= ({0} if "refined" in method else set()), method


def test_the_file_has_no_row_but_those_of_trials() -> None:
    whole, rows = tuning.read(), training.rows_of(tuning.RESULTS, tuning.COLUMNS)
    lengths: tuple[tuning.Length, ...] = ("short", "long", "study", "twice")
    every = {
        run.name: (method, length)
        for method in whole.methods
        for trial in tuning.trials(whole, method)
        for length in lengths
        for run in whole.runs(method, trial, length)
    }
    found = dict(zip(rows["run"], zip(rows["method"], rows["length"], strict=True), strict=True))
    assert len(rows) == len(found) and found == {name: every[name] for name in found}
