"""Tuning, tiny: every method has its trials and no more, what is there is not made again, and test images stay unread."""

import json
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
    "study": {"datasets": ["digits"], "networks": ["vgg-tiny", "resnet-tiny"]},
    "recipe": {"inherit": "digits", "epochs": 1},
    "budget": {"trials": 5, "finalists": 1, "seeds": [100, 101]},
    "learning_rate": [0.006, 0.012],
    "methods": {
        "ANN": {"run": {"method": "ann"}, "options": {}},
        "BP": {
            "run": {"method": "stbp", "time_steps": 2},
            "options": {"threshold": [0.5, 1.0, 2.0], "tau": [2.0, 4.0]},
        },
        "Tandem": {"run": {"method": "tandem", "time_steps": 2}, "options": {"threshold": [0.5, 1.0]}, "activity": 0.5},
    },
    "reference": "BP",
}


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuning.Tuning:
    monkeypatch.setattr(tuning, "CHOICES", tmp_path / "tuning.yaml")
    monkeypatch.setattr(tuning, "RESULTS", tmp_path / "tuning.csv")
    tuning.CHOICES.write_text(yaml.safe_dump(CHOICES, sort_keys=False))
    return tuning.read()


def add(
    small: tuning.Tuning, method: str, seed: int, accuracy: list[float], spikes: list[float], first: int = 0
) -> None:
    """Rows of a method's trials from the `first` one on, on one seed, all networks alike."""
    made = {number: (right, fired) for number, (right, fired) in enumerate(zip(accuracy, spikes, strict=True), first)}
    rows = []
    for job in tuning.jobs(small, method, list(made), [seed]):
        right, fired = made[job.row["trial"]]
        rows.append({**job.row, "validation": right, "spikes": fired, "operations": fired, "seconds": 1})
    known = training.rows_of(tuning.RESULTS, tuning.COLUMNS)
    pd.concat([known, pd.DataFrame(rows)] if len(known) else [pd.DataFrame(rows)]).to_csv(tuning.RESULTS, index=False)


def test_a_trial_changes_one_thing_and_the_last_has_all_that_was_better(small: tuning.Tuning) -> None:
    assert tuning.trials(small, "ANN") == [(0.012, {}), (0.006, {})]
    alone = [(0.012, {}), (0.006, {}), (0.012, {"threshold": 0.5}), (0.012, {"threshold": 2.0}), (0.012, {"tau": 2.0})]
    assert tuning.trials(small, "BP") == alone, (
        "the defaults are not drawn again, and there are no more than the budget"
    )
    add(small, "BP", 100, [0.8, 0.9, 0.85, 0.9, 0.7], [10] * 5)
    together = (0.006, {"threshold": 2.0})
    assert tuning.trials(small, "BP") == [*alone, together]
    add(small, "Tandem", 100, [0.8, 0.7, 0.9], [10] * 3)
    assert len(tuning.trials(small, "Tandem")) == 3, "one that was better alone has been tried already"


def test_where_all_that_was_better_is_too_active_what_made_it_so_is_left_out(small: tuning.Tuning) -> None:
    add(small, "BP", 100, [0.8, 0.7, 0.7, 0.7, 0.7], [100] * 5)
    # A learning rate, and a threshold that is better and more active.
    add(small, "Tandem", 100, [0.7, 0.8, 0.9], [40, 30, 60])
    assert tuning.trials(small, "Tandem")[3:] == [(0.006, {"threshold": 0.5})]
    add(small, "Tandem", 100, [0.95], [45], first=3)
    assert len(tuning.trials(small, "Tandem")) == 4, "it is within half of the reference's"
    tuning.RESULTS.unlink()
    add(small, "BP", 100, [0.8, 0.7, 0.7, 0.7, 0.7], [100] * 5)
    add(small, "Tandem", 100, [0.7, 0.8, 0.9], [40, 30, 60])
    add(small, "Tandem", 100, [0.95], [55], first=3)
    assert len(tuning.trials(small, "Tandem")) == 4, "the learning rate alone has been tried"
    assert tuning.finalists(small, "Tandem") == [1, 0]


def test_the_best_of_the_first_seed_is_tried_again_and_wins_over_all_seeds(small: tuning.Tuning) -> None:
    add(small, "BP", 100, [0.8, 0.9], [10, 10])
    assert tuning.finalists(small, "BP") == [], "a trial is missing"
    tuning.RESULTS.unlink()
    add(small, "BP", 100, [0.8, 0.9, 0.7, 0.7, 0.7], [10] * 5)
    assert tuning.finalists(small, "BP") == [1, 0] and tuning.winner(small, "BP") is None
    add(small, "BP", 101, [0.8, 0.6, 0.9, 0.7, 0.7], [10] * 5)
    assert tuning.winner(small, "BP") == 0, "over both seeds 0.8 beats 0.75, and the third was no finalist"
    assert "its defaults" in tuning.table(small) and tuning.table(small).count("not tuned yet") == 10


def test_trials_of_too_many_spikes_do_not_count(small: tuning.Tuning) -> None:
    add(small, "Tandem", 100, [0.7, 0.8, 0.9], [4, 5, 6])
    assert tuning.ranking(small, "Tandem", [100]) == [], "the reference's spikes are not known"
    add(small, "BP", 100, [0.8, 0.9, 0.7, 0.7, 0.7], [10, 1, 100, 10, 10])
    assert tuning.ranking(small, "Tandem", [100]) == [1, 0]


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
    # Both learning rates on the first seed, then both again, the second being the defaults: on two networks.
    assert len(made) == len(set(made)) == 8
    rows = training.rows_of(tuning.RESULTS, tuning.COLUMNS)
    assert set(rows["run"]) == set(made) and set(rows["seed"]) == {100, 101}
    assert rows["validation"].min() > 0.3, "10 % by chance"
    assert [json.loads(each) for each in rows["options"]] == [{}] * 8
    assert "2 of 2" in page.read_text()
    before = tuning.RESULTS.read_bytes()
    tuning.main()
    assert len(made) == 8 and tuning.RESULTS.read_bytes() == before


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


def test_the_study_has_what_was_chosen() -> None:
    whole = tuning.read()
    runs = resolve(load_parameters("params.yaml"), "fashion-mnist-medium").runs
    tuned = [method for method in whole.methods if tuning.winner(whole, method) is not None]
    assert {"ANN", "SNN2ANN, refined", "Spike-based BP"} <= set(tuned)
    for method in tuned:
        chosen = tuning.winner(whole, method)
        assert chosen is not None
        wanted = whole.runs(method, *tuning.trials(whole, method)[chosen], 0)[0].spec
        same = [
            run for run in runs if (run.method, run.variant) == (wanted["method"]["name"], wanted["method"]["variant"])
        ]
        assert same
        for run in same:
            assert run.spec["method"]["options"] == wanted["method"]["options"], run.name
            assert run.spec["recipe"] == wanted["recipe"], run.name
