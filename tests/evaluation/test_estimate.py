"""The estimate of a study's arithmetic against figures worked out by hand."""

from copy import deepcopy
from pathlib import Path

import pytest

from snn2ann.evaluation.estimate import LONGEST_MINUTES, Estimate, estimate, time_limit, too_large
from snn2ann.specs import training_images
from snn2ann.study import load_parameters, resolve

PARAMETERS = load_parameters(Path(__file__).parents[2] / "params.yaml")


@pytest.fixture(scope="module")
def cifar10() -> list[Estimate]:
    return estimate(resolve(PARAMETERS, "cifar10").runs)


def test_cifar10_on_vgg13_by_hand(cifar10: list[Estimate]) -> None:
    found = {(group.method, group.time_steps): group for group in cifar10 if group.network == "vgg-13"}
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


def test_memory_of_the_papers_networks(cifar10: list[Estimate]) -> None:
    found = {(group.network, group.method, group.time_steps): group for group in cifar10}
    # Of a batch of 512, of which spike-based BP's recipe takes one half at a time. By hand for the plain VGG-13: before and
    # after BatchNorm every value is kept, and before the dropout and the pooling, and the image.
    plain = found["vgg-13", "ann", None].saved_bytes
    assert 6e9 < plain < 8e9
    # As the benchmark measured them in batches of 16.
    assert found["vgg-13", "snn2ann", 5].saved_bytes / plain == pytest.approx(0.692, abs=0.003)
    assert 2 * found["vgg-13", "stbp", 8].saved_bytes / plain == pytest.approx(13.34, abs=0.01)


def test_an_evening_is_one() -> None:
    for name in ("cifar10-evening", "cifar100-evening"):
        study = resolve(PARAMETERS, name)
        groups = estimate(study.runs)
        assert 3 < sum(group.hours() for group in groups) <= 6
        assert not list(too_large(groups, 80 * 2**30))
        kinds = {(run.method, run.spec["method"]["variant"], run.training_time_steps) for run in study.runs}
        assert kinds == {
            ("ann", None, None),
            ("stbp", None, 8),
            *(("snn2ann", variant, steps) for variant in ("released", "refined") for steps in (5, 3)),
        }
        assert {run.network for run in study.runs} == {"vgg-13", "resnet-17"} and len(study.runs) == 2 * 3 * 6


def test_a_graph_keeps_its_memory_beside_the_last_smaller_batch() -> None:
    parameters = load_parameters(Path(__file__).parents[1] / "workflow/params.yaml")
    recipe = parameters["recipes"]["tiny"]
    recipe["batch_size"] = 256
    plain = estimate(resolve(parameters, "tiny").runs)
    recipe["cuda_graph"] = True
    images = training_images(resolve(parameters, "tiny").runs[0].spec["dataset"])
    assert images % 256
    for before, after in zip(plain, estimate(resolve(parameters, "tiny").runs), strict=True):
        assert after.saved_bytes == pytest.approx(before.saved_bytes * (1 + images % 256 / 256), abs=1)


def test_what_does_not_fit_is_named_with_a_cure(cifar10: list[Estimate]) -> None:
    assert not list(too_large(cifar10, 80 * 2**30))
    problems = list(too_large(cifar10, 40 * 2**30))
    assert len(problems) == 2
    assert problems[0].startswith(
        "recipes.paper-in-parts: a training step of stbp at T = 8 on vgg-13 holds 44.1 GiB, and"
    )
    assert problems[0].endswith("expected micro_batches: 3 or more")
    # Weights alone that do not fit are cured by no smaller part.
    assert next(too_large(cifar10, 2**20)).endswith("expected a smaller network")
