"""VGG-13 (13 convolutions and one linear layer; not torchvision's `vgg13`) and smaller ones of its kind."""

from collections.abc import Sequence

from torch import Tensor, nn

from snn2ann.models.layers import Layer, Pooling, initialise


class VGG(nn.Module):
    """Blocks of 3×3 convolutions, some ending in a 2×2 pooling, and a linear layer. Source: demo behaviour.

    Args:
        image_shape: (C, H, W).
        classes: number of classes.
        blocks: output channels of each convolution, block by block.
        pooled_blocks: blocks, counted from 1, whose last convolution is pooled.
        dropout: for each block, the probability before its ReLUs.
        pooling: "max" or "average".
        initialisation: "default" or "kaiming".
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        classes: int,
        *,
        blocks: Sequence[Sequence[int]],
        pooled_blocks: Sequence[int],
        dropout: Sequence[float],
        pooling: Pooling = "max",
        initialisation: str = "default",
    ) -> None:
        super().__init__()
        channels, height, width = image_shape
        self.layers = nn.ModuleDict()
        for number, (widths, rate) in enumerate(zip(blocks, dropout, strict=True), start=1):
            for position, outputs in enumerate(widths, start=1):
                pooled = number in pooled_blocks and position == len(widths)
                height, width = (height // 2, width // 2) if pooled else (height, width)
                layer = Layer(channels, outputs, pooling=pooling if pooled else None, dropout=rate)
                self.layers[f"block{number}_{position}"] = layer
                channels = outputs
        self.classifier = nn.Linear(channels * height * width, classes)
        initialise(self, initialisation)

    def forward(self, images: Tensor) -> Tensor:
        """Give logits [B, classes] of images [B, C, H, W]."""
        signal = images
        for layer in self.layers.values():
            signal = layer(signal)
        return self.classifier(signal.flatten(1))
