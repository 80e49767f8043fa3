"""What travels between the layers of a network, and what an observer is shown of a layer."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from snn2ann.engine.counts import Counts, count_type
from snn2ann.method.layers import SpikingLayer


@dataclass
class Spikes:
    """What travels between the layers of a spiking network.

    Attributes:
        value: spikes, 0 or 1, [T, B, C, H, W], or the input image [B, C, H, W] if `constant`.
        constant: whether `value` is the current of every step.
        current: [T, B, C, H, W], what fed the neurons; kept where an identity shortcut takes it.
        counted: S, where it is known already.
    """

    value: Tensor
    constant: bool = False
    current: Tensor | None = None
    counted: Tensor | None = None

    @property
    def samples(self) -> int:
        """B."""
        return self.value.shape[0 if self.constant else 1]

    @property
    def count(self) -> Tensor:
        """S, the spikes summed over T, whole numbers: [B, C, H, W]."""
        if self.counted is None:
            self.counted = self.value.sum(0).to(count_type(len(self.value)))
        return self.counted


@dataclass
class Coupled:
    """The signal of both branches.

    Attributes:
        activation: the image, or the mapped counts with their gradient, [B, C, H, W].
        spikes: the SNN branch's.
    """

    activation: Tensor | Counts
    spikes: Spikes

    @property
    def unmapped(self) -> Tensor | None:
        """Counts that the mapping unit held back, [B, C, H, W]; None where it passes all."""
        mapped = self.activation
        if not isinstance(mapped, Counts) or mapped.value is self.spikes.count:
            return None
        return self.spikes.count - mapped.value


@dataclass
class Observation:
    """What an observer is shown of a spiking layer, just after its neurons ran.

    Attributes:
        layer: the layer.
        incoming: the signal that it was given.
        skipped: the signal that its shortcut was given, if any.
        outgoing: the spikes that it made.
        pre_activation: p of the ANN branch after dropout, [B, C, H, W], where there is one.
        noisy_spike_rate: scalar tensor, where there is an ANN branch.
    """

    layer: SpikingLayer
    incoming: Spikes
    skipped: Spikes | None
    outgoing: Spikes
    pre_activation: Tensor | None = None
    noisy_spike_rate: Tensor | None = None


Observer = Callable[[Observation], None]
