"""The released method, written once more from its description: time steps outside, layers inside, no code shared.

Every formula is one of the table "The method as the demo behaves"; the package runs layers outside and time inside.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass
class Unit:
    """One layer's modules and thresholds, and its state over a pass."""

    convolution: nn.Conv2d
    norm: nn.BatchNorm2d
    threshold: Tensor
    pool: bool = False
    side: tuple[nn.Conv2d, nn.BatchNorm2d] | None = None
    membrane: Tensor | None = None
    count: Tensor | None = None

    def fire(self, current: Tensor) -> Tensor:
        """m = u + I; fires where m > V; u = m (1 - s)."""
        charged = current if self.membrane is None else self.membrane + current
        spike = (charged > self.threshold).float()
        self.membrane = charged * (1 - spike)
        self.count = spike if self.count is None else self.count + spike
        return spike


def fused(convolution: nn.Conv2d, norm: nn.BatchNorm2d, value: Tensor, time_steps: int) -> Tensor:
    """a = γ/√(v+ε); a·W and (a·(b−μ)+β)/T."""
    assert norm.running_var is not None and norm.running_mean is not None and convolution.bias is not None
    a = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    bias = (a * (convolution.bias - norm.running_mean) + norm.bias) / time_steps
    weight = a[:, None, None, None] * convolution.weight
    return functional.conv2d(value, weight, bias, convolution.stride, convolution.padding)


class Mapped(torch.autograd.Function):
    """The count in place of the activation x; slope 1 to x."""

    @staticmethod
    def forward(ctx: object, x: Tensor, count: Tensor, rectified: bool) -> Tensor:
        return count * (x > 0) if rectified else count.clone()

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> tuple[Tensor, None, None]:
        return gradient, None, None


def adjust(unit: Unit, x: Tensor) -> None:
    """V' = V + 0.1·1[r > 0.1]; V ← 0.9·V + 0.1·V'."""
    assert unit.count is not None
    rate = ((x <= 0) & (unit.count > 0)).float().mean()
    raised = unit.threshold + 0.1 * float(rate > 0.1)
    unit.threshold = 0.9 * unit.threshold + 0.1 * raised


def vgg(units: list[Unit], classifier: nn.Linear, image: Tensor, time_steps: int, rectified: bool, training: bool):  # type: ignore[no-untyped-def]
    """Logits of the ANN and of the SNN branch of a plain stack of layers."""
    with torch.no_grad():
        for _ in range(time_steps):
            signal = image
            for unit in units:
                current = fused(unit.convolution, unit.norm, signal, time_steps)
                signal = unit.fire(functional.max_pool2d(current, 2) if unit.pool else current)
    value = image
    for unit in units:
        value = unit.norm(unit.convolution(value))
        value = functional.max_pool2d(value, 2) if unit.pool else value
        x = functional.relu(value)
        value = Mapped.apply(x, unit.count, rectified)
        if training:
            adjust(unit, x)
    assert units[-1].count is not None
    return classifier(value.flatten(1) / time_steps), classifier(units[-1].count.flatten(1) / time_steps)


def resnet(  # type: ignore[no-untyped-def]
    units: list[Unit], classifier: nn.Linear, image: Tensor, time_steps: int, rectified: bool, training: bool
):
    """The same for a stem and blocks of two layers; an identity shortcut adds the previous block's current."""
    stem, *rest = units
    blocks = list(zip(rest[::2], rest[1::2], strict=True))
    with torch.no_grad():
        for _ in range(time_steps):
            current = fused(stem.convolution, stem.norm, image, time_steps)
            spikes = stem.fire(current)
            for first, second in blocks:
                hidden = first.fire(fused(first.convolution, first.norm, spikes, time_steps))
                skip = current if second.side is None else fused(*second.side, spikes, time_steps)
                current = fused(second.convolution, second.norm, hidden, time_steps) + skip
                spikes = second.fire(current)
    value = image
    for unit in units:
        if unit is stem or any(unit is first for first, _ in blocks):
            block_input = value
            pre = unit.norm(unit.convolution(value))
        else:
            skip = block_input if unit.side is None else unit.side[1](unit.side[0](block_input))
            pre = unit.norm(unit.convolution(value)) + skip
        x = functional.relu(pre)
        value = Mapped.apply(x, unit.count, rectified)
        if training:
            adjust(unit, x)
    assert units[-1].count is not None
    return classifier(value.flatten(1) / time_steps), classifier(units[-1].count.flatten(1) / time_steps)
