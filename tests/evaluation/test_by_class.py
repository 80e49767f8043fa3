"""Answers counted by class, against scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, confusion_matrix

from snn2ann.evaluation.census import ClassCensus


@pytest.mark.parametrize("classes", [2, 5])
def test_counts_are_those_of_scikit_learn(classes: int) -> None:
    generator = np.random.default_rng(0)
    # The last class has no images, and is an answer.
    labels = generator.integers(0, classes - 1, 200)
    answers = generator.integers(0, classes, (3, 200))
    census = ClassCensus(classes)
    for part in (slice(0, 70), slice(70, 200)):
        census.observe(torch.from_numpy(answers[:, part]), torch.from_numpy(labels[part]))
    entry = census.entry(time_steps=3, reported=2)
    assert entry["confusion_time_steps"] == 2
    assert entry["confusion"] == confusion_matrix(labels, answers[1], labels=range(classes)).tolist()
    with pytest.warns(UserWarning, match="y_pred contains classes not in y_true"):
        expected = [balanced_accuracy_score(labels, each) for each in answers]
    assert entry["balanced_accuracy"] == pytest.approx(expected)
    assert census.entry(3, 8)["confusion_time_steps"] == 3


def test_nothing_is_counted_where_it_is_not_asked_for() -> None:
    census = ClassCensus(None)
    census.observe(torch.zeros(1, 4, dtype=torch.long), torch.zeros(4, dtype=torch.long))
    assert census.entry(1, 1) == {}
