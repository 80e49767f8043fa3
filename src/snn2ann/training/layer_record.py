"""What is written down while a model trains: curves of the run and of its layers."""

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
        # By layer: noisy spike rates, firing rates, and their number; at a place that stays, for a CUDA graph adds to it.
        self.sums: dict[str, Tensor] = {}

    def observe(self, observation: Observation) -> None:
        """Add one stage's batch, if it is a layer that has rows and its ANN branch was run."""
        fire, rate = firing(observation.stage), observation.noisy_spike_rate
        if fire is None or rate is None or fire.neurons.label not in self.layers:
            return
        name = fire.neurons.label
        # Of the counts, so that spikes are not read again; PyTorch's own type for a sum of bytes is five times as slow.
        spikes = observation.outgoing
        firing_rate = spikes.count.sum(dtype=torch.int32) / spikes.value.numel()
        if name not in self.sums:
            self.sums[name] = torch.zeros(3, device=rate.device, dtype=rate.dtype)
        self.sums[name] += torch.stack([rate, firing_rate, torch.ones_like(rate)])

    def close_epoch(self, epoch: int) -> None:
        """Write down the epoch's means and the thresholds as they now are; epoch 0 is the state before training."""
        for name, layer in self.layers.items():
            sums = self.sums.get(name, torch.zeros(3))
            noisy, _, seen = sums.tolist()
            self.rows.append(
                {
                    "epoch": epoch,
                    "layer": name,
                    "noisy_spike_rate": noisy / seen if seen else None,
                    "threshold_mean": float(layer.threshold.mean()),
                    "threshold_minimum": float(layer.threshold.min()),
                    "threshold_maximum": float(layer.threshold.max()),
                    "firing_rate": float(processes.share_of_all(sums[1], int(seen))) / seen if seen else None,
                }
            )
        for sums in self.sums.values():
            sums.zero_()
