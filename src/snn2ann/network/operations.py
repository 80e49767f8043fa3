"""What a network is made of: operations, each of them linear, a max pooling, a dropout or a layer of neurons."""

from dataclasses import dataclass
from typing import Literal

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
        function: of a linear or pooling one: takes and gives [N, ...], and has no state.
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


REARRANGEMENTS = (nn.Flatten, nn.Identity, Concatenate)
"""Functions that give the values that they are given, and none else."""
