"""Learning-rate schedules against torch's own and against the paper's recipe."""

from typing import Any

import pytest
import torch

from snn2ann.errors import UserError
from snn2ann.parameters.recipe import Recipe
from snn2ann.parameters.whole import part_of
from snn2ann.training.recipe import build_loss, build_optimiser, build_schedule

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


def stepped(given: dict[str, Any], gradients: list[float]) -> tuple[list[float], list[dict[str, Any]]]:
    """A parameter that starts at 1, and the optimiser's settings, after each of the gradients."""
    recipe = part_of(Recipe, given, "recipe")
    parameter = torch.nn.Parameter(torch.ones(1, dtype=torch.float64))
    optimiser = build_optimiser([parameter], recipe)
    schedule = build_schedule(optimiser, recipe, len(gradients))
    values, settings = [], []
    for gradient in gradients:
        parameter.grad = torch.full_like(parameter, gradient)
        settings.append(dict(optimiser.param_groups[0]))
        optimiser.step()
        schedule.step()
        values.append(parameter.item())
    return values, settings


def test_sgd_has_nesterovs_momentum() -> None:
    given = BASE | {"optimizer": "sgd", "learning_rate": 0.1, "weight_decay": 0.01, "epochs": 5}
    found, _ = stepped(given | {"schedule": {"kind": "multi-step", "milestones": [5], "gamma": 0.1}}, [1.0, -2.0, 0.5])
    value, speed = 1.0, 0.0
    expected: list[float] = []
    for gradient in (1.0, -2.0, 0.5):
        # Sutskever et al. (2013) as PyTorch writes it, momentum 0.9.
        decayed = gradient + 0.01 * value
        speed = decayed if not expected else 0.9 * speed + decayed
        value -= 0.1 * (decayed + 0.9 * speed)
        expected.append(value)
    assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("optimiser", ["adam", "adamw", "sgd"])
def test_one_cycle_moves_the_learning_rate_alone(optimiser: str) -> None:
    given = BASE | {"optimizer": optimiser, "epochs": 1, "schedule": {"kind": "one-cycle", "warmup": 0.3}}
    _, settings = stepped(given, [1.0] * 10)
    assert len({setting.pop("lr") for setting in settings}) == 10
    for setting in settings:
        assert setting.get("betas", (0.9, 0.999)) == (0.9, 0.999) and setting.get("momentum", 0.9) == 0.9


def test_weight_decay_is_a_gradient_in_adam_and_none_in_adamw() -> None:
    still = BASE | {"learning_rate": 0.1, "weight_decay": 0.5, "epochs": 1}
    still |= {"schedule": {"kind": "multi-step", "milestones": [1], "gamma": 0.1}}
    (coupled,), _ = stepped(still | {"optimizer": "adam"}, [0.0])
    (decoupled,), _ = stepped(still | {"optimizer": "adamw"}, [0.0])
    assert coupled == pytest.approx(1 - 0.1) and decoupled == pytest.approx(1 - 0.1 * 0.5)


def test_the_loss_has_the_recipes_smoothing() -> None:
    logits, labels = torch.tensor([[2.0, 0.0, -1.0], [0.0, 1.0, 0.5]]), torch.tensor([0, 2])
    recipe = part_of(
        Recipe, BASE | {"schedule": {"kind": "one-cycle", "warmup": 0.3}, "label_smoothing": 0.3}, "recipe"
    )
    targets = torch.full((2, 3), 0.1)
    targets[[0, 1], labels] += 0.7
    expected = -(targets * logits.log_softmax(1)).sum(1).mean()
    assert build_loss(recipe)(logits, labels).item() == pytest.approx(expected.item())


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
