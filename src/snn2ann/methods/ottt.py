"""Online training through time (OTTT, Xiao et al. 2022): every step learns on its own, from traces of the spikes before.

On SpikingJelly's `OTTTLIFNode`. A weight's gradient at a step is the step's error times the presynaptic trace, the leaky sum
of spikes so far, so that the past takes part without a graph through time; memory does not grow with T. SpikingJelly's OTTT
wants sequences as [B, T, ...] where its other layers want [T, B, ...]; here it is given one step at a time.
"""

from dataclasses import dataclass
from typing import Any

from spikingjelly.activation_based import layer as spikingjelly
from spikingjelly.activation_based import neuron
from torch import Tensor, nn

from snn2ann.method.layers import ConvolutionShortcut, SpikingLayer
from snn2ann.method.signals import Observer
from snn2ann.method.views import View
from snn2ann.methods.limits import number_above
from snn2ann.methods.multi_step import MultiStepView, drop
from snn2ann.methods.sltt import RepeatedView, SpatialLearningThroughTime
from snn2ann.methods.stbp import SURROGATES


class OnlineTrainingThroughTime(SpatialLearningThroughTime):
    """A spiking network trained online, gradients added up over the steps (the paper's OTTT_A).

    Neurons leak, for without it a trace would never forget, and the threshold is taken off a membrane that fired (Xiao et
    al. 2022, equation 2). The loss is the mean over time of each step's own, and BatchNorm takes the statistics of each
    step; the paper standardises weights instead.

    Args:
        network: its convolutions, BatchNorms and classifier are used; its neurons are SpikingJelly's.
        time_steps: T of training.
        options: as for `SpatialLearningThroughTime`, and tau, the time constant of membrane and trace: 1 - 1/tau of them is
            left after a step.

    Raises:
        UserError: an option that is not allowed.
    """

    def make_neurons(self, options: dict[str, Any]) -> nn.Module:
        """Make a layer's neurons; in training a step of theirs gives spikes and traces."""
        return neuron.OTTTLIFNode(
            tau=number_above(options, "tau", 1),
            v_threshold=float(options["threshold"]),
            v_reset=None,
            surrogate_function=SURROGATES[options["surrogate"]](alpha=options["surrogate_width"]),
        )

    def make_step_view(self) -> View:
        """Make the view of one training step of all layers, which gives logits [B, classes]."""
        return _TracedView(self.neurons)

    def make_view(self, time_steps: int, observer: Observer | None) -> MultiStepView:
        """Make the view of a forward pass without gradient, and without traces."""
        return RepeatedView(nn.ModuleList(_WithoutTrace(each) for each in self.neurons), time_steps, observer)


class _WithoutTrace(nn.Module):
    def __init__(self, neurons: nn.Module) -> None:
        super().__init__()
        self.neurons = neurons

    def forward(self, current: Tensor) -> Tensor:
        fired = self.neurons(current)
        return fired[0] if self.neurons.training else fired


@dataclass(frozen=True)
class _Traced:
    """A step's spikes and traces, [B, C, H, W] each; the image has no trace."""

    value: Tensor
    trace: Tensor | None = None

    def weigh(self, module: nn.Module) -> Tensor:
        """Run a module on the spikes; its weights' gradient is that of the trace."""
        if self.trace is None:
            return module(self.value)
        return spikingjelly.GradwithTrace(module)([self.value, self.trace])


class _TracedView:
    """One training step of all layers: neurons and traces go on from where they are."""

    def __init__(self, neurons: nn.ModuleList) -> None:
        self.neurons = iter(neurons)

    def encode(self, images: Tensor) -> _Traced:
        return _Traced(images)

    def layer(self, layer: SpikingLayer, incoming: _Traced, skipped: _Traced | None = None) -> _Traced:
        current = layer.norm(incoming.weigh(layer.convolution))
        if isinstance(layer.shortcut, ConvolutionShortcut):
            assert skipped is not None
            current = current + layer.shortcut.norm(skipped.weigh(layer.shortcut.convolution))
        elif layer.shortcut is not None:
            assert skipped is not None
            current = current + skipped.value
        return _Traced(*next(self.neurons)(drop(layer, layer.reduce(current)[None])[0]))

    def readout(self, classifier: nn.Linear, signal: _Traced) -> Tensor:
        assert signal.trace is not None
        return _Traced(signal.value.flatten(1), signal.trace.flatten(1)).weigh(classifier)
