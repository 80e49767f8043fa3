"""Leads, tiny: each changes what it says it does, and the table is of paired differences."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch.nn.functional import cross_entropy, kl_div, log_softmax, softmax

from benchmarks import changes, leads, training
from snn2ann.engine.signals import Observation
from snn2ann.engine.stages import firing
from snn2ann.evaluation.census import SpikeCensus
from snn2ann.methods.snn2ann import Snn2Ann
from snn2ann.study import load_parameters
from snn2ann.training.loop import Trainer

DESCRIBED: dict[str, Any] = {
    "study": {"datasets": ["digits"], "networks": ["vgg-tiny", "resnet-tiny"], "seeds": [100, 101, 102]},
    "recipe": {"inherit": "digits", "epochs": 2},
    "run": {"method": "snn2ann", "variant": "refined", "time_steps": 2},
    "leads": {
        "cheap": {"options": {"spike_penalty": 0}},
        "smooth": {"recipe": {"label_smoothing": 0.1}},
        "five": {"change": "five_steps_first"},
        "taught": {"change": "taught_by_the_ann"},
    },
}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "DATA", tmp_path / "data")


def jobs(**kept: Any) -> list[training.Job]:
    found = list(leads.jobs(DESCRIBED, load_parameters("params.yaml")))
    return [job for job in found if all(job.row[key] == value for key, value in kept.items())]


def test_every_lead_is_tried_on_every_network_and_seed_and_changes_what_it_says() -> None:
    every = jobs()
    assert len(every) == len({job.row["run"] for job in every}) == 5 * 2 * 3
    specs = {job.row["lead"]: job.run.spec for job in jobs(network="vgg-tiny", seed=100)}
    plain = specs[leads.AS_IT_IS]
    assert specs["five"] == specs["taught"] == plain
    cheap = specs["cheap"]["method"]["options"]
    assert cheap == plain["method"]["options"] | {"spike_penalty": 0}
    assert specs["smooth"]["recipe"] == plain["recipe"] | {"label_smoothing": 0.1}


def test_more_steps_are_trained_first_and_the_given_ones_last() -> None:
    (job,) = jobs(lead="five", network="resnet-tiny", seed=100)
    assert job.change is not None
    trainer = training.trainer_of(job.run)
    seen: list[tuple[float, int]] = []
    step = trainer.model.training_step

    def noted(*given: Any) -> Any:
        seen.append((float(trainer.model.progress), trainer.model.time_steps))
        return step(*given)

    trainer.model.training_step = noted  # type: ignore[assignment]
    job.change(trainer, job.run)
    training.train(trainer)
    assert {steps for progress, steps in seen if progress < 0.5} == {4}
    assert {steps for progress, steps in seen if progress >= 0.5} == {2} == {trainer.model.time_steps}


def test_a_teachers_answers_are_half_of_the_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    (job,) = jobs(lead="taught", network="resnet-tiny", seed=100)
    trained: list[Trainer] = []
    monkeypatch.setattr(changes, "train", trained.append)
    trainer = training.trainer_of(job.run)
    changes.taught_by_the_ann(trainer, job.run)
    (teacher,) = trained
    assert teacher.spec["method"]["name"] == "ann" and teacher.spec["recipe"] == job.run.spec["recipe"]
    images, labels = next(trainer.training_batches(1))
    answers = teacher.model.ann_forward(images)
    assert len(answers.argmax(1).unique()) > 1
    step = trainer.model.train().training_step(images, labels, trainer.loss)
    divergence = kl_div(
        log_softmax(step.logits / 2, 1), log_softmax(answers / 2, 1), reduction="batchmean", log_target=True
    )
    entropy = -(softmax(answers / 2, 1) * log_softmax(answers / 2, 1)).sum(1).mean()
    expected = 0.5 * trainer.loss(step.logits, labels) + 0.5 * 4 * (divergence + entropy)
    torch.testing.assert_close(step.loss, expected)


def trainer_with(change: str, network: str) -> Trainer:
    described = DESCRIBED | {"leads": {change: {"change": change}}}
    found = leads.jobs(described, load_parameters("params.yaml"))
    job = next(each for each in found if each.change and each.run.network == network)
    trainer = training.trainer_of(job.run)
    assert job.change is not None
    job.change(trainer, job.run)
    trainer.model.train()
    return trainer


@pytest.mark.parametrize("network", ["vgg-tiny", "resnet-tiny"])
def test_every_step_is_read_out_to_what_all_are_on_the_mean(network: str) -> None:
    plain, trainer = (trainer_with(each, network) for each in ("five_steps_first", "read_out_at_every_step"))
    images, labels = next(trainer.training_batches(1))
    entropies = []
    for each in (plain, trainer):
        torch.manual_seed(0)
        entropies.append(each.model.training_step(images, labels, cross_entropy))
    torch.testing.assert_close(entropies[1].logits, entropies[0].logits)
    assert entropies[1].loss > 0.95 * entropies[0].loss, "the mean of losses is more than the loss of the mean"


def test_a_spike_is_priced_by_the_operations_that_are_counted_in_an_evaluation() -> None:
    trainer = trainer_with("priced_by_operations", "vgg-tiny")
    model = trainer.model
    assert isinstance(model, Snn2Ann)
    images, _ = next(trainer.training_batches(1))
    caused = changes.operations_of_a_spike(model, images)
    census = SpikeCensus(model.time_steps)
    model.eval().spiking_forward(images, model.time_steps, census.observe)
    of_layers = sum(float(census.spikes[label].sum()) * each for label, each in caused.items())
    assert of_layers == pytest.approx(float(census.operations.sum()))
    seen: dict[str, float] = {}

    def observe(shown: Observation) -> None:
        if fire := firing(shown.stage):
            seen[fire.neurons.label] = float(shown.outgoing.count.sum())

    neurons = {label: layer.threshold.numel() for label, layer in model.network.by_label().items()}
    interpreter = model.interpreter(model._spiking(2), observer=observe, neurons=sum(neurons.values()))
    model.network.run_by(interpreter, images)
    mean = sum(caused[label] * count for label, count in neurons.items()) / sum(neurons.values())
    expected = sum(caused[label] / mean * count for label, count in seen.items())
    price = model.options.spike_penalty * expected / sum(neurons.values()) / len(images)
    assert interpreter.price is not None and interpreter.price.item() == pytest.approx(price)


def test_thresholds_are_learned_neuron_by_neuron() -> None:
    trainer = trainer_with("thresholds_learned", "vgg-tiny")
    before = {label: layer.threshold.clone() for label, layer in trainer.model.network.by_label().items()}
    training.train(trainer)
    for label, layer in trainer.model.network.by_label().items():
        moved = layer.threshold - before[label]
        assert float(moved.std()) > 0.01 and float(layer.threshold.min()) >= 0.1, label


def test_thresholds_that_decay_fall_by_a_share_that_gets_less_to_the_end_and_not_below_the_lowest() -> None:
    (job,) = jobs(lead="five", network="vgg-tiny", seed=100)
    trainer = training.trainer_of(job.run)
    images, labels = next(trainer.training_batches(1))
    trainer.step = lambda images, labels, *_: (images, labels)
    changes.thresholds_decay(trainer, job.run)
    low, other = list(trainer.model.network.by_label().values())[:2]
    low.threshold.fill_(0.1)
    for progress, share in ((0.0, 0.001), (0.5, 0.0005), (1.0, 0.0)):
        before = other.threshold.clone()
        trainer.step(images, labels, len(images), progress)
        torch.testing.assert_close(other.threshold, before * (1 - share))
    assert float(low.threshold.min()) == pytest.approx(0.1)


def test_the_table_has_paired_differences_and_says_what_was_not_tried() -> None:
    rows = []
    for seed, (before, after) in {100: (0.80, 0.82), 101: (0.90, 0.91), 102: (0.70, 0.73)}.items():
        for lead, right, spikes in ((leads.AS_IT_IS, before, 10), ("cheap", after, 5)):
            rows.append({"lead": lead, "network": "vgg-tiny", "seed": seed, "validation": right})
            rows[-1] |= {"spikes": spikes, "operations": 20 * spikes}
    shown = leads.table(DESCRIBED, pd.DataFrame(rows))
    cheap = next(line for line in shown.splitlines() if line.startswith("| cheap"))
    # Student's t of three differences of 2, 1 and 3 points: 2 ± 4.303 / √3.
    assert "+2.00 [−0.48, +4.48]" in cheap and "× 0.50" in cheap and "not tried yet" in cheap
    assert shown.count("not tried yet") == 1 + 2 * 3
