"""What is linear between neurons, held against a simulation that knows nothing of plans.

Between neurons a network is an affine function f. A step's current is f of the step's spikes, less f(0), and a T-th of f(0).
"""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import snn2ann
from snn2ann.errors import UserError

T, SHAPE = 5, (4, 8, 8)
Function = Callable[[Tensor], Tensor]


def increment(x: Tensor) -> Tensor:
    y = x * 1.0
    y += 0.25
    y -= 0.125
    y *= 3
    y /= 2
    return y


CASES: dict[str, Function] = {
    "a number less": lambda x: x - 0.5,
    "scaled and shifted": lambda x: 2 * x - 1,
    "divided": lambda x: x / 0.7 + 0.1,
    "from the left": lambda x: 0.3 + x,
    "negative": lambda x: 1.5 * x + (-x),
    "difference": lambda x: 2 * x - torch.mul(x, 0.5),
    "in place": increment,
    "sum": lambda x: sum([x, 0.5 * x, x], start=0 * x),
    "functions": lambda x: torch.div(torch.sub(torch.add(x, 1), 0.5), 2).mul(3).neg().add(1),
    "padded by zeros": lambda x: functional.pad(x, (1, 0, 2, 1)),
    "padded by reflection": lambda x: functional.pad(x, (1, 1, 1, 1), mode="reflect"),
    "padding in one": nn.Sequential(nn.Flatten(2), nn.ZeroPad1d(1), nn.ReflectionPad1d(2), nn.ConstantPad1d(1, 0.0)),
    "summed": lambda x: 0.2 * x.sum((2, 3), keepdim=True) + torch.sum(x, dim=1, keepdim=True)[:, :, :1, :1],
    "modules of padding": nn.Sequential(nn.ZeroPad2d(1), nn.ReflectionPad2d((1, 0, 0, 1)), nn.ReplicationPad2d(1)),
    "circular": nn.CircularPad2d(1),
    "some channels": lambda x: x[:, 1:],
    "some places": lambda x: x[:, :, ::2, 1:-1],
    "a row": lambda x: x[..., 0],
    "squeezed": lambda x: x[:, :1].squeeze(1),
    "by names": lambda x: torch.squeeze(x[:, :1], dim=1).unsqueeze(1),
    "transposed": lambda x: x.transpose(2, 3).permute(0, 2, 1, 3),
    "permuted": lambda x: torch.permute(x, (0, 3, 1, 2)),
    "nearest": lambda x: functional.interpolate(x, scale_factor=2),
    "bilinear": lambda x: functional.interpolate(x, size=(5, 7), mode="bilinear", align_corners=False),
    "modules of size": nn.Sequential(nn.Upsample(scale_factor=2), nn.UpsamplingBilinear2d(size=(9, 5))),
    "shuffled": nn.Sequential(nn.PixelShuffle(2), nn.PixelUnshuffle(2), nn.ChannelShuffle(2)),
    "unflattened": nn.Sequential(nn.Flatten(2), nn.Unflatten(2, (8, 8))),
    "one dimension": nn.Sequential(nn.Flatten(2), nn.Conv1d(4, 3, 5, stride=2, padding=1), nn.BatchNorm1d(3)),
    "pooled in one": nn.Sequential(nn.Flatten(2), nn.AvgPool1d(2), nn.AdaptiveAvgPool1d(6)),
    "before a batchnorm": nn.Sequential(nn.Identity(), nn.BatchNorm2d(4)),
}


class Between(nn.Module):
    """A function of the image, and again between two layers of neurons, and behind them."""

    def __init__(self, function: Function) -> None:
        super().__init__()
        self.function = function
        shape = function(torch.zeros(2, *SHAPE)).shape
        self.same = nn.Conv2d(4, 4, 3, padding=1)
        self.out = nn.Linear(shape[1:].numel(), 3)

    def image(self, x: Tensor) -> Tensor:
        return self.function(x)

    def inner(self, x: Tensor) -> Tensor:
        return self.function(self.same(x))

    def readout(self, x: Tensor) -> Tensor:
        return self.out(x.flatten(1)) * 2 - 1

    def forward(self, x: Tensor) -> Tensor:
        first = torch.relu(self.same(x))
        return self.readout(torch.clamp(self.inner(first), min=0))


class OfImage(Between):
    """The function of the image alone."""

    def __init__(self, function: Function) -> None:
        super().__init__(function)

    def forward(self, x: Tensor) -> Tensor:
        return self.readout(self.image(x).clamp_min(0))


