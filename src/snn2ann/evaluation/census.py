"""What is counted while a network runs over a data set: spikes and accumulates of every layer, by time step."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from snn2ann.engine.signals import Observation
from snn2ann.engine.stages import firing
from snn2ann.evaluation.arithmetic import stage_operations, summed
from snn2ann.runs.records import ByClass


@dataclass
class SpikeCensus:
    """Counts of a spiking network.

    Attributes:
        time_steps: T.
        spikes: for each layer, spikes at each step summed over images, [T].
        operations: accumulates at each step summed over images, [T], the readout's with them.
        products: multiply-accumulates at each step, [T]: of values between neurons that are not 0 or 1.
    """

    time_steps: int
    spikes: dict[str, Tensor] = field(default_factory=dict)
    operations: Tensor = field(default_factory=lambda: torch.zeros((), dtype=torch.float64))
    products: Tensor = field(default_factory=lambda: torch.zeros((), dtype=torch.float64))

    def observe(self, observation: Observation) -> None:
        """Add one stage's batch."""
        found = stage_operations(observation, self.time_steps)
        self.operations = self.operations.to(found.accumulates.device) + found.accumulates
        self.products = self.products.to(found.products.device) + found.products
        fire = firing(observation.stage)
        if fire:
            spikes = summed(observation.outgoing.value)
            self.spikes[fire.neurons.label] = self.spikes.get(fire.neurons.label, torch.zeros_like(spikes)) + spikes


@dataclass
class ClassCensus:
    """Which class the images of each class are taken for, at every T.

    Attributes:
        classes: how many there are; None counts nothing.
        counts: images by true class and answer, [T, classes, classes].
    """

    classes: int | None
    counts: Tensor | None = None

    def observe(self, answers: Tensor, labels: Tensor) -> None:
        """Add a batch: answers [T, B], labels [B]."""
        if self.classes is None:
            return
        cells = labels * self.classes + answers
        found = torch.stack([torch.bincount(each, minlength=self.classes**2) for each in cells.cpu()])
        found = found.view(len(answers), self.classes, self.classes)
        self.counts = found if self.counts is None else self.counts + found

    def entry(self, time_steps: int, reported: int) -> ByClass:
        """What an evaluation's entry says of it.

        Args:
            time_steps: T, how many there are.
            reported: T of the confusion matrix, or the last one there is.

        Returns:
            `balanced_accuracy`: at each T the mean over classes of the share of their images that is recognised, 0 to 1,
            classes without images left out. `confusion`: at the reported T, images by true class (rows) and answer. And
            `confusion_time_steps`, that T. Nothing where nothing was counted.
        """
        if self.counts is None:
            return {}
        images = self.counts.sum(2)
        shares = self.counts.diagonal(dim1=1, dim2=2).double() / images.clamp(min=1)
        there = images[0] > 0
        chosen = min(reported, time_steps)
        return {
            "balanced_accuracy": shares[:, there].mean(1).tolist(),
            "confusion": self.counts[chosen - 1].tolist(),
            "confusion_time_steps": chosen,
        }


@dataclass
class AgreementCensus:
    """How well ANN activation and spike count agree, layer by layer, at one T.

    Attributes:
        sums: for each layer n, Σx, Σy, Σx², Σy², Σxy and the sum of noisy-spike rates times images.
    """

    sums: dict[str, Tensor] = field(default_factory=dict)
    images: dict[str, int] = field(default_factory=dict)

    def observe(self, observation: Observation) -> None:
        """Add one stage's batch; only layers count."""
        fire = firing(observation.stage)
        if fire is None:
            return
        name = fire.neurons.label
        assert observation.pre_activation is not None and observation.noisy_spike_rate is not None
        x = observation.pre_activation.relu().double()
        y = observation.outgoing.count.double()
        count = torch.tensor(float(x.numel()), dtype=torch.float64, device=x.device)
        noisy = observation.noisy_spike_rate.double() * len(x)
        found = torch.stack([count, x.sum(), y.sum(), (x * x).sum(), (y * y).sum(), (x * y).sum(), noisy])
        self.sums[name] = self.sums.get(name, torch.zeros_like(found)) + found
        self.images[name] = self.images.get(name, 0) + len(x)

    def noisy_spike_rates(self) -> dict[str, float]:
        """Mean noisy-spike rate of each layer."""
        return {name: float(sums[6]) / self.images[name] for name, sums in self.sums.items()}

    def correlations(self) -> dict[str, float | None]:
        """Pearson correlation of ANN activation and spike count in each layer; None where one of them is constant."""
        found: dict[str, float | None] = {}
        for name, sums in self.sums.items():
            n, x, y, xx, yy, xy, _ = sums.tolist()
            spread = (xx - x * x / n) * (yy - y * y / n)
            found[name] = (xy - x * y / n) / spread**0.5 if spread > 0 else None
        return found
