"""What a method is: what it does with each kind of stage. The plain ANN's is here; a method's own stands with the method."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import wraps
from typing import Generic, ParamSpec, TypeVar

import torch
from torch import Tensor
from torch.nn import functional

from snn2ann.engine.stages import Apply, Drop, Fire, Layer, Pool, Stage, Weigh
from snn2ann.network.operations import Add

S = TypeVar("S")
"""What travels between stages."""
R = TypeVar("R")
"""What a network gives."""
P = ParamSpec("P")
G = TypeVar("G")

ADDITION = Apply(Add())


def without_gradient(method: Callable[P, G]) -> Callable[P, G]:
    """Run an interpreter's method as `torch.no_grad` does; what that makes of a method, no compiler looks into."""

    @wraps(method)
    def run(*arguments: P.args, **named: P.kwargs) -> G:
        with torch.no_grad():
            return method(*arguments, **named)

    return run


class Interpreter(ABC, Generic[S, R]):
    """Runs the stages of a network in a method's way; made for one pass.

    A method says what a signal is (`image`, `each`), how neurons fire and what is read out; and how weights are run, where
    that is not as every function is.
    """

    @abstractmethod
    def image(self, images: Tensor) -> S:
        """Turn images [B, ...] into a signal."""

    @abstractmethod
    def each(self, function: Callable[..., Tensor], *signals: S) -> S:
        """Run a function of [N, ...] that knows nothing of time."""

    @abstractmethod
    def fire(self, stage: Fire, incoming: S) -> S:
        """Run a layer's neurons, with the dropout before them."""

    @abstractmethod
    def result(self, signal: S) -> R:
        """Give the network's result of its last signal."""

    def weigh(self, stage: Weigh, incoming: S) -> S:
        """Run a convolution or linear layer and its BatchNorm, or either."""
        return self.each(stage.run, incoming)

    def apply(self, stage: Apply, *signals: S) -> S:
        """Run a linear operation without weights."""
        return self.each(stage.function, *signals)

    def pool(self, stage: Pool, incoming: S) -> S:
        """Run a max pooling."""
        return self.each(stage.run, incoming)

    def drop(self, stage: Drop, incoming: S) -> S:
        """Run a dropout that is not straight before neurons."""
        return self.each(stage.dropout, incoming)

    def rate(self, signal: S) -> S:
        """Make what the last neurons gave into what is read out; here it is the same."""
        return signal

    def layer(self, stage: Layer, incoming: S, skipped: S | None = None) -> S:
        """Run a layer; here operation by operation."""
        current = self.weigh(stage.main, incoming)
        if skipped is not None:
            addend = skipped if stage.side is None else self.weigh(stage.side, skipped)
            current = self.apply(ADDITION, current, addend)
        if stage.pool is not None:
            maximum = stage.pools_by_maximum
            current = self.pool(Pool(stage.pool), current) if maximum else self.apply(Apply(stage.pool), current)
        return self.fire(stage.fire, current)

    def observe(self, stage: Stage, incoming: list[S], outgoing: S) -> None:
        """Show a stage to whoever looks on; here to nobody."""

    def run(self, stage: Stage, taken: list[S]) -> S:
        """Run a stage on the signals that it takes."""
        match stage:
            case Layer():
                given = self.layer(stage, *taken)
            case Weigh():
                given = self.weigh(stage, taken[0])
            case Apply():
                given = self.apply(stage, *taken)
            case Pool():
                given = self.pool(stage, taken[0])
            case Drop():
                given = self.drop(stage, taken[0])
            case Fire():
                given = self.fire(stage, taken[0])
        self.observe(stage, taken, given)
        return given


class AnnInterpreter(Interpreter[Tensor, Tensor]):
    """The network as an ordinary ANN: signals are activations [B, ...], with gradient.

    Args:
        observer: is shown the neurons' label and the activation of every layer.
    """

    def __init__(self, observer: Callable[[str, Tensor], None] | None = None) -> None:
        self.observer = observer

    def image(self, images: Tensor) -> Tensor:
        """Give the images as they are."""
        return images

    def each(self, function: Callable[..., Tensor], *signals: Tensor) -> Tensor:
        """Run it."""
        return function(*signals)

    def fire(self, stage: Fire, incoming: Tensor) -> Tensor:
        """Drop and activate."""
        activation = self.activate(stage, incoming if stage.dropout is None else stage.dropout(incoming))
        if self.observer:
            self.observer(stage.neurons.label, activation)
        return activation

    def activate(self, stage: Fire, value: Tensor) -> Tensor:
        """Give a layer's activation."""
        return functional.relu(value)

    def result(self, signal: Tensor) -> Tensor:
        """Logits [B, classes]."""
        return signal
