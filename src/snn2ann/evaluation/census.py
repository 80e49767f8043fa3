"""What is counted while a network runs over a data set: spikes and accumulates of every layer, by time step."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from snn2ann.evaluation.operations import layer_accumulates
from snn2ann.method.signals import Observation
from snn2ann.methods.model import Model


@dataclass
class SpikeCensus:
    """Counts of a spiking network.

    Attributes:
        model: its layers give the names.
        spikes: for each layer, spikes at each step summed over images, [T].
        operations: accumulates at each step summed over images, [T], the classifier's with them.
    """

    model: Model
    spikes: dict[str, Tensor] = field(default_factory=dict)
    operations: Tensor = field(default_factory=lambda: torch.zeros((), dtype=torch.float64))

    def __post_init__(self) -> None:
        self.layers = self.model.network.spiking_layers()
        self.names = {id(layer): name for name, layer in self.layers.items()}
        self.last = list(self.layers)[-1]

    def observe(self, observation: Observation) -> None:
        """Add one layer's batch."""
        name = self.names[id(observation.layer)]
        spikes = observation.outgoing.value.double().sum((1, 2, 3, 4))
        self.spikes[name] = self.spikes.get(name, torch.zeros_like(spikes)) + spikes
        operations = layer_accumulates(observation)
        if name == self.last:
            operations = operations + spikes * self.model.network.classifier.out_features
        self.operations = self.operations.to(spikes.device) + operations

    def neurons(self) -> dict[str, int]:
        """Neurons of each layer."""
        return {name: layer.threshold.numel() for name, layer in self.layers.items()}


@dataclass
class AgreementCensus:
    """How well ANN activation and spike count agree, layer by layer, at one T.

    Attributes:
        model: its layers give the names.
        sums: for each layer n, Σx, Σy, Σx², Σy², Σxy and the sum of noisy-spike rates times images.
    """

    model: Model
    sums: dict[str, Tensor] = field(default_factory=dict)
    images: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.names = {id(layer): name for name, layer in self.model.network.spiking_layers().items()}

    def observe(self, observation: Observation) -> None:
        """Add one layer's batch."""
        name = self.names[id(observation.layer)]
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
