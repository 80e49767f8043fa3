"""Which weights are evaluated: of the best epoch, the last one, or the mean of the last ones."""

from typing import Any

import pytest
import torch

from snn2ann.training.loop import Trainer, averaged_epochs, mean_state

ACCURACIES = [0.5, 0.9, 0.7, 0.9, 0.8, 0.6, 0.7, 0.8]


class _Network:
    def __init__(self) -> None:
        self.weight = torch.zeros(2)
        self.seen = torch.zeros((), dtype=torch.long)

    def named_state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        return {"weight": self.weight, "seen": self.seen}, {"threshold": self.weight + 1}


def selected(select: str) -> dict[str, Any]:
    """The state that is kept after eight epochs, the weights of an epoch being its number."""
    trainer = object.__new__(Trainer)
    network = _Network()
    trainer.model = type("Model", (), {"network": network})()
    trainer.recipe = type("Recipe", (), {"select": select, "epochs": len(ACCURACIES)})()
    trainer.best = {}
    for epoch, accuracy in enumerate(ACCURACIES, start=1):
        network.weight, network.seen = torch.full((2,), float(epoch)), torch.tensor(epoch)
        trainer._select(epoch, accuracy)
    return trainer.best


@pytest.mark.parametrize(
    ("select", "epoch", "weight", "seen"), [("best", 4, 4.0, 4), ("last", 8, 8.0, 8), ("average", 8, 7.5, 8)]
)
def test_what_is_kept(select: str, epoch: int, weight: float, seen: int) -> None:
    kept = selected(select)
    assert kept["epoch"] == epoch
    assert kept["weights"]["weight"].tolist() == [weight, weight]
    assert kept["thresholds"]["threshold"].tolist() == [weight + 1, weight + 1]
    assert int(kept["weights"]["seen"]) == seen


def test_the_mean_is_that_of_the_last_quarter() -> None:
    assert [averaged_epochs(epochs) for epochs in (1, 4, 5, 12)] == [1, 1, 2, 3]
    states = [{"a": torch.randn(3)} for _ in range(4)]
    mean = states[0]
    for count, state in enumerate(states[1:], start=2):
        mean = mean_state(mean, state, count)
    torch.testing.assert_close(mean["a"], torch.stack([state["a"] for state in states]).mean(0))
