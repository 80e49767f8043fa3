"""What the paper's networks are made of: a 3×3 convolution up to its ReLU, and what a shortcut adds to it."""

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

Pooling = Literal["max", "average"]


class ConvolutionShortcut(nn.Module):
    """1×1 convolution with bias and BatchNorm, where the number of channels or the size changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, 1, stride=stride)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, skipped: Tensor) -> Tensor:
        """Give [B, C_out, H', W']."""
        return self.norm(self.convolution(skipped))


class Layer(nn.Module):
    """Convolution 3×3, BatchNorm, shortcut, 2×2 pooling, dropout, ReLU. Source: demo behaviour.

    Pooling is before the ReLU, where the spiking network has it: what it gives is charge, and spikes stay 0 or 1.

    Args:
        inputs: input channels.
        outputs: output channels.
        stride: of the convolution.
        pooling: "max" or "average", or None.
        dropout: probability, before the ReLU.
        shortcut: of the signal that is added after the BatchNorm, or None.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        stride: int = 1,
        pooling: Pooling | None = None,
        dropout: float = 0.0,
        shortcut: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1)
        self.norm = nn.BatchNorm2d(outputs)
        self.pool = {"max": nn.MaxPool2d(2), "average": nn.AvgPool2d(2), None: nn.Identity()}[pooling]
        self.dropout = nn.Dropout(dropout)
        self.shortcut = shortcut

    def forward(self, value: Tensor, skipped: Tensor | None = None) -> Tensor:
        """Give the activation [B, C_out, H', W'] of a value [B, C_in, H, W] and of what the shortcut takes."""
        summed = self.norm(self.convolution(value))
        if self.shortcut is not None:
            summed = summed + self.shortcut(skipped)
        return functional.relu(self.dropout(self.pool(summed)))


def halved(size: tuple[int, int], stride: int) -> tuple[int, int]:
    """(height, width) after a 3×3 convolution with padding 1 and this stride."""
    height, width = size
    return -(-height // stride), -(-width // stride)


def initialise(network: nn.Module, scheme: str) -> None:
    """Draw the weights: PyTorch's "default", or "kaiming" (normal, fan-out) for convolutions (demo behaviour)."""
    if scheme == "kaiming":
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
