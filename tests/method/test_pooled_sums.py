"""A maximum that is added up, which no layer holds, is taken as a layer takes its own: of a step, or of the charge."""

import pytest
import torch
from torch import Tensor, nn

import snn2ann


class Pooled(nn.Module):
    """Two convolutions, the second one pooled before its ReLU; `summed` adds a third's maximum, whose weights are zero."""

    def __init__(self, summed: bool) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1)
        self.other = nn.Conv2d(6, 6, 3, padding=1) if summed else None
        if self.other is not None:
            nn.init.zeros_(self.other.weight)
            assert self.other.bias is not None
            nn.init.zeros_(self.other.bias)
        self.pool, self.last = nn.MaxPool2d(2), nn.Linear(6 * 16, 5)

    def forward(self, images: Tensor) -> Tensor:
        hidden = torch.relu(self.first(images))
        current = self.pool(self.second(hidden))
        if self.other is not None:
            current = current + self.pool(self.other(hidden))
        return self.last(torch.relu(current).flatten(1))


def logits(summed: bool, pooling: str) -> Tensor:
    """After every step when deployed, then the SNN branch's; thresholds are low enough for many spikes."""
    torch.manual_seed(0)
    plain = Pooled(summed=False)
    network = Pooled(summed)
    network.load_state_dict(plain.state_dict(), strict=False)
    coupled = snn2ann.couple(network.eval(), 4, variant="refined", image_shape=(1, 8, 8), pooling=pooling)
    for threshold in coupled.thresholds().values():
        threshold.fill_(0.2)
    images = torch.rand(8, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    _, branch = coupled.branches(images)
    return torch.cat([coupled.spiking()(images, 6, every_step=True), branch[None]]).detach()


@pytest.mark.parametrize("pooling", ["step", "charge"])
def test_the_maximum_is_a_layers(pooling: str) -> None:
    torch.testing.assert_close(logits(True, pooling), logits(False, pooling))


def test_both_kinds_differ() -> None:
    for step, charge in zip(logits(True, "step")[1:], logits(True, "charge")[1:], strict=True):
        assert not torch.allclose(step, charge)
