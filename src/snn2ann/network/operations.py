"""What a network is made of: operations, each of them linear, a max pooling, a dropout or a layer of neurons."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

Kind = Literal["image", "weighted", "linear", "pooling", "dropout", "neurons"]


@dataclass(frozen=True)
class Operation:
    """One operation of a network.

    Attributes:
        name: its own, unique; a valid attribute name.
        kind: "image", the input; "weighted", a convolution or linear layer and the BatchNorm after it, or either alone;
            "linear", without weights; "pooling", by maximum; "dropout"; "neurons", a call of a ReLU.
        inputs: names of the operations that it takes.
        weights: qualified name of its convolution or linear layer in the network, or "".
        norm: qualified name of its BatchNorm, or "".
        dropout: qualified name of its dropout, or ""; of neurons, the one just before them, which is the ANN branch's.
        function: of a linear or pooling one: takes and gives [N, ...], and has no state; of a weighted one that has neither
            weights nor BatchNorm, what it adds.
        label: where it stands in the network, by its author's own names of modules.
    """

    name: str
    kind: Kind
    inputs: tuple[str, ...] = ()
    weights: str = ""
    norm: str = ""
    dropout: str = ""
    function: nn.Module | None = None
    label: str = ""


class Add(nn.Module):
    """Adds signals of one shape."""

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        """Give their sum."""
        return one + other


class Concatenate(nn.Module):
    """Puts signals beside each other.

    Args:
        dim: along which; never the batch's.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, *signals: Tensor) -> Tensor:
        """Give them as one."""
        return torch.cat(signals, self.dim)

    def extra_repr(self) -> str:
        """Say along which dimension."""
        return f"dim={self.dim}"


class Mean(nn.Module):
    """Averages over dimensions.

    Args:
        dims: which; never the batch's.
        keepdim: whether they stay, with length 1.
    """

    def __init__(self, dims: tuple[int, ...], keepdim: bool) -> None:
        super().__init__()
        self.dims = dims
        self.keepdim = keepdim

    def forward(self, value: Tensor) -> Tensor:
        """Give the mean."""
        return value.mean(self.dims, self.keepdim)

    def extra_repr(self) -> str:
        """Say over which dimensions."""
        return f"dims={self.dims}, keepdim={self.keepdim}"


class Subtract(nn.Module):
    """Takes one signal off another of one shape."""

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        """Give their difference."""
        return one - other


class Call(nn.Module):
    """Calls a linear function of one signal, which treats images apart from each other.

    Args:
        function: takes and gives [N, ...].
        arguments: of it, beside the signal.
        rearranges: whether it gives none but values that it is given, and zeros.
    """

    def __init__(self, function: Callable[..., Tensor], arguments: Mapping[str, Any], rearranges: bool = False) -> None:
        super().__init__()
        self.function, self.arguments, self.rearranges = function, dict(arguments), rearranges

    def forward(self, value: Tensor) -> Tensor:
        """Give what the function does."""
        return self.function(value, **self.arguments)

    def extra_repr(self) -> str:
        """Say which function, and with what."""
        given = [f"{name}={value!r}" for name, value in self.arguments.items()]
        return ", ".join([getattr(self.function, "__name__", str(self.function)), *given])


class Shift(nn.Module):
    """Adds a number: to the engine a BatchNorm that is not trained, so that each step has its share.

    Args:
        amount: finite.
    """

    eps, weight = 0.0, None

    def __init__(self, amount: float) -> None:
        super().__init__()
        self.amount = amount
        self.eval()

    # Of no dimension, so that they go with signals of any type on any device.

    @property
    def bias(self) -> Tensor:
        """What is added."""
        return torch.tensor(self.amount)

    @property
    def running_mean(self) -> Tensor:
        """Nothing is taken off."""
        return torch.tensor(0.0)

    @property
    def running_var(self) -> Tensor:
        """Nothing is divided."""
        return torch.tensor(1.0)

    def forward(self, value: Tensor) -> Tensor:
        """Give the sum."""
        return value + self.amount

    def extra_repr(self) -> str:
        """Say how much."""
        return f"amount={self.amount:g}"


def rearranges(function: nn.Module) -> bool:
    """Whether a function gives the values that it is given, and none else: of spikes, spikes."""
    return isinstance(function, nn.Flatten | nn.Identity | Concatenate) or getattr(function, "rearranges", False)


def times(value: Tensor, factor: float) -> Tensor:
    """Give the signal times a number."""
    return value * factor


def indexed(value: Tensor, index: tuple[Any, ...]) -> Tensor:
    """Give a part of the signal."""
    return value[index]
