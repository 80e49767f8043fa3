"""Networks as their authors write them, which know nothing of spikes."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from snn2ann.models.layers import ConvolutionShortcut, Layer
from snn2ann.models.resnet import BasicBlock
from snn2ann.models.resnet import ResNet as OurResNet
from snn2ann.models.vgg import VGG as OurVGG


def statistics_seen(model: nn.Module, seed: int = 0) -> nn.Module:
    """Give BatchNorms statistics and weights that are not those they start with."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d):
            assert module.running_mean is not None and module.running_var is not None
            module.running_mean.normal_(0, 0.2, generator=generator)
            module.running_var.uniform_(0.3, 1.5, generator=generator)
            if module.affine:
                nn.init.uniform_(module.weight, 0.5, 2, generator=generator)
                nn.init.normal_(module.bias, 0, 0.3, generator=generator)
    return model


class PlainVGG(nn.Module):
    """The project's VGG as an ordinary module, of the same weights: convolution, BatchNorm, ReLU, pooling."""

    def __init__(self, network: OurVGG) -> None:
        super().__init__()
        stages: list[nn.Module] = []
        for layer in network.layers.values():
            assert isinstance(layer, Layer)
            assert isinstance(layer.dropout, nn.Dropout)
            # Pooling where torchvision has it, after the ReLU; a dropout that drops is the paper's, before it.
            rest = [nn.ReLU(inplace=True), layer.pool, layer.dropout]
            rest = rest[1:] + rest[:1] if layer.dropout.p else rest
            stages += [layer.convolution, layer.norm, *rest]
        self.features = nn.Sequential(*stages)
        self.classifier = network.classifier

    def forward(self, images: Tensor) -> Tensor:
        return self.classifier(torch.flatten(self.features(images), 1))


class PlainBlock(nn.Module):
    def __init__(self, block: BasicBlock) -> None:
        super().__init__()
        first, second = block.first, block.second
        self.conv1, self.bn1, self.conv2, self.bn2 = first.convolution, first.norm, second.convolution, second.norm
        side = second.shortcut
        self.downsample = nn.Sequential(side.convolution, side.norm) if isinstance(side, ConvolutionShortcut) else None
        self.relu = nn.ReLU(inplace=True)
        self.dropout = first.dropout

    def forward(self, x: Tensor) -> Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        out = self.bn2(self.conv2(self.relu(self.dropout(self.bn1(self.conv1(x))))))
        out += identity
        return self.relu(out)


class PlainResNet(nn.Module):
    """The project's ResNet as an ordinary module, of the same weights."""

    def __init__(self, network: OurResNet) -> None:
        super().__init__()
        self.conv, self.bn, self.drop = network.stem.convolution, network.stem.norm, network.stem.dropout
        self.blocks = nn.ModuleList(PlainBlock(b) for b in network.blocks.values() if isinstance(b, BasicBlock))
        self.classifier = network.classifier

    def forward(self, images: Tensor) -> Tensor:
        signal = functional.relu(self.drop(self.bn(self.conv(images))))
        for block in self.blocks:
            signal = block(signal)
        return self.classifier(signal.view(signal.size(0), -1))


class Own(nn.Module):
    """Everything that is supported and that torchvision's networks do not have.

    Args:
        classes: number of classes.
        pool_first: whether the max pooling is before its ReLU, where the coupling has it.
    """

    def __init__(self, classes: int = 4, *, pool_first: bool = False) -> None:
        super().__init__()
        self.pool_first = pool_first
        self.norm = nn.BatchNorm2d(2)
        self.conv = nn.Conv2d(2, 6, 3, padding="same", dilation=2, padding_mode="reflect")
        self.deep = nn.Conv2d(6, 6, 3, padding=1, groups=3, bias=False)
        self.deep_norm = nn.BatchNorm2d(6, affine=False)
        self.pre_norm = nn.BatchNorm2d(6)
        self.side = nn.Conv2d(2, 6, 1)
        self.drop = nn.Dropout2d(0.2)
        self.last_drop = nn.Dropout(0.3)
        self.hidden = nn.Linear(12, 24)
        self.hidden_norm = nn.BatchNorm1d(24)
        self.out = nn.Linear(24, classes)
        self.out_norm = nn.BatchNorm1d(classes)

    def forward(self, x: Tensor, features: bool = False) -> Any:
        x = self.norm(x)
        first = self.drop(torch.relu(self.conv(x)))
        second = self.deep_norm(self.deep(first)) + self.side(x)
        # A BatchNorm after an addition, as in networks that normalise before the ReLU.
        normed = self.pre_norm(torch.add(second, first))
        third = normed.relu()
        if self.pool_first:
            pooled = functional.max_pool2d(normed, 3, stride=2, padding=1).relu()
        else:
            pooled = functional.max_pool2d(third, 3, stride=2, padding=1)
        both = torch.cat([pooled, functional.avg_pool2d(third, 2)], 1)
        mean = functional.adaptive_avg_pool2d(both, 2).mean((2, 3))
        hidden = functional.relu(self.hidden_norm(self.hidden(mean)))
        if features:
            return hidden
        return self.out_norm(self.out(self.last_drop(hidden.reshape(hidden.shape[0], -1))))
