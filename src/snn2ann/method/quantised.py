"""The first part of a training in which counts are those of a quantiser, and no neuron is run."""

import torch
from torch import Tensor

from snn2ann.engine.counts import count_type
from snn2ann.engine.dropout import Dropout
from snn2ann.engine.signals import Coupled, Spikes
from snn2ann.engine.stages import Fire, Layer
from snn2ann.method.coupling import CoupledInterpreter


def quantised_count(charge: Tensor, threshold: Tensor, time_steps: int, membrane_start: float) -> Tensor:
    """Count what neurons would fire whose whole charge came evenly: round(Q / V), from 0 to T, where they start half full.

    Source: this project; it is QCFS's activation (Bu et al. 2022, equation 10), but that a neuron fires above its threshold
    and not at it. Equal to the count of an IF neuron with reset by subtraction under a constant current of Q / T.

    Args:
        charge: Q, what T steps charge, [B, ...].
        threshold: V, broadcast to it.
        time_steps: T.
        membrane_start: in thresholds; 1/2 rounds, 0 cuts.

    Returns:
        Whole numbers, [B, ...], in the smallest type that holds them.
    """
    exact = torch.promote_types(charge.dtype, torch.float32)
    levels = (charge.to(exact) / threshold + membrane_start).ceil_().sub_(1)
    return levels.clamp_(0, time_steps).to(count_type(time_steps))


class QuantisedInterpreter(CoupledInterpreter):
    """Both branches, the counts being what the whole charge comes to, and not what neurons make of it step by step.

    A layer is then the ANN's arithmetic alone. Everything else is as in `CoupledInterpreter`: the mapping unit and its
    gradient, the price, thresholds that are learned, noisy spikes (of which there are none).
    """

    def layer(self, stage: Layer, incoming: Coupled, skipped: Coupled | None = None) -> Coupled:
        """Run one layer's ANN arithmetic, and map the counts that its charge comes to."""
        dropout = self._draw_dropout(stage.fire, incoming.spikes.samples)
        value, _ = self._pre_activation(stage, incoming, skipped, None)
        constant = incoming.spikes.constant and (skipped is None or skipped.spikes.constant)
        return self._counted(stage.fire, value, dropout, constant)

    def fire(self, stage: Fire, incoming: Coupled) -> Coupled:
        """Map the counts that the ANN branch's value comes to."""
        dropout = self._draw_dropout(stage, incoming.spikes.samples)
        return self._counted(stage, incoming.dense, dropout, incoming.spikes.constant)

    def _counted(self, stage: Fire, value: Tensor, dropout: Dropout | None, constant: bool) -> Coupled:
        stage.neurons.way = "not at all: counts are quantised"
        with torch.no_grad():
            steps = self.spiking.time_steps
            # A value of the image alone is whole at every step under "direct" coding.
            whole = constant and self.options.input_coding == "direct"
            charge = value.detach() * steps if whole else value.detach() / self.share
            count = quantised_count(charge, stage.neurons.threshold, steps, self.options.membrane_start)
            times = torch.arange(steps, dtype=count.dtype, device=count.device).view(-1, *[1] * count.dim())
            # What asks for spikes and not for counts gets as many, one a step from the first.
            spikes = (count > times).to(torch.uint8)
        return self._mapped(
            stage, value, dropout, Spikes(spikes, binary=True, counted=count, worth=stage.neurons.worth)
        )
