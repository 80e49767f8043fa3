"""ResNet-17 (a stem, 8 basic blocks of two convolutions, a linear layer without global pooling) and smaller ones."""

from collections.abc import Sequence

from torch import Tensor, nn

from snn2ann.method.layers import IdentityShortcut, SpikingLayer
from snn2ann.method.views import View
from snn2ann.models.build import Network, halved


class BasicBlock(nn.Module):
    """Two layers; the second one's neurons get the shortcut's current as well. Source: demo behaviour.

    Args:
        inputs: channels of the block's input.
        outputs: channels of its output.
        size: (height, width) of its output.
        stride: of the first convolution and of the shortcut.
        dropout: in the ANN branch, after the first BatchNorm.
    """

    def __init__(self, inputs: int, outputs: int, size: tuple[int, int], stride: int, dropout: float) -> None:
        super().__init__()
        self.first = SpikingLayer(inputs, outputs, size, stride=stride, dropout=dropout)
        self.second = SpikingLayer(
            outputs,
            outputs,
            size,
            shortcut="identity" if inputs == outputs and stride == 1 else "convolution",
            shortcut_inputs=inputs,
            shortcut_stride=stride,
        )


class ResNet(Network):
    """A stem, stages of basic blocks, and a linear layer on the last feature map.

    Args:
        image_shape: (C, H, W).
        classes: number of classes.
        channels: of the stem and of each stage.
        strides: of the stem and of each stage's first block.
        blocks_per_stage: basic blocks in a stage.
        dropout: the ANN branch's, after the stem's and each block's first BatchNorm.
        initialisation: "default" or "kaiming".
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        classes: int,
        *,
        channels: Sequence[int],
        strides: Sequence[int],
        blocks_per_stage: int = 2,
        dropout: float = 0.0,
        initialisation: str = "kaiming",
    ) -> None:
        super().__init__()
        width = channels[0]
        size = halved((image_shape[1], image_shape[2]), strides[0])
        self.stem = SpikingLayer(image_shape[0], width, size, stride=strides[0], dropout=dropout)
        self.blocks = nn.ModuleDict()
        previous = self.stem
        for stage, (outputs, first_stride) in enumerate(zip(channels[1:], strides[1:], strict=True), start=1):
            for position in range(1, blocks_per_stage + 1):
                stride = first_stride if position == 1 else 1
                size = halved(size, stride)
                block = BasicBlock(width, outputs, size, stride, dropout)
                previous.feeds_identity = isinstance(block.second.shortcut, IdentityShortcut)
                self.blocks[f"stage{stage}_{position}"] = block
                width, previous = outputs, block.second
        self.classifier = nn.Linear(width * size[0] * size[1], classes)
        self.initialise(initialisation)

    def forward(self, view: View, images: Tensor) -> object:
        """Run the stem and the blocks one after the other."""
        signal = view.layer(self.stem, view.encode(images))
        for block in self.blocks.values():
            assert isinstance(block, BasicBlock)
            hidden = view.layer(block.first, signal)
            signal = view.layer(block.second, hidden, signal)
        return view.readout(self.classifier, signal)
