"""What travels between the stages of a network, and what an observer is shown of a stage."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from snn2ann.engine.counts import Counts, count_type
from snn2ann.engine.dropout import Dropout
from snn2ann.engine.normalisation import Weighing, folds
from snn2ann.engine.stages import Stage


@dataclass
class Spikes:
    """What travels between the stages of a spiking network: spikes, or currents on the way to neurons.

    Attributes:
        value: [T, B, ...], or [B, ...] if `constant`.
        constant: whether `value` is the same at every step, as the image is and what is made of it alone.
        binary: whether it is spikes, 0 or 1.
        current: [T, B, ...], what fed the neurons; kept where an identity shortcut takes it.
        counted: S, where it is known already.
        worth: what a spike stands for in the stages after it, a scalar or, broadcast to spikes, [1, C, ...]; None for 1,
            which it is unless thresholds are from data or others are dropped.
        rates: whether `value` is a mean over the steps so far, as what is read out may be.
    """

    value: Tensor
    constant: bool = False
    binary: bool = False
    current: Tensor | None = None
    counted: Tensor | None = None
    worth: Tensor | None = None
    rates: bool = False

    @property
    def samples(self) -> int:
        """B."""
        return self.value.shape[0 if self.constant else 1]

    @property
    def timed(self) -> Tensor:
        """The value with a time axis, of length 1 where it is constant."""
        return self.value[None] if self.constant else self.value

    @property
    def count(self) -> Tensor:
        """S, the spikes summed over T, whole numbers: [B, ...]."""
        if self.counted is None:
            self.counted = self.value.sum(0).to(count_type(len(self.value)))
        return self.counted

    def dropped(self, dropout: Dropout) -> "Spikes":
        """Drop the same at every step; what is kept of spikes is worth more."""
        value = self.value * dropout.kept.to(self.value.dtype)
        if not self.binary:
            return Spikes(value * dropout.gain, constant=self.constant, rates=self.rates)
        gain = dropout.kept.new_tensor(dropout.gain)
        return Spikes(value, binary=True, worth=gain if self.worth is None else gain * self.worth)

    def amount(self) -> Tensor:
        """What the value stands for, with a time axis: [T, B, ...] or [1, B, ...]."""
        return self.timed if self.worth is None else self.timed * self.worth

    @property
    def worth_by_channel(self) -> Tensor | None:
        """What a spike stands for where that differs by channel, [1, C, ...]; None where one number says it."""
        return self.worth if self.worth is not None and self.worth.dim() else None

    def taken_by(self, weights: Weighing | None) -> tuple[Tensor, Tensor | None]:
        """Give the value, with a time axis, and what weights are to be multiplied by: spikes stay 0 or 1 up to there."""
        if weights is not None and folds(weights, self.worth):
            return self.timed, self.worth
        return self.amount(), None


@dataclass
class Coupled:
    """The signal of both branches.

    Attributes:
        activation: the ANN branch's, [B, ...]: the image, the mapped counts, or what is made of them; with gradient.
        spikes: the SNN branch's.
        adds_up: whether the activation is the sum over time of the SNN branch's value.
    """

    activation: Tensor | Counts
    spikes: Spikes
    adds_up: bool = False

    @property
    def dense(self) -> Tensor:
        """The activation as a plain tensor, with its gradient."""
        return self.activation.dense() if isinstance(self.activation, Counts) else self.activation

    @property
    def unmapped(self) -> Tensor | None:
        """Counts that the mapping unit held back, [B, ...]; None where it passes all."""
        mapped = self.activation
        if not isinstance(mapped, Counts) or mapped.value is self.spikes.count:
            return None
        return self.spikes.count - mapped.value


@dataclass
class Observation:
    """What an observer is shown of a stage of a spiking network, just after it ran.

    Attributes:
        stage: the stage; one that has neurons is a layer (see `stages.firing`).
        incoming: the signals that it was given.
        outgoing: what it made: spikes where it has neurons.
        pre_activation: p of the ANN branch after dropout, [B, ...], where there are such a branch and neurons.
        noisy_spike_rate: scalar tensor, where there are an ANN branch and neurons.
    """

    stage: Stage
    incoming: list[Spikes]
    outgoing: Spikes
    pre_activation: Tensor | None = None
    noisy_spike_rate: Tensor | None = None


Observer = Callable[[Observation], None]
