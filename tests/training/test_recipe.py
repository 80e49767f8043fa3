"""Learning-rate schedules against torch's own and against the paper's recipe."""

from typing import Any

import pytest
import torch

from snn2ann.errors import UserError
from snn2ann.parameters.recipe import Recipe
from snn2ann.parameters.whole import part_of
from snn2ann.training.recipe import build_optimiser, build_schedule

BASE: dict[str, Any] = {"optimizer": "adam", "learning_rate": 0.001, "weight_decay": 0.0005, "epochs": 200}
BASE |= {"batch_size": 4, "label_smoothing": 0, "normalisation": None, "precision": "fp32"}
BASE |= {"augmentation": {"crop_padding": 0, "horizontal_flip": False}}


def rates(given: dict[str, Any], batches: int) -> list[float]:
    """The learning rate at the start of each epoch."""
    recipe = part_of(Recipe, given, "recipe")
    optimiser = build_optimiser([torch.nn.Parameter(torch.zeros(1))], recipe)
    schedule = build_schedule(optimiser, recipe, batches)
    found = []
    for step in range(recipe.epochs * batches):
        if step % batches == 0:
            found.append(float(schedule.get_last_lr()[0]))
        optimiser.step()
        schedule.step()
    return found


def test_the_papers_recipe_falls_tenfold_at_its_milestones() -> None:
    found = rates(BASE | {"schedule": {"kind": "multi-step", "milestones": [100, 150, 175], "gamma": 0.1}}, 3)
    assert found[0] == found[99] == 0.001
    assert [found[epoch] for epoch in (100, 150, 175)] == pytest.approx([1e-4, 1e-5, 1e-6])


def test_one_cycle_peaks_after_its_warmup() -> None:
    found = rates(BASE | {"epochs": 10, "schedule": {"kind": "one-cycle", "warmup": 0.2}}, 5)
    assert max(found) == pytest.approx(0.001, rel=0.05)
    assert found.index(max(found)) == 2
    assert found[-1] < 0.0002


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"optimizer": "lion"}, 'recipe.optimizer: "lion" is not allowed; expected one of "adam"'),
        ({"schedule": {"kind": "step"}}, 'recipe.schedule.kind: "step" is not allowed'),
    ],
)
def test_unknown_words_are_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        part_of(Recipe, BASE | {"schedule": {"kind": "one-cycle", "warmup": 0.2}} | change, "recipe")
