"""Spike-based backpropagation through time (STBP, Wu et al. 2018), on SpikingJelly's multi-step neurons.

An independent implementation of the neuron: SpikingJelly's `IFNode` fires at equality (m >= V; ours is strict), and has one
threshold a layer where ours has one a neuron. BatchNorm runs over time and batch together, as SpikingJelly's layers do.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from spikingjelly.activation_based import functional as spikingjelly
from spikingjelly.activation_based import neuron, surrogate
from torch import Tensor, nn

from snn2ann.engine.network import Network
from snn2ann.engine.signals import Observation, Observer
from snn2ann.engine.stages import firing
from snn2ann.methods.model import Loss, Model, Step
from snn2ann.methods.multi_step import MultiStepInterpreter
from snn2ann.parameters.methods import ResetOptions, SurrogateOptions, ThroughTimeOptions

SURROGATES = {
    "atan": surrogate.ATan,
    "sigmoid": surrogate.Sigmoid,
    "triangle": surrogate.PiecewiseQuadratic,
}


class SpikeBasedBackpropagation(Model):
    """A spiking network trained by unrolling its T steps, with a surrogate gradient.

    Args:
        network: its convolutions, BatchNorms and classifier are used; its neurons are SpikingJelly's.
        time_steps: T of training.
        options: threshold (of every neuron), surrogate (atan, sigmoid or triangle), surrogate_width (SpikingJelly's alpha),
            detach_reset (no gradient through the reset), spike_penalty (what a spike a neuron, on the mean of the network's
            neurons and the batch's images, adds to the loss).

    Raises:
        UserError: an option that is not allowed.
    """

    options_class: ClassVar[type[SurrogateOptions]] = ThroughTimeOptions

    def __init__(self, network: Network, time_steps: int, options: Mapping[str, Any]) -> None:
        super().__init__(network, time_steps, options)
        self.options = self.options_class.of(options)
        # Methods that derive from this one may not have the option.
        whole = self.options.spike_penalty if isinstance(self.options, ThroughTimeOptions) else 0.0
        self.penalty = whole / self.network.number_of_neurons()
        self.start_thresholds(self.options.threshold)
        self.neurons = nn.ModuleDict({name: self.make_neurons() for name in self.network.neurons})

    def make_neurons(self) -> nn.Module:
        """Make a layer's neurons."""
        assert isinstance(self.options, ResetOptions)
        return neuron.IFNode(
            v_threshold=float(self.options.threshold),
            v_reset=0.0,
            surrogate_function=self.surrogate(),
            detach_reset=self.options.detach_reset,
            step_mode="m",
        )

    def surrogate(self) -> nn.Module:
        """Make the function whose derivative stands for that of a spike."""
        made: nn.Module = SURROGATES[self.options.surrogate](alpha=self.options.surrogate_width)
        return made

    def training_step(self, images: Tensor, labels: Tensor, loss: Loss, observer: Observer | None = None) -> Step:
        """Unroll T steps; the loss is that of the mean logits over time, and the price of the spikes."""
        spikes: list[Tensor] = []

        def count(seen: Observation) -> None:
            if firing(seen.stage):
                spikes.append(seen.outgoing.value.sum())

        logits = self._run(images, self.time_steps, count if self.penalty else None).mean(0)
        price = self.penalty * sum(spikes) / len(labels)
        return Step(loss(logits, labels) + price, logits)

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
