"""Spike-based backpropagation through time (STBP, Wu et al. 2018), on SpikingJelly's multi-step neurons.

An independent implementation of the neuron: SpikingJelly's `IFNode` fires at equality (m >= V; ours is strict), and has one
threshold a layer where ours has one a neuron. BatchNorm runs over time and batch together, as SpikingJelly's layers do.
"""

from collections.abc import Mapping
from math import sqrt
from typing import Any, ClassVar

import torch
from spikingjelly.activation_based import functional as spikingjelly
from spikingjelly.activation_based import neuron, surrogate
from torch import Tensor, nn

from snn2ann.engine.network import Network
from snn2ann.engine.signals import Observation, Observer
from snn2ann.engine.stages import Layer, Weigh, firing
from snn2ann.methods.model import Loss, Model, Step
from snn2ann.methods.multi_step import MultiStepInterpreter
from snn2ann.parameters.methods import ResetOptions, SurrogateOptions, ThroughTimeOptions

SURROGATES = {
    "atan": surrogate.ATan,
    "sigmoid": surrogate.Sigmoid,
    "triangle": surrogate.PiecewiseQuadratic,
}


TET_WEIGHT = 0.001
"""Its authors' share of the distance."""


def tet_loss(logits: Tensor, labels: Tensor, loss: Loss, weight: float) -> Tensor:
    """Give the loss of temporal efficient training: (1 - λ) · mean over steps of the loss + λ · mean square of logits - 1.

    Source: Deng et al. 2022, equations 9 and 11, with the threshold, 1, as the logits' bound.

    Args:
        logits: of every step, [T, B, classes].
        labels: [B].
        loss: of one step's logits and the labels, a scalar.
        weight: λ.
    """
    each = torch.stack([loss(step, labels) for step in logits]).mean()
    return (1 - weight) * each + weight * (logits - 1).square().mean()


@torch.no_grad()
def start_at_thresholds(network: Network, threshold: float) -> None:
    """Start BatchNorms' scales at α · V, as threshold-dependent BatchNorm has them: α is 1, and 1/√2 before an addition.

    Source: Zheng et al. 2021, equation 5 and the residual blocks after it.
    """
    for stage in network.stages():
        for weigh in (stage.main, stage.side) if isinstance(stage, Layer) else (stage,):
            if isinstance(weigh, Weigh) and isinstance(getattr(weigh.norm, "weight", None), nn.Parameter):
                added = isinstance(stage, Layer) and stage.skips
                weigh.norm.weight.fill_(threshold / sqrt(2) if added else threshold)  # type: ignore[union-attr]


class SpikeBasedBackpropagation(Model):
    """A spiking network trained by unrolling its T steps, with a surrogate gradient.

    Args:
        network: its convolutions, BatchNorms and classifier are used; its neurons are SpikingJelly's.
        time_steps: T of training.
        options: threshold (of every neuron), surrogate (atan, sigmoid or triangle), surrogate_width (SpikingJelly's alpha),
            detach_reset (no gradient through the reset), tau (of leaky neurons, or nothing), reset ("subtract" takes the
            threshold off; else to 0), spike_penalty (what a spike a neuron, on the mean of the network's
            neurons and the batch's images, adds to the loss), loss (tet, or nothing), tet_weight, normalisation (tdbn, or
            nothing).

    Raises:
        UserError: an option that is not allowed.
    """

    options_class: ClassVar[type[SurrogateOptions]] = ThroughTimeOptions

    def __init__(self, network: Network, time_steps: int, options: Mapping[str, Any]) -> None:
        super().__init__(network, time_steps, options)
        self.options = self.options_class.of(options)
        # Methods that derive from this one may not have these options.
        own = self.options if isinstance(self.options, ThroughTimeOptions) else ThroughTimeOptions.of({})
        self.penalty = own.spike_penalty / self.network.number_of_neurons()
        self.through_time = own
        self.start_thresholds(self.options.threshold)
        if own.normalisation == "tdbn":
            start_at_thresholds(network, float(self.options.threshold))
        self.neurons = nn.ModuleDict({name: self.make_neurons() for name in self.network.neurons})

    def make_neurons(self) -> nn.Module:
        """Make a layer's neurons."""
        assert isinstance(self.options, ResetOptions)
        common = {
            "v_threshold": float(self.options.threshold),
            "v_reset": self.options.reset_to,
            "surrogate_function": self.surrogate(),
            "detach_reset": self.options.detach_reset,
            "step_mode": "m",
        }
        if self.options.tau is not None:
            return neuron.LIFNode(float(self.options.tau), decay_input=False, **common)
        return neuron.IFNode(**common)

    def surrogate(self) -> nn.Module:
        """Make the function whose derivative stands for that of a spike."""
        made: nn.Module = SURROGATES[self.options.surrogate](alpha=self.options.surrogate_width)
        return made

    def training_step(self, images: Tensor, labels: Tensor, loss: Loss, observer: Observer | None = None) -> Step:
        """Unroll T steps; the loss is that of the mean logits over time, or TET's, and the price of the spikes."""
        spikes: list[Tensor] = []

        def count(seen: Observation) -> None:
            if firing(seen.stage):
                spikes.append(seen.outgoing.value.sum())

        every = self._run(images, self.time_steps, count if self.penalty else None)
        logits = every.mean(0)
        price = self.penalty * sum(spikes) / len(labels)
        if self.through_time.loss == "tet":
            weight = self.through_time.tet_weight
            value = tet_loss(every, labels, loss, TET_WEIGHT if weight is None else weight)
        else:
            value = loss(logits, labels)
        return Step(value + price, logits)

    @torch.no_grad()
    def spiking_forward(self, images: Tensor, time_steps: int, observer: Observer | None = None) -> Tensor:
        """Run for `time_steps`; logits after each step are the mean over the steps so far: [T, B, classes]."""
        logits = self._run(images, time_steps, observer)
        steps = torch.arange(1, time_steps + 1, device=logits.device, dtype=logits.dtype)
        return logits.cumsum(0) / steps.view(-1, 1, 1)

    def _run(self, images: Tensor, time_steps: int, observer: Observer | None) -> Tensor:
        spikingjelly.reset_net(self)
        interpreter = self.make_interpreter(time_steps, observer)
        interpreter.frames = self.frames
        return self.network.run_by(interpreter, images)

    def make_interpreter(self, time_steps: int, observer: Observer | None) -> MultiStepInterpreter:
        """Make the interpreter that the network is run by."""
        return MultiStepInterpreter(self.neurons_by_label(), time_steps, observer)

    def neurons_by_label(self) -> dict[str, nn.Module]:
        """The method's own neurons, by the label of the layer that they stand in."""
        return dict(zip(self.network.by_label(), self.neurons.values(), strict=True))
