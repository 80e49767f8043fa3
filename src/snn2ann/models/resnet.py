"""ResNet-17 (a stem, 8 basic blocks of two convolutions, a linear layer without global pooling) and smaller ones."""

from collections.abc import Sequence

from torch import Tensor, nn

from snn2ann.models.layers import ConvolutionShortcut, Layer, halved, initialise


class BasicBlock(nn.Module):
    """Two layers; the shortcut is added before the second one's ReLU. Source: demo behaviour.

    Args:
        inputs: channels of the block's input.
        outputs: channels of its output.
        stride: of the first convolution and of the shortcut.
        dropout: after the first BatchNorm.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, dropout: float) -> None:
        super().__init__()
        self.first = Layer(inputs, outputs, stride=stride, dropout=dropout)
        self.second = Layer(outputs, outputs)
        same = inputs == outputs and stride == 1
        self.second.shortcut = nn.Identity() if same else ConvolutionShortcut(inputs, outputs, stride)

    def forward(self, signal: Tensor) -> Tensor:
        """Give [B, outputs, H', W']."""
        return self.second(self.first(signal), signal)


class ResNet(nn.Module):
    """A stem, stages of basic blocks, and a linear layer on the last feature map.

    Args:
        image_shape: (C, H, W).
        classes: number of classes.
        channels: of the stem and of each stage.
        strides: of the stem and of each stage's first block.
        blocks_per_stage: basic blocks in a stage.
        dropout: after the stem's and each block's first BatchNorm.
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
        self.stem = Layer(image_shape[0], width, stride=strides[0], dropout=dropout)
        self.blocks = nn.ModuleDict()
        for stage, (outputs, first_stride) in enumerate(zip(channels[1:], strides[1:], strict=True), start=1):
            for position in range(1, blocks_per_stage + 1):
                stride = first_stride if position == 1 else 1
                size = halved(size, stride)
                self.blocks[f"stage{stage}_{position}"] = BasicBlock(width, outputs, stride, dropout)
                width = outputs
        self.classifier = nn.Linear(width * size[0] * size[1], classes)
        initialise(self, initialisation)

    def forward(self, images: Tensor) -> Tensor:
        """Give logits [B, classes] of images [B, C, H, W]."""
        signal = self.stem(images)
        for block in self.blocks.values():
            signal = block(signal)
        return self.classifier(signal.flatten(1))
