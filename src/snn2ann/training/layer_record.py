"""What is written down while a model trains: curves of the run and of its layers."""

from collections import Counter

import torch
from torch import Tensor

from snn2ann.engine import processes
from snn2ann.engine.signals import Observation
from snn2ann.engine.stages import firing
from snn2ann.methods.model import Model
from snn2ann.runs.records import Values


class LayerRecord:
    """Sums up, layer by layer, what a coupled model's training batches show; reads the device once an epoch.

    Other models have no rows: a method may show their layers as well, and that is passed over.
    """

    def __init__(self, model: Model) -> None:
        self.layers = model.network.by_label() if model.coupled else {}
        self.rows: list[Values] = []
        self._clear()

    def _clear(self) -> None:
        self.noisy: dict[str, Tensor] = {}
        self.firing: dict[str, Tensor] = {}
        self.batches: Counter[str] = Counter()

    def observe(self, observation: Observation) -> None:
        """Add one stage's batch, if it is a layer that has rows and its ANN branch was run."""
        fire, rate = firing(observation.stage), observation.noisy_spike_rate
        if fire is None or rate is None or fire.neurons.label not in self.layers:
            return
        name = fire.neurons.label
        zero = torch.zeros((), device=rate.device)
        self.noisy[name] = self.noisy.get(name, zero) + rate
        # Of the counts, so that spikes are not read again; PyTorch's own type for a sum of bytes is five times as slow.
        spikes = observation.outgoing
        firing_rate = spikes.count.sum(dtype=torch.int32) / spikes.value.numel()
        self.firing[name] = self.firing.get(name, zero) + firing_rate
        self.batches[name] += 1

    def close_epoch(self, epoch: int) -> None:
        """Write down the epoch's means and the thresholds as they now are; epoch 0 is the state before training."""
        for name, layer in self.layers.items():
            seen = self.batches[name]
            self.rows.append(
                {
                    "epoch": epoch,
                    "layer": name,
                    "noisy_spike_rate": float(self.noisy[name]) / seen if seen else None,
                    "threshold_mean": float(layer.threshold.mean()),
                    "threshold_minimum": float(layer.threshold.min()),
                    "threshold_maximum": float(layer.threshold.max()),
                    "firing_rate": float(processes.share_of_all(self.firing[name], seen)) / seen if seen else None,
                }
            )
        self._clear()
