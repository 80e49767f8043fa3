"""VGG-13 (13 convolutions and one linear layer; not torchvision's `vgg13`) and smaller ones of its kind."""

from collections.abc import Sequence

from torch import Tensor, nn

from snn2ann.method.layers import SpikingLayer
from snn2ann.method.views import View
from snn2ann.models.build import Network


class VGG(Network):
    """Blocks of 3×3 convolutions, some ending in a 2×2 max pooling, and a linear layer. Source: demo behaviour.

    Args:
        image_shape: (C, H, W).
        classes: number of classes.
        blocks: output channels of each convolution, block by block.
        pooled_blocks: blocks, counted from 1, whose last convolution is pooled.
        dropout: for each block, the ANN branch's dropout probability.
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
        initialisation: str = "default",
    ) -> None:
        super().__init__()
        channels, *sides = image_shape
        size = (sides[0], sides[1])
        self.layers = nn.ModuleDict()
        for number, (widths, rate) in enumerate(zip(blocks, dropout, strict=True), start=1):
            for position, width in enumerate(widths, start=1):
                pool = number in pooled_blocks and position == len(widths)
                size = (size[0] // 2, size[1] // 2) if pool else size
                self.layers[f"block{number}_{position}"] = SpikingLayer(channels, width, size, pool=pool, dropout=rate)
                channels = width
        self.classifier = nn.Linear(channels * size[0] * size[1], classes)
        self.initialise(initialisation)

    def forward(self, view: View, images: Tensor) -> object:
        """Run the layers one after the other."""
        signal = view.encode(images)
        for layer in self.layers.values():
            assert isinstance(layer, SpikingLayer)
            signal = view.layer(layer, signal)
        return view.readout(self.classifier, signal)