def neurons(current: Callable[[int], Tensor], threshold: Tensor) -> Tensor:
    """Spikes of IF neurons that start half full and are reset by subtraction, [T, B, ...]."""
    membrane, spikes = 0.5 * threshold.expand_as(current(0)), []
    for step in range(T):
        membrane = membrane + current(step)
        spikes.append((membrane > threshold).to(membrane.dtype))
        membrane = membrane - spikes[-1] * threshold
    return torch.stack(spikes)


def between(function: Function, spikes: Tensor) -> Callable[[int], Tensor]:
    constant = function(torch.zeros_like(spikes[0]))
    return lambda step: function(spikes[step]) - constant + constant / T


@pytest.fixture
def images() -> Tensor:
    return torch.randn(3, *SHAPE, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def made(kind: type[Between], name: str) -> Between:
    torch.manual_seed(1)
    model = kind(copy.deepcopy(CASES[name])).double()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) and module.running_mean is not None:
            module.running_mean.normal_(0, 0.3)
            assert module.running_var is not None
            module.running_var.uniform_(0.5, 1.5)
    return model.eval()


@pytest.mark.parametrize("kind", [Between, OfImage])
@pytest.mark.parametrize("name", CASES)
@torch.no_grad()
def test_spikes_are_those_of_a_simulation(kind: type[Between], name: str, images: Tensor) -> None:
    model = made(kind, name)
    coupled = snn2ann.couple(model, T, image_shape=SHAPE, threshold_start=0.4)
    first, *_ = coupled.thresholds().values()
    if kind is OfImage:
        last = neurons(lambda step: model.image(images), torch.full_like(first, 0.4))
    else:
        charged = neurons(lambda step: model.same(images), torch.full_like(first, 0.4))
        last = neurons(between(model.inner, charged), torch.tensor(0.4).double())
    expected = model.readout(last.mean(0))
    assert 0 < last.mean() < 1
    torch.testing.assert_close(coupled(images), expected)
    torch.testing.assert_close(coupled.spiking()(images), expected)


@pytest.mark.parametrize("kind", [Between, OfImage])
@pytest.mark.parametrize("name", CASES)
def test_a_step_trains_every_weight(kind: type[Between], name: str, images: Tensor) -> None:
    model = made(kind, name).train()
    coupled = snn2ann.couple(model, T, threshold_start=0.4)
    (coupled(images).square().sum() + coupled.price).backward()
    reached = {name for name, value in coupled.named_parameters() if value.grad is not None and value.grad.any()}
    assert reached >= {"model.out.weight"} | ({"model.same.weight"} if kind is Between else set())


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda x: x * x, "a product of two signals is not linear; only a number can be multiplied with"),
        (lambda x: 1 - x, "a signal is taken off a number; write it as -x \\+ number"),
        (lambda x: 1 / x, "only a signal can be divided, and by a number that is not zero"),
        (lambda x: x / 0, "only a signal can be divided, and by a number that is not zero"),
        (lambda x: x + torch.ones(8), r"_tensor_constant0 \(parameter or buffer\): weights used outside a module"),
        (lambda x: x * float("inf"), "only signals and finite numbers are understood"),
        (lambda x: x.clamp(min=0, max=1), r"only clamp\(min=0\), which is a ReLU"),
        (lambda x: x.clamp(max=6), r"only clamp\(min=0\), which is a ReLU"),
        (lambda x: functional.pad(x, (1, 1), value=1.0), "only zeros can be padded with"),
        (lambda x: x[0], r"it must take the whole batch: x\[:, \.\.\.\]"),
        (lambda x: x[:, [0, 1]], "its index must be numbers and slices of numbers"),
        (lambda x: x.squeeze(), "its dim must be given, as it would else take every dimension"),
        (lambda x: x.transpose(0, 1), "it reaches into the batch, dimension 0"),
        (lambda x: x.permute(1, 0, 2, 3), "it must leave the batch, dimension 0, in its place"),
    ],
)
def test_what_is_not_linear_has_its_reason(function: Function, said: str, images: Tensor) -> None:
    class Offender(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return torch.relu(self.last(function(torch.relu(self.first(x)))))

    with pytest.raises(UserError, match=said) as caught:
        snn2ann.couple(Offender(), T)
    assert "in forward of Offender" in str(caught.value) or "parameter or buffer" in said.replace("\\", "")


def test_a_number_added_to_repeated_images_is_refused(images: Tensor) -> None:
    with pytest.raises(
        UserError, match="a number is added to the image, which with input_coding 'repeat' comes 5 times"
    ):
        snn2ann.couple(made(OfImage, "a number less"), T, variant="released")
    snn2ann.couple(made(OfImage, "a number less"), T, variant="released", input_coding="divide")(images)
