"""The stages that a network runs in: whole layers, and single operations where a network is not made of layers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from snn2ann.engine.dropout import Dropping
from snn2ann.engine.normalisation import BatchNorm, Weighing, normalise
from snn2ann.engine.pooling import halves, pool
from snn2ann.engine.processes import several
from snn2ann.errors import UserError
from snn2ann.network.operations import Add, Shift, rearranges


class Neurons(nn.Module):
    """The neurons that take the place of one call of a ReLU: one threshold a neuron, whose number the images say.

    Args:
        label: of the ReLU, by its author's names of modules.
        like: a tensor of the type and on the device of the thresholds.

    Attributes:
        threshold: V, [1, ...], or empty until the first images say how many neurons there are.
        worth: what a spike stands for, a scalar or one a channel, [1, C, ...]; None for 1, which it is but where thresholds
            are from data.
        noisy_spike_rate: of the last batch, a scalar tensor, where both branches were run.
        spikes_per_image: of the last batch, a scalar tensor.
        way: how the last batch was run: "by events", or "densely" and why.
    """

    threshold: Tensor
    worth: Tensor | None

    def __init__(self, label: str, like: Tensor) -> None:
        super().__init__()
        self.label = label
        self.register_buffer("threshold", like.new_empty(0))
        self.register_buffer("worth", None)
        self.noisy_spike_rate: Tensor | None = None
        self.spikes_per_image: Tensor | None = None
        self.way = ""

    def make(self, shape: tuple[int, ...], start: float | Literal["uniform"]) -> None:
        """Make a threshold for each neuron of a current [B, ...], if there are none yet.

        Raises:
            UserError: there are, for another number of neurons.
        """
        if self.threshold.numel():
            self.check(shape)
        else:
            self.threshold.resize_((1, *shape[1:]))
            self.start(start)

    def forget(self) -> None:
        """Leave the number of neurons to the next images again."""
        self.threshold.resize_(0)

    def start(self, start: float | Literal["uniform"]) -> None:
        """Set every threshold to `start`, or draw each from the uniform distribution over [0, 1)."""
        if start == "uniform":
            self.threshold.uniform_(0, 1)
        else:
            self.threshold.fill_(start)

    def check(self, shape: tuple[int, ...]) -> None:
        """Hold the thresholds against a current [..., C, H, W] or [..., C].

        Raises:
            UserError: there is another number of neurons.
        """
        own = tuple(self.threshold.shape[1:])
        needed = tuple(shape[len(shape) - len(own) :])
        if own != needed:
            raise UserError(
                f"{self.label}: has neurons for {times(own)}, these images need {times(needed)}; "
                "give images of the first ones' size, or couple the network anew"
            )

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        saved = state_dict.get(prefix + "threshold")
        # Where either is empty, there is nothing that could be of another size.
        if saved is not None and 0 in (saved.numel(), self.threshold.numel()):
            with torch.inference_mode(False):
                self.threshold = self.threshold.new_empty(saved.shape)
        worth = state_dict.get(prefix + "worth")
        if worth is not None and (self.worth is None or self.worth.shape != worth.shape):
            with torch.inference_mode(False):
                self.worth = self.threshold.new_ones(worth.shape)
        super()._load_from_state_dict(state_dict, prefix, *rest)


def times(shape: tuple[int, ...]) -> str:
    """Write a shape in words."""
    return "×".join(f"{length}" for length in shape)


@dataclass(frozen=True)
class Weigh:
    """A convolution or linear layer and the BatchNorm after it, or either alone.

    Attributes:
        readout: whether it is behind the last neurons, where biases are whole.
        constant: whether it is before all neurons, so that it gives the same at every step.
        label: of the BatchNorm, or else of the weights, by their author's names of modules.
    """

    module: Weighing | None
    norm: BatchNorm | Shift | None
    readout: bool = False
    constant: bool = False
    label: str = ""

    def run(self, value: Tensor) -> Tensor:
        """Run the modules on [N, ...]."""
        value = value if self.module is None else self.module(value)
        return self.normalise(value)

    def normalise(self, value: Tensor) -> Tensor:
        """Run the BatchNorm, if there is one, on [N, C, ...]."""
        if self.norm is None:
            return value
        # PyTorch's own takes a GPU's values alone.
        shared = isinstance(self.norm, nn.SyncBatchNorm) and self.norm.training and several()
        return normalise(self.norm, value, self.label)[0] if shared else self.norm(value)

    @property
    def convolution(self) -> nn.Conv2d:
        """The module, of a layer."""
        assert isinstance(self.module, nn.Conv2d)
        return self.module


@dataclass(frozen=True)
class Apply:
    """A linear operation without weights, such as an addition or an average.

    Attributes:
        function: takes and gives [N, ...].
    """

    function: nn.Module

    @property
    def adds(self) -> bool:
        """Whether it adds signals."""
        return isinstance(self.function, Add)

    @property
    def rearranges(self) -> bool:
        """Whether it gives the very values that it is given: of spikes, spikes."""
        return rearranges(self.function)


@dataclass(frozen=True)
class Pool:
    """A max pooling, of [N, C, H, W].

    Attributes:
        readout: whether it is behind the last neurons.
    """

    function: nn.Module
    readout: bool = False

    def run(self, value: Tensor) -> Tensor:
        """Pool [N, C, H, W]."""
        return pool(self.function, value)


@dataclass(frozen=True)
class Drop:
    """A dropout that is not straight before neurons."""

    dropout: Dropping


@dataclass(frozen=True)
class Fire:
    """A layer's neurons alone.

    Attributes:
        dropout: of the ANN branch alone, just before them, as the paper's networks have it.
        feeds_identity: whether an identity shortcut takes what they give.
    """

    neurons: Neurons
    dropout: Dropping | None = None
    feeds_identity: bool = False


@dataclass(frozen=True)
class Layer:
    """A layer of neurons and the arithmetic that feeds it, and nothing else.

    ANN branch: convolution, BatchNorm, shortcut, pooling, dropout, ReLU. SNN branch: the convolution fused with the
    BatchNorm, shortcut, pooling, IF neurons. Source: demo behaviour.

    Attributes:
        main: the convolution.
        side: the convolution of its shortcut.
        skips: whether it has a shortcut, with a convolution or without.
        pool: its pooling: by maximum, or an average.
        fire: its neurons.
    """

    main: Weigh
    fire: Fire
    side: Weigh | None = None
    skips: bool = False
    pool: nn.Module | None = None

    @property
    def pools_by_maximum(self) -> bool:
        """Whether its pooling is by maximum."""
        return isinstance(self.pool, nn.MaxPool2d)

    @property
    def halves(self) -> bool:
        """Whether it ends in a plain 2×2 max pooling."""
        return self.pool is not None and halves(self.pool)

    def fed_by(self, size: Sequence[int]) -> tuple[int, ...]:
        """(C, H, W) of what its convolution of a size feeds its neurons; without pooling or with a plain 2×2 maximum."""
        channels, *sides = size
        return (channels, *(side // 2 if self.halves else side for side in sides))


Stage = Layer | Weigh | Apply | Pool | Drop | Fire


def firing(stage: Stage) -> Fire | None:
    """Give a stage's neurons, if it has any."""
    if isinstance(stage, Layer):
        return stage.fire
    return stage if isinstance(stage, Fire) else None
