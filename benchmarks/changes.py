"""What leads of benchmarks/leads.yaml do to a training of the refined variant, by name."""

from collections import defaultdict
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.training import Change, train, trainer_of
from snn2ann.engine.signals import Coupled, Observation, Spikes
from snn2ann.engine.stages import Fire, Layer, Weigh, firing
from snn2ann.evaluation.arithmetic import accumulates
from snn2ann.method.coupling import CoupledInterpreter
from snn2ann.method.thresholds import LOWEST
from snn2ann.methods import METHODS
from snn2ann.methods.model import Step
from snn2ann.methods.snn2ann import Snn2Ann
from snn2ann.methods.stbp import tet_loss
from snn2ann.specs import MethodSpec
from snn2ann.study import Run
from snn2ann.training.loop import Trainer


def five_steps_first(trainer: Trainer, run: Run) -> None:
    """Train for two more steps while the first half lasts, with finer counts."""
    step, own = trainer.step, trainer.model.time_steps

    def longer(images: Tensor, labels: Tensor, whole: int, progress: float) -> tuple[Tensor, Tensor]:
        trainer.model.time_steps = own + 2 if progress < 0.5 else own
        return step(images, labels, whole, progress)

    trainer.step = longer


def taught_by_the_ann(trainer: Trainer, run: Run, share: float = 0.5, temperature: float = 2.0) -> None:
    """Put the answers of the plain ANN, trained alike, in the place of half of the labels (Hinton et al. 2015)."""
    revision = METHODS["ann"].revision
    method: MethodSpec = {"name": "ann", "revision": revision, "time_steps": None, "variant": None, "options": {}}
    teacher = trainer_of(replace(run, spec={**run.spec, "method": method}))
    train(teacher)
    ann, step = teacher.model.eval(), trainer.model.training_step

    def taught(images: Tensor, labels: Tensor, loss: Any, observer: Any = None) -> Any:
        with torch.no_grad():
            answers = (ann.ann_forward(images) / temperature).softmax(1)

        def both(logits: Tensor, labels: Tensor) -> Tensor:
            softer = functional.cross_entropy(logits / temperature, answers) * temperature**2
            return (1 - share) * loss(logits, labels) + share * softer

        return step(images, labels, both, observer)

    trainer.model.training_step = taught  # type: ignore[method-assign]


def read_out_at_every_step(trainer: Trainer, run: Run, weight: float = 0.05) -> None:
    """Take TET's loss (Deng et al. 2022) of what each step alone reads out; a spike has the gradient of its count."""

    class Every(CoupledInterpreter):
        def rate(self, signal: Coupled) -> Coupled:
            rated = super().rate(signal)
            spikes = signal.spikes.amount()
            # Steps are further samples to what is between here and the logits.
            return Coupled((rated.dense + (spikes - rated.spikes.value)).flatten(0, 1), rated.spikes)

    model = _coupled(trainer)
    model.interpreter, step = Every, model.training_step

    def every(images: Tensor, labels: Tensor, loss: Any, observer: Any = None) -> Step:
        def of_steps(logits: Tensor, labels: Tensor) -> Tensor:
            return tet_loss(logits.unflatten(0, (-1, len(labels))), labels, loss, weight)

        found = step(images, labels, of_steps, observer)
        return Step(found.loss, found.logits.unflatten(0, (-1, len(labels))).mean(0))

    model.training_step = every  # type: ignore[method-assign]


def priced_by_operations(trainer: Trainer, run: Run) -> None:
    """Let a spike cost what it causes in synaptic operations; the mean price of a neuron stays."""
    model = _coupled(trainer)
    images, _ = next(trainer.training_batches(1))
    caused = operations_of_a_spike(model, images)
    neurons = {label: layer.threshold.numel() for label, layer in model.network.by_label().items()}
    mean = sum(caused[label] * count for label, count in neurons.items()) / sum(neurons.values())

    class Caused(CoupledInterpreter):
        def _mapped(self, stage: Fire, *given: Any, **more: Any) -> Coupled:
            whole = self.penalty
            self.penalty = whole * (caused[stage.neurons.label] / mean)
            try:
                return super()._mapped(stage, *given, **more)
            finally:
                self.penalty = whole

    model.interpreter = Caused


