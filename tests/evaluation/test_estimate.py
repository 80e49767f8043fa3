"""The estimate of a study's arithmetic against figures worked out by hand."""

from copy import deepcopy
from pathlib import Path

import pytest

from snn2ann.evaluation.estimate import LONGEST_MINUTES, estimate, time_limit
from snn2ann.study import load_parameters, resolve

PARAMETERS = load_parameters(Path(__file__).parents[2] / "params.yaml")


def test_cifar10_on_vgg13_by_hand() -> None:
    found = {
        (group.method, group.time_steps): group
        for group in estimate(resolve(PARAMETERS, "cifar10").runs)
        if group.network == "vgg-13"
    }
    assert {key: group.passes for key, group in found.items()} == {
        ("ann", None): 3,
        ("stbp", 5): 15,
        ("stbp", 8): 24,
        ("snn2ann", 5): 8,
    }
    # 45,000 images, 200 epochs, 3.74 GMAC a pass, two operations a MAC, three seeds.
    by_hand = 45_000 * 200 * 3.74e9 * 2 * 3 * 3
    assert found["ann", None].operations == pytest.approx(by_hand, rel=0.005)
    assert found["snn2ann", 5].operations / found["snn2ann", 5].runs == pytest.approx(by_hand / 3 / 3 * 8, rel=0.005)


def test_a_capped_training_part_is_counted_as_capped() -> None:
    small = estimate(resolve(PARAMETERS, "fashion-mnist-small").runs)
    uncapped = deepcopy(PARAMETERS)
    del uncapped["studies"]["fashion-mnist-small"]["dataset_options"]["fashion-mnist"]["train_images"]
    all_images = estimate(resolve(uncapped, "fashion-mnist-small").runs)
    kept = 1 - uncapped["studies"]["fashion-mnist-small"]["dataset_options"]["fashion-mnist"]["validation"]
    assert small[0].operations / all_images[0].operations == pytest.approx(12_000 / (60_000 * kept))


def _limits(study: str, gpu: bool, **which: object) -> set[int]:
    runs = resolve(PARAMETERS, study).runs
    return {time_limit(run, gpu) for run in runs if all(getattr(run, name) == value for name, value in which.items())}


def test_a_queue_is_asked_for_twice_the_estimate_and_for_no_more_than_a_week() -> None:
    (asked,) = _limits("cifar10", True, network="vgg-13", method="stbp", training_time_steps=8)
    assert asked == pytest.approx(10 + 2 * 45_000 * 200 * 3.74e9 * 2 * 24 / 20e12 / 60, rel=0.005)
    assert _limits("cifar10", False, network="vgg-13", method="ann") == {LONGEST_MINUTES}
    # More than the day that was once asked for every training.
    assert min(_limits("tiny-imagenet", True, network="vgg-13", method="snn2ann")) > 24 * 60
    assert _limits("digits", True, network="vgg-tiny", method="stbp") == {11}
    assert _limits("digits", False, method="conversion") == {10}
