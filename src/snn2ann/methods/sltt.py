"""Spatial learning through time (SLTT, Meng et al. 2023): spike-based backpropagation without its gradients through time.

Every step goes backward on its own, so that memory does not grow with T. SpikingJelly's `SLTTLIFNode`.
"""

from collections.abc import Mapping
from math import inf
from typing import ClassVar

from spikingjelly.activation_based import functional as spikingjelly
from spikingjelly.activation_based import neuron
from torch import Tensor, nn

from snn2ann.engine.signals import Observer, Spikes
from snn2ann.methods.model import Loss, Step
from snn2ann.methods.multi_step import MultiStepInterpreter
from snn2ann.methods.stbp import SpikeBasedBackpropagation
from snn2ann.parameters.methods import MembraneOptions, SurrogateOptions


class SpatialLearningThroughTime(SpikeBasedBackpropagation):
    """A spiking network trained step by step.

    The loss of a batch is the mean over time of each step's own (Meng et al. 2023, equation 12), and BatchNorm takes the
    statistics of each step.

    Args:
        network: as for `SpikeBasedBackpropagation`.
        time_steps: T of training.
        options: threshold, surrogate and surrogate_width as for `SpikeBasedBackpropagation`; tau, of membranes that leak;
            reset, "subtract" or nothing. The authors' own code has tau 1.1, `subtract` and the triangle; by default neurons
            are those of spike-based BP.

    Raises:
        UserError: an option that is not allowed.
    """

    options_class: ClassVar[type[SurrogateOptions]] = MembraneOptions

    def make_neurons(self) -> nn.Module:
        """Make a layer's neurons, which run one step at a time."""
        assert isinstance(self.options, MembraneOptions)
        return neuron.SLTTLIFNode(
            tau=inf if self.options.tau is None else float(self.options.tau),
            decay_input=False,
            v_threshold=float(self.options.threshold),
            v_reset=self.options.reset_to,
            surrogate_function=self.surrogate(),
        )

    def training_step(self, images: Tensor, labels: Tensor, loss: Loss, observer: Observer | None = None) -> Step:
        """Run and go backward from every step but the last, whose graph the returned loss has."""
        spikingjelly.reset_net(self)
        mean: Tensor | float = 0.0
        total: Tensor | float = 0.0
        for step in range(self.time_steps):
            logits = self.step_logits(images)
            share = loss(logits, labels) / self.time_steps
            if step + 1 < self.time_steps:
                (share * self.loss_weight).backward()
                share = share.detach()
            total = total + share
            mean = mean + logits.detach() / self.time_steps
        assert isinstance(total, Tensor) and isinstance(mean, Tensor)
        return Step(total, mean)

    def step_logits(self, images: Tensor) -> Tensor:
        """Run one training step of all layers: logits [B, classes]."""
        return self.network.run_by(_SingleStepInterpreter(self.neurons_by_label()), images)

    def make_interpreter(self, time_steps: int, observer: Observer | None) -> MultiStepInterpreter:
        """Make the interpreter of a forward pass without gradient."""
        neurons = {label: _EachStep(each) for label, each in self.neurons_in_evaluation().items()}
        return MultiStepInterpreter(neurons, time_steps, observer)

    def neurons_in_evaluation(self) -> dict[str, nn.Module]:
        """The neurons as a forward pass without gradient takes them."""
        return self.neurons_by_label()


class _SingleStepInterpreter(MultiStepInterpreter):
    """One step of all layers: the neurons go on from where they are."""

    def __init__(self, neurons: Mapping[str, nn.Module]) -> None:
        super().__init__({label: _OneStep(each) for label, each in neurons.items()}, 1)

    def result(self, signal: Spikes) -> Tensor:
        """Logits [B, classes]."""
        return signal.value[0]


class _OneStep(nn.Module):
    def __init__(self, neurons: nn.Module) -> None:
        super().__init__()
        self.neurons = neurons

    def forward(self, current: Tensor) -> Tensor:
        return self.neurons(current[0])[None]


class _EachStep(_OneStep):
    def forward(self, current: Tensor) -> Tensor:
        return spikingjelly.multi_step_forward(current, self.neurons)