@torch.no_grad()
def operations_of_a_spike(model: Snn2Ann, images: Tensor) -> dict[str, float]:
    """How many weights a spike of each layer meets, on the mean of these images."""
    met: dict[str, float] = defaultdict(float)
    spikes: dict[str, float] = defaultdict(float)
    whose: dict[int, str] = {}
    kept: list[Spikes] = []

    def observe(seen: Observation) -> None:
        stage = seen.stage
        weighed = (
            (stage.main, stage.side) if isinstance(stage, Layer) else (stage if isinstance(stage, Weigh) else None,)
        )
        for weigh, signal in zip(weighed, seen.incoming, strict=False):
            if weigh is not None and weigh.module is not None and weigh.readout:
                # Of all neurons that are read out, the last have fired just before.
                last = next(reversed(spikes))
                met[last] += spikes[last] * weigh.module.weight.shape[0]
            elif weigh is not None and weigh.module is not None and id(signal) in whose:
                met[whose[id(signal)]] += float(accumulates(weigh.module, (signal.value != 0).float()).sum())
        if fire := firing(stage):
            whose[id(seen.outgoing)] = fire.neurons.label
            spikes[fire.neurons.label] += float(seen.outgoing.value.sum())
        elif seen.incoming and id(seen.incoming[0]) in whose:
            whose[id(seen.outgoing)] = whose[id(seen.incoming[0])]
        # No other signal is to have its identity.
        kept.append(seen.outgoing)

    mode = model.training
    model.eval().spiking_forward(images, model.time_steps, observe)
    model.train(mode)
    return {label: met[label] / max(count, 1.0) for label, count in spikes.items()}


def thresholds_learned(trainer: Trainer, run: Run, rate: float = 0.005) -> None:
    """Learn thresholds by an Adam of its own, from the gradients by which `threshold_descent` moves them.

    Args:
        trainer: its steps are followed by one of the thresholds.
        run: the run.
        rate: of learning.
    """
    model = _coupled(trainer)
    thresholds = {label: layer.threshold for label, layer in model.network.by_label().items()}
    own = {label: value.clone().requires_grad_() for label, value in thresholds.items()}

    class Learned(CoupledInterpreter):
        def _mapped(self, stage: Fire, value: Tensor, dropout: Any, spikes: Spikes, **more: Any) -> Coupled:
            mapped = super()._mapped(stage, value, dropout, spikes, **more)
            dense, steps, counts = mapped.dense, self.spiking.time_steps, spikes.count

            def keep(gradient: Tensor) -> None:
                slope = (counts * (counts < steps)).float() / stage.neurons.threshold
                own[stage.neurons.label].grad = -(gradient * slope).sum(0, keepdim=True)

            if dense.requires_grad:
                dense.register_hook(keep)
            return Coupled(dense, mapped.spikes)

    model.interpreter = Learned
    optimiser, step = torch.optim.Adam(own.values(), rate), trainer.step

    def learned(images: Tensor, labels: Tensor, whole: int, progress: float) -> tuple[Tensor, Tensor]:
        outcome = step(images, labels, whole, progress)
        with torch.no_grad():
            # ATA has moved them as well.
            for label, value in own.items():
                value.copy_(thresholds[label])
            optimiser.step()
            for label, value in own.items():
                thresholds[label].copy_(value.clamp(min=LOWEST))
        return outcome

    trainer.step = learned


def thresholds_decay(trainer: Trainer, run: Run, share: float = 0.001) -> None:
    """Let thresholds fall a little with every batch, as weights do that decay; evenly less up to the end.

    Args:
        trainer: its steps are followed by the fall.
        run: the run.
        share: of a threshold, at first.
    """
    thresholds, step = [layer.threshold for layer in _coupled(trainer).network.by_label().values()], trainer.step

    def decayed(images: Tensor, labels: Tensor, whole: int, progress: float) -> tuple[Tensor, Tensor]:
        outcome = step(images, labels, whole, progress)
        for value in thresholds:
            value.mul_(1 - share * (1 - progress)).clamp_(min=LOWEST)
        return outcome

    trainer.step = decayed


def _coupled(trainer: Trainer) -> Snn2Ann:
    assert isinstance(trainer.model, Snn2Ann)
    return trainer.model


CHANGES: dict[str, Change] = {
    each.__name__: each
    for each in (
        five_steps_first,
        taught_by_the_ann,
        read_out_at_every_step,
        priced_by_operations,
        thresholds_learned,
        thresholds_decay,
    )
}
