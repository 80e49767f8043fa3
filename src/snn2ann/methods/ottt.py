"""Online training through time (OTTT, Xiao et al. 2022): every step learns on its own, from traces of the spikes before.

On SpikingJelly's `OTTTLIFNode`. A weight's gradient at a step is the step's error times the presynaptic trace, the leaky sum
of spikes so far, so that the past takes part without a graph through time; memory does not grow with T. SpikingJelly's OTTT
wants sequences as [B, T, ...] where its other layers want [T, B, ...]; here it is given one step at a time.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from spikingjelly.activation_based import layer as spikingjelly
from spikingjelly.activation_based import neuron
from torch import Tensor, nn, ones_like

from snn2ann.engine.interpreter import Interpreter
from snn2ann.engine.stages import Drop, Fire, Weigh
from snn2ann.methods.multi_step import drop
from snn2ann.methods.sltt import SpatialLearningThroughTime
from snn2ann.parameters.methods import LeakyOptions


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

    options_class = LeakyOptions

    def make_neurons(self) -> nn.Module:
        """Make a layer's neurons; in training a step of theirs gives spikes and traces."""
        assert isinstance(self.options, LeakyOptions)
        return neuron.OTTTLIFNode(
            tau=self.options.tau,
            v_threshold=float(self.options.threshold),
            v_reset=None,
            surrogate_function=self.surrogate(),
        )

    def step_logits(self, images: Tensor) -> Tensor:
        """Run one training step of all layers: logits [B, classes]."""
        return self.network.run_by(_TracedInterpreter(self.neurons_by_label()), images)

    def neurons_in_evaluation(self) -> dict[str, nn.Module]:
        """The neurons, which then give no traces."""
        return {label: _WithoutTrace(each) for label, each in self.neurons_by_label().items()}


class _WithoutTrace(nn.Module):
    def __init__(self, neurons: nn.Module) -> None:
        super().__init__()
        self.neurons = neurons

    def forward(self, current: Tensor) -> Tensor:
        fired = self.neurons(current)
        return fired[0] if self.neurons.training else fired


@dataclass(frozen=True)
class _Traced:
    """A step's spikes and traces, [B, ...] each; the image, and what weights give, has no trace."""

    value: Tensor
    trace: Tensor | None = None

    def weigh(self, module: nn.Module) -> Tensor:
        """Run a module on the spikes; its weights' gradient is that of the trace."""
        if self.trace is None:
            return module(self.value)
        return spikingjelly.GradwithTrace(module)([self.value, self.trace])


class _TracedInterpreter(Interpreter[_Traced, Tensor]):
    """One training step of all layers: neurons and traces go on from where they are."""

    def __init__(self, neurons: Mapping[str, nn.Module]) -> None:
        self.neurons = neurons

    def image(self, images: Tensor) -> _Traced:
        return _Traced(images)

    def weigh(self, stage: Weigh, incoming: _Traced) -> _Traced:
        value = incoming.value if stage.module is None else incoming.weigh(stage.module)
        return _Traced(stage.normalise(value))

    def each(self, function: Callable[..., Tensor], *signals: _Traced) -> _Traced:
        value = function(*[signal.value for signal in signals])
        traces = [signal.trace for signal in signals if signal.trace is not None]
        # Where a current is among them, what comes out is one, and has no trace.
        return _Traced(value, function(*traces) if len(traces) == len(signals) else None)

    def drop(self, stage: Drop, incoming: _Traced) -> _Traced:
        kept = drop(stage.dropout, ones_like(incoming.value[None]))[0]
        return _Traced(incoming.value * kept, None if incoming.trace is None else incoming.trace * kept)

    def fire(self, stage: Fire, incoming: _Traced) -> _Traced:
        return _Traced(*self.neurons[stage.neurons.label](drop(stage.dropout, incoming.value[None])[0]))

    def result(self, signal: _Traced) -> Tensor:
        return signal.value
