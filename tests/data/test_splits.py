"""Stratified splits."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from snn2ann.data.splits import split_indices, stratified_subset


def labels_of(minimum: int) -> st.SearchStrategy[np.ndarray]:
    lists = st.lists(st.integers(0, 6), min_size=minimum, max_size=200)
    return lists.map(lambda found: np.array(found, np.int64))


@settings(max_examples=100, deadline=None)
@given(labels=labels_of(1), share=st.floats(0, 1), seed=st.integers(0, 100))
def test_every_class_keeps_its_share(labels: np.ndarray, share: float, seed: int) -> None:
    count = round(share * len(labels))
    chosen = stratified_subset(labels, count, np.random.default_rng(seed))
    assert len(chosen) == count
    assert (np.diff(chosen) > 0).all()
    for label in np.unique(labels):
        exact = (labels == label).sum() * count / len(labels)
        assert abs((labels[chosen] == label).sum() - exact) < 1


@settings(max_examples=60, deadline=None)
@given(
    labels=labels_of(20),
    validation=st.floats(0.05, 0.4),
    test=st.none() | st.floats(0.05, 0.4),
    seed=st.integers(0, 100),
)
def test_parts_are_disjoint_and_complete(labels: np.ndarray, validation: float, test: float | None, seed: int) -> None:
    official = len(labels) - 5
    parts = split_indices(labels, official, validation=validation, test=test, train_images=None, split_seed=seed)
    together = np.concatenate(list(parts.values()))
    np.testing.assert_array_equal(np.sort(together), np.arange(len(labels)))
    if test is None:
        np.testing.assert_array_equal(parts["test"], np.arange(official, len(labels)))
    else:
        assert len(parts["test"]) == round(test * len(labels))
    pool = len(labels) - len(parts["test"])
    assert len(parts["validation"]) == round(validation * pool)
    assert all(part.dtype == np.int64 and (np.diff(part) > 0).all() for part in parts.values())


def test_fewer_training_images_leave_the_other_parts_alone() -> None:
    labels = np.arange(1000) % 10

    def parts(train_images: int | None, split_seed: int = 0) -> dict[str, np.ndarray]:
        return split_indices(labels, 800, validation=0.1, test=None, train_images=train_images, split_seed=split_seed)

    whole, thinned = parts(None), parts(200)
    assert len(thinned["train"]) == 200
    assert (np.bincount(labels[thinned["train"]]) == 20).all()
    assert set(thinned["train"]) < set(whole["train"])
    np.testing.assert_array_equal(thinned["validation"], whole["validation"])
    np.testing.assert_array_equal(parts(5000)["train"], whole["train"])
    assert set(parts(None, 1)["validation"]) != set(whole["validation"])
    np.testing.assert_array_equal(parts(None)["train"], whole["train"])


@settings(max_examples=60, deadline=None)
@given(labels=labels_of(40), folds=st.integers(2, 6), seed=st.integers(0, 100))
def test_folds_test_every_image_once_and_share_out_every_class(labels: np.ndarray, folds: int, seed: int) -> None:
    parts = [
        split_indices(
            labels,
            len(labels),
            validation=0.2,
            test=None,
            train_images=None,
            split_seed=seed,
            fold=(which, folds),
        )
        for which in range(folds)
    ]
    tested = np.concatenate([part["test"] for part in parts])
    np.testing.assert_array_equal(np.sort(tested), np.arange(len(labels)))
    sizes = [len(part["test"]) for part in parts]
    assert max(sizes) - min(sizes) <= 1
    for label in np.unique(labels):
        of_class = [(labels[part["test"]] == label).sum() for part in parts]
        assert max(of_class) - min(of_class) <= 1
    for part in parts:
        together = np.concatenate(list(part.values()))
        np.testing.assert_array_equal(np.sort(together), np.arange(len(labels)))
