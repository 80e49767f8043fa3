"""What a network is made of: operations, each of them linear, a max pooling, a dropout or a layer of neurons."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from snn2ann.method.layers import scale_and_bias

Kind = Literal["image", "weighted", "linear", "pooling", "dropout", "neurons"]


@dataclass(frozen=True)
class Operation:
    """One operation of a network.

    Attributes:
        name: its own, unique; a valid attribute name.
        kind: "image", the input; "weighted", a convolution or linear layer and the BatchNorm after it, or either alone;
            "linear", without weights; "pooling", by maximum; "dropout", of the ANN branch; "neurons", a call of a ReLU.
        inputs: names of the operations that it takes.
        weights: qualified name of its convolution or linear layer in the network, or "".
        norm: qualified name of its BatchNorm, or "".
        dropout: qualified name of its dropout, or ""; of neurons, the one just before them.
        function: of a linear or pooling one: takes and gives [N, ...], and has no state.
    """

    name: str
    kind: Kind
    inputs: tuple[str, ...] = ()
    weights: str = ""
    norm: str = ""
    dropout: str = ""
    function: nn.Module | None = None


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


@torch.no_grad()
def affine(
    weights: nn.Conv2d | nn.Linear | None,
    norm: nn.BatchNorm1d | nn.BatchNorm2d | None,
    steps: int,
    statistics: tuple[Tensor, Tensor] | None = None,
) -> tuple[Tensor | None, Tensor | None]:
    """Give a and b' of one of `steps` time steps; see `method.layers.scale_and_bias`.

    Args:
        weights: a convolution or linear layer, if there is one.
        norm: the BatchNorm after it, if there is one.
        steps: T over which biases are spread, or 1.
        statistics: (μ, 1/√(v+ε)) per channel, to take the place of the running ones.

    Returns:
        a, [C] or None for 1, and b', [C] or None for 0.
    """
    bias = None if weights is None else weights.bias
    if norm is None:
        return None, None if bias is None else bias / steps
    return scale_and_bias(bias, norm, steps, statistics)


def apply_scaled(
    layer: nn.Conv2d | nn.Linear | None, value: Tensor, scale: Tensor | None, bias: Tensor | None
) -> Tensor:
    """Run a layer with its weight times `scale` per output channel and another bias; without a layer, a·x + b'.

    Args:
        layer: gives the weight and the geometry.
        value: [N, ...].
        scale: a, [C] or None.
        bias: b', [C] or None.
    """
    if layer is None:
        assert scale is not None and bias is not None
        shape = (-1,) + (1,) * (value.dim() - 2)
        return value * scale.view(shape) + bias.view(shape)
    weight = layer.weight.detach()
    if scale is not None:
        weight = weight * scale.view(-1, *[1] * (weight.dim() - 1))
    value = value.to(weight.dtype)
    if isinstance(layer, nn.Linear):
        return functional.linear(value, weight, bias)
    # The module's own, as it knows of padding by reflection or by name.
    return layer._conv_forward(value, weight, bias)
