"""Where the image comes round neurons, the charge of all steps is still the ANN branch's value."""

from collections.abc import Callable
from dataclasses import asdict
from functools import partial

import pytest
import torch
from torch import Tensor, nn

import snn2ann
from snn2ann.engine.network import Network
from snn2ann.engine.signals import Observation
from snn2ann.engine.stages import Fire, firing
from snn2ann.errors import UserError
from snn2ann.method.coupling import CoupledInterpreter
from snn2ann.methods.snn2ann import Snn2Ann
from snn2ann.network import fuse
from snn2ann.options import REFINED, RELEASED
from tests.network.modules import statistics_seen

T = 5


class Parts(nn.Module):
    """Modules that a forward may use."""

    def __init__(self, forward: Callable[["Parts", Tensor], Tensor]) -> None:
        super().__init__()
        self.stem, self.conv, self.side = (
            nn.Conv2d(2, 4, 3, padding=1),
            nn.Conv2d(4, 4, 3, padding=1),
            nn.Conv2d(2, 4, 1),
        )
        self.wide = nn.Conv2d(6, 4, 3, padding=1)
        self.norms = nn.ModuleList(nn.BatchNorm2d(4) for _ in range(4))
        self.wide_norm, self.pool = nn.BatchNorm2d(6), nn.MaxPool2d(2)
        self.head = nn.Linear(4 * 36, 3)
        self.given = forward

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.flatten(self.given(self, x), 1))


def _preactivation(net: Parts, x: Tensor) -> Tensor:
    x = net.norms[0](net.stem(x))
    for norm in net.norms[1:]:
        x = x + net.conv(torch.relu(norm(x)))
    return torch.relu(x)


def _concatenated(net: Parts, x: Tensor) -> Tensor:
    hidden = torch.relu(net.norms[0](net.stem(x)))
    return torch.relu(net.norms[1](net.wide(net.wide_norm(torch.cat([hidden, x], 1)))))


def _added_through_a_convolution(net: Parts, x: Tensor) -> Tensor:
    hidden = torch.relu(net.norms[0](net.stem(x)))
    hidden = torch.relu(net.norms[1](net.conv(hidden)))
    return torch.relu(net.norms[2](net.conv(hidden)) + net.norms[3](net.side(x)))


def _neurons_beside_the_images_convolution(net: Parts, x: Tensor) -> Tensor:
    hidden = torch.relu(net.norms[0](net.stem(x)))
    return torch.relu(net.norms[1](net.side(x)) + hidden)


def _first_operand(net: Parts, x: Tensor) -> Tensor:
    hidden = torch.relu(net.stem(x))
    return torch.relu(net.side(x) + net.conv(hidden))


FORWARDS = [
    _preactivation,
    _concatenated,
    _added_through_a_convolution,
    _neurons_beside_the_images_convolution,
    _first_operand,
]


@pytest.mark.parametrize("forward", FORWARDS)
@pytest.mark.parametrize("coding", ["direct", "divide"])
@pytest.mark.parametrize("training", [True, False])
def test_the_charge_is_the_ann_branchs_value(
    forward: Callable[[Parts, Tensor], Tensor], coding: str, training: bool
) -> None:
    torch.manual_seed(0)
    model = statistics_seen(Parts(forward))
    coupled = snn2ann.couple(
        model, T, image_shape=(2, 6, 6), input_coding=coding, threshold_start=0.6, ata=False, spike_penalty=0.0
    ).train(training)
    images = torch.randn(4, 2, 6, 6)
    values: list[dict[str, Tensor]] = []
    for apart in (False, True):
        if apart:
            coupled._stages = coupled.plan.operations
            coupled._spent = fuse.spent(coupled._stages, coupled.plan.output)
        shown: dict[str, Tensor] = {}
        coupled.run_by(CoupledInterpreter(coupled._spiking(None), observer=partial(_note, shown)), images)
        values.append(shown)
    whole, apart_values = values
    charges = [name for name in apart_values if name.endswith(" charge")]
    assert charges
    for name in charges:
        torch.testing.assert_close(apart_values[name], apart_values[name.removesuffix(" charge")], rtol=1e-4, atol=1e-4)
    # A layer that is run as a whole has the same value.
    for name, value in whole.items():
        torch.testing.assert_close(value, apart_values[name], rtol=1e-4, atol=1e-4)


def _note(shown: dict[str, Tensor], seen: Observation) -> None:
    """Note the ANN branch's value of neurons and, where it can be seen and spikes have a part in it, their charge."""
    if (fire := firing(seen.stage)) is None or seen.pre_activation is None:
        return
    shown[fire.neurons.label] = seen.pre_activation.detach()
    if isinstance(seen.stage, Fire) and not seen.incoming[0].constant:
        shown[f"{fire.neurons.label} charge"] = seen.incoming[0].value.sum(0)


@pytest.mark.parametrize("forward", FORWARDS)
def test_the_deployed_network_is_the_snn_branch(forward: Callable[[Parts, Tensor], Tensor]) -> None:
    torch.manual_seed(0)
    coupled = snn2ann.couple(statistics_seen(Parts(forward)), T, image_shape=(2, 6, 6), threshold_start=0.6).eval()
    images = torch.randn(4, 2, 6, 6)
    ann, snn = coupled.branches(images)
    torch.testing.assert_close(coupled.spiking()(images), snn)
    torch.testing.assert_close(ann, snn)


@pytest.mark.parametrize("forward", FORWARDS)
def test_repeat_is_refused_by_name_where_its_charge_is_in_no_proportion(
    forward: Callable[[Parts, Tensor], Tensor],
) -> None:
    for options in ({"variant": "released"}, {"input_coding": "repeat"}):
        with pytest.raises(
            UserError, match=r"the image comes round neurons to it.*use input_coding 'direct' or 'divide'"
        ):
            snn2ann.couple(Parts(forward), T, **options)  # type: ignore[arg-type]
    # One step is whole anyhow.
    snn2ann.couple(Parts(forward), 1, variant="released")
    network = Network(Parts(forward), (2, 6, 6))
    with pytest.raises(UserError, match="comes round neurons"):
        Snn2Ann(network, T, asdict(RELEASED))
    Snn2Ann(network, T, asdict(REFINED))
