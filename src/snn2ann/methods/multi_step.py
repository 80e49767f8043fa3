"""A network with SpikingJelly's neurons, all steps of a stage before the next stage's."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, dropout2d

from snn2ann.engine.interpreter import Interpreter
from snn2ann.engine.signals import Observation, Observer, Spikes
from snn2ann.engine.stages import Apply, Drop, Fire, Stage


class MultiStepInterpreter(Interpreter[Spikes, Tensor]):
    """The network with SpikingJelly's neurons: spikes [T, B, ...], with gradient, handed on in `Spikes`.

    The image is the input of every step: what it alone decides is done once, which changes no number.

    Args:
        neurons: SpikingJelly's, in multi-step mode, by the layer's label.
        time_steps: T.
        observer: is shown every stage.

    Attributes:
        frames: whether every step has an image of its own: [T, B, ...].
    """

    def __init__(self, neurons: Mapping[str, nn.Module], time_steps: int, observer: Observer | None = None) -> None:
        self.frames = False
        self.neurons = neurons
        self.time_steps = time_steps
        self.observer = observer

    def image(self, images: Tensor) -> Spikes:
        """Direct coding: the image is the input of every step; or each has its own frame."""
        return Spikes(images, constant=not self.frames)

    def each(self, function: Callable[..., Tensor], *signals: Spikes) -> Spikes:
        """Run it on all steps at once, so that BatchNorm runs over time and batch together."""
        constant = all(signal.constant for signal in signals)
        value = function(*[merged(signal if constant else self.repeated(signal)) for signal in signals])
        return Spikes(value if constant else value.unflatten(0, (self.time_steps, -1)), constant=constant)

    def apply(self, stage: Apply, *signals: Spikes) -> Spikes:
        """Run the function; rearranged spikes are spikes."""
        given = self.each(stage.function, *signals)
        given.binary = stage.rearranges and all(signal.binary for signal in signals)
        return given

    def drop(self, stage: Drop, incoming: Spikes) -> Spikes:
        """Drop, with one mask for all steps."""
        value = drop(stage.dropout, incoming.timed)
        return Spikes(value[0] if incoming.constant else value, constant=incoming.constant)

    def fire(self, stage: Fire, incoming: Spikes) -> Spikes:
        """Run a layer's neurons over all steps."""
        current = drop(stage.dropout, self.repeated(incoming).value)
        return Spikes(self.neurons[stage.neurons.label](current), binary=True)

    def result(self, signal: Spikes) -> Tensor:
        """Logits of every step: [T, B, classes]."""
        return signal.value

    def observe(self, stage: Stage, incoming: list[Spikes], outgoing: Spikes) -> None:
        """Show a stage to the observer."""
        if self.observer:
            self.observer(Observation(stage, incoming, outgoing))

    def repeated(self, signal: Spikes) -> Spikes:
        """A signal of T steps."""
        if not signal.constant:
            return signal
        return Spikes(signal.value.expand(self.time_steps, *signal.value.shape), binary=signal.binary)


def merged(signal: Spikes) -> Tensor:
    """[T·B, ...], or [B, ...] if constant."""
    return signal.value if signal.constant else signal.value.flatten(0, 1)


def drop(module: nn.Module | None, current: Tensor) -> Tensor:
    """Drop currents [T, B, ...]: one mask for all steps, as SpikingJelly's multi-step dropout draws it."""
    if not isinstance(module, nn.Dropout | nn.Dropout2d) or not (module.p and module.training):
        return current
    function = dropout2d if isinstance(module, nn.Dropout2d) else dropout
    return current * function(torch.ones_like(current[0]), module.p)
