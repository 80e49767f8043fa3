"""What is written down of layers: of coupled models everything, of others nothing, whatever their method shows."""

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from snn2ann.engine.network import Network
from snn2ann.engine.signals import Observation, Observer
from snn2ann.engine.stages import firing
from snn2ann.methods import METHODS
from snn2ann.methods.build import build_model
from snn2ann.methods.model import Loss, Model, Step
from snn2ann.methods.stbp import SpikeBasedBackpropagation
from snn2ann.models.building import build_network
from snn2ann.options import RELEASED
from snn2ann.training.accuracy import score
from snn2ann.training.checkpoint import load_checkpoint
from snn2ann.training.layer_record import LayerRecord

NETWORK = {"kind": "vgg", "blocks": [[4], [6]], "pooled_blocks": [1, 2], "dropout": [0, 0]}
IMAGES, LABELS = torch.linspace(-1, 2, 6 * 64).reshape(6, 1, 8, 8), torch.arange(6) % 3


class Showing(SpikeBasedBackpropagation):
    """Passes its observer on."""

    def training_step(self, images: Tensor, labels: Tensor, loss: Loss, observer: Observer | None = None) -> Step:
        logits = self._run(images, self.time_steps, observer).mean(0)
        return Step(loss(logits, labels), logits)


def recorded(model: Model, batches: int) -> tuple[list[dict[str, Any]], list[Observation]]:
    """The rows of an epoch, and what the method showed."""
    record, shown = LayerRecord(model), []

    def observe(observation: Observation) -> None:
        shown.append(observation)
        record.observe(observation)

    for _ in range(batches):
        model.train().training_step(IMAGES, LABELS, cross_entropy, observe)
    record.close_epoch(1)
    return record.rows, shown


def test_a_method_that_is_not_coupled_may_pass_its_observer_on() -> None:
    model = Showing(Network(build_network(NETWORK, (1, 8, 8), 3), (1, 8, 8)), 4, METHODS["stbp"].defaults)
    rows, shown = recorded(model, batches=2)
    shown = [each for each in shown if firing(each.stage)]
    assert len(shown) == 2 * 2 and {each.noisy_spike_rate for each in shown} == {None}
    assert rows == []


@pytest.mark.parametrize("name", [name for name, entry in METHODS.items() if entry.trained])
def test_every_method_takes_an_observer(name: str) -> None:
    entry = METHODS[name]
    options = asdict(RELEASED) if entry.options == "variants" else entry.defaults
    method = {"name": name, "time_steps": 4 if entry.time_steps else None, "options": options}
    model = build_model({"dataset": {"shape": (1, 8, 8), "classes": 3}, "network": NETWORK, "method": method})
    rows, _ = recorded(model, batches=2)
    assert [row["layer"] for row in rows] == (list(model.network.by_label()) if model.coupled else [])


def test_rows_are_means_over_batches() -> None:
    method = {"name": "snn2ann", "time_steps": 4, "options": asdict(RELEASED)}
    model = build_model({"dataset": {"shape": (1, 8, 8), "classes": 3}, "network": NETWORK, "method": method})
    rows, shown = recorded(model, batches=3)
    first = next(iter(model.network.by_label().values()))
    own = [each for each in shown if (fire := firing(each.stage)) and fire.neurons is first]
    rates = [float(each.noisy_spike_rate) for each in own if each.noisy_spike_rate is not None]
    assert len(rates) == 3
    assert rows[0]["noisy_spike_rate"] == pytest.approx(sum(rates) / 3)
    # Of all neurons, images, steps and batches together, whose number is the same in each.
    fired = torch.cat([each.outgoing.value.flatten().double() for each in own])
    assert rows[0]["firing_rate"] == pytest.approx(float(fired.mean())) and 0 < float(fired.mean()) < 1


def test_scores_are_those_of_the_branches() -> None:
    method = {"name": "snn2ann", "time_steps": 4, "options": asdict(RELEASED)}
    torch.manual_seed(0)
    model = build_model({"dataset": {"shape": (1, 8, 8), "classes": 3}, "network": NETWORK, "method": method})
    ann, snn = model.eval().coupled_forward(IMAGES, 4)
    # Labels of which each branch gets another share right.
    labels = torch.cat([ann.argmax(1)[:4], snn.argmax(1)[4:] + 1]) % 3
    found = score(model, [(IMAGES[:4], labels[:4]), (IMAGES[4:], labels[4:])], cross_entropy)
    assert found.ann_accuracy == pytest.approx(float((ann.argmax(1) == labels).double().mean()))
    assert found.accuracy == pytest.approx(float((snn.argmax(1) == labels).double().mean()))
    assert found.loss == pytest.approx(float(cross_entropy(snn, labels)))


class Command:
    """What a pickle of it would run."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (str(Path(os.environ["PLACE"]) / "run"),)


def test_a_checkpoint_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLACE", str(tmp_path))
    torch.save({"identity": {}, "state": Command()}, tmp_path / "checkpoint")
    assert load_checkpoint(tmp_path / "checkpoint", {}) is None
    assert not (tmp_path / "run").exists()
