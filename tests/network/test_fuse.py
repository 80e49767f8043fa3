"""Which operations of a plan are run as one layer, and which by themselves."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import snn2ann
from snn2ann.engine import events
from snn2ann.engine.network import Network
from snn2ann.engine.stages import Apply, Fire, Layer, Pool, Weigh
from snn2ann.models.building import build_network
from snn2ann.network import fuse
from snn2ann.study import load_parameters, network_spec

PARAMETERS = load_parameters(Path(__file__).parents[2] / "params.yaml")
SHAPE = (3, 32, 32)


def papers(name: str) -> Callable[[], nn.Module]:
    return lambda: build_network(network_spec(PARAMETERS, name, list(SHAPE), name), SHAPE, 10)


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "vgg-13": papers("vgg-13"),
    "resnet-17": papers("resnet-17"),
    "vgg11_bn": torchvision.models.vgg11_bn,
    "resnet18": torchvision.models.resnet18,
}
# Neurons of linear layers, which are no convolution's.
OF_LINEAR = {"vgg11_bn": 2}


@pytest.mark.parametrize("name", NETWORKS)
def test_every_convolution_is_in_a_layer(name: str) -> None:
    torch.manual_seed(0)
    model = NETWORKS[name]()
    stages = Network(model).stages()
    layers = [stage for stage in stages if isinstance(stage, Layer)]
    inside = [each.convolution for layer in layers for each in (layer.main, layer.side) if each]
    convolutions = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    assert len(inside) == len(convolutions) and {*map(id, inside)} == {*map(id, convolutions)}
    norms = [each.norm for layer in layers for each in (layer.main, layer.side) if each and each.norm]
    assert len(norms) == sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())
    rest = [stage for stage in stages if not isinstance(stage, Layer)]
    assert sum(isinstance(stage, Fire) for stage in rest) == OF_LINEAR.get(name, 0)
    assert not any(isinstance(stage, Pool) for stage in rest)
    assert all(isinstance(stage.module, nn.Linear) for stage in rest if isinstance(stage, Weigh))


@pytest.mark.parametrize("name", ["vgg11_bn", "resnet18"])
@pytest.mark.parametrize("variant", ["released", "refined"])
def test_every_layer_of_a_whole_network_is_run_by_events_in_training_and_after(
    name: str, variant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "FEWEST_CHANNELS", 1)
    monkeypatch.setattr(events, "FEWEST_POSITIONS", 1)
    torch.manual_seed(0)
    coupled = snn2ann.couple(NETWORKS[name](), 2, variant=variant, image_shape=SHAPE)
    images = torch.rand(2, *SHAPE)
    for training in (True, False):
        coupled.train(training)(images)
        ways = [report.way for report in coupled.layers()]
        linear = OF_LINEAR.get(name, 0)
        assert ways[: len(ways) - linear] == ["by events"] * (len(ways) - linear)
        assert all(way.startswith("densely: ") for way in ways[len(ways) - linear :])


class Shapes(nn.Module):
    """One layer and what is around it, as a function says."""

    def __init__(self, forward: Callable[["Shapes", Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.relu, self.function = nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), forward
        self.conv, self.bn = nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.side, self.side_bn = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)
        self.grouped = nn.Conv2d(4, 4, 3, padding=1, groups=2)
        self.dilated = nn.Conv2d(4, 4, 3, padding=2, dilation=2)
        self.reflecting = nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect")
        self.wide = nn.Conv2d(4, 4, (1, 3), padding=(0, 1))
        self.pool, self.average, self.other_pool = nn.MaxPool2d(2), nn.AvgPool2d(2), nn.MaxPool2d(3, 2, 1)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.function(self, self.relu(self.first(x))).mean((2, 3)))


# What is done with the first layer's spikes; how many layers there are with the first, and neurons that are in none.
CASES: dict[str, tuple[Callable[[Shapes, Tensor], Tensor], int, int]] = {
    "plain": (lambda net, s: net.relu(net.conv(s)), 2, 0),
    "norm": (lambda net, s: net.relu(net.bn(net.conv(s))), 2, 0),
    "max pooling after the ReLU": (lambda net, s: net.pool(net.relu(net.bn(net.conv(s)))), 2, 0),
    "average before the ReLU": (lambda net, s: net.relu(net.average(net.bn(net.conv(s)))), 2, 0),
    "average after the ReLU": (lambda net, s: net.average(net.relu(net.conv(s))), 2, 0),
    "overlapping pooling": (lambda net, s: net.relu(net.other_pool(net.bn(net.conv(s)))), 2, 0),
    "identity": (lambda net, s: net.relu(net.bn(net.conv(s)) + s), 2, 0),
    "identity first": (lambda net, s: net.relu(s + net.bn(net.conv(s))), 2, 0),
    "side": (lambda net, s: net.relu(net.bn(net.conv(s)) + net.side_bn(net.side(s))), 2, 0),
    "pooled sum": (lambda net, s: net.relu(net.pool(net.bn(net.conv(s)) + s)), 2, 0),
    "not square": (lambda net, s: net.relu(net.wide(s)), 2, 0),
    "three in a sum": (lambda net, s: net.relu(net.bn(net.conv(s)) + net.side(s) + s), 1, 1),
    "grouped": (lambda net, s: net.relu(net.grouped(s)), 1, 1),
    "dilated": (lambda net, s: net.relu(net.dilated(s)), 1, 1),
    "reflecting": (lambda net, s: net.relu(net.reflecting(s)), 1, 1),
    "norm first": (lambda net, s: net.relu(net.conv(net.relu(net.bn(s)))), 2, 1),
    "current taken twice": (lambda net, s: (c := net.conv(s), net.relu(c) + net.relu(net.bn(c)))[1], 1, 2),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("options", [{}, {"variant": "released"}, {"shortcut": "current"}], ids=str)
def test_layers_and_single_operations_give_the_same(case: str, options: dict[str, Any]) -> None:
    function, layers, alone = CASES[case]
    torch.manual_seed(0)
    model = Shapes(function)
    stages = Network(model).stages()
    assert sum(isinstance(stage, Layer) for stage in stages) == layers
    assert sum(isinstance(stage, Fire) for stage in stages) == alone
    settings: dict[str, Any] = {"threshold_start": 0.3, "membrane_dropout": 0.0, "ata": False, **options}
    images, labels = torch.randn(4, 2, 8, 8), torch.tensor([0, 1, 2, 0])
    found = []
    for apart in (False, True):
        coupled = snn2ann.couple(model, 4, image_shape=(2, 8, 8), **settings).double().train()
        if apart:
            take_apart(coupled)
        model.zero_grad()
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.reset_running_stats()
        logits = coupled(images.double())
        cross_entropy(logits, labels).backward()
        gradients = [value.grad.clone() for value in model.parameters() if value.grad is not None]
        found.append([logits.detach(), *gradients, coupled.eval()(images.double()), coupled.spiking()(images.double())])
        assert torch.equal(found[-1][-1], found[-1][-2]) or torch.allclose(found[-1][-1], found[-1][-2], atol=1e-12)
    assert len(found[0]) == len(found[1]) > 8
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


def take_apart(network: Network) -> None:
    """Run a network operation by operation."""
    network._stages = network.plan.operations
    network._spent = fuse.spent(network._stages, network.plan.output)
    network._identities = fuse.identities(network._stages)


def test_what_a_stage_needs_no_more_is_let_go() -> None:
    network = Network(papers("resnet-17")())
    gone = [name for names in fuse.spent(network._stages, network.plan.output).values() for name in names]
    made = [stage.name for stage in network._stages if stage.name != network.plan.output]
    assert sorted(gone) == sorted(made)


@pytest.mark.parametrize("pooling", ["max", "average"])
def test_average_pooling_of_the_vgg_is_in_its_layers_and_linear(pooling: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "FEWEST_CHANNELS", 1)
    monkeypatch.setattr(events, "FEWEST_POSITIONS", 1)
    kind = {"kind": "vgg", "blocks": [[4, 4], [6]], "pooled_blocks": [1, 2], "dropout": [0, 0], "pooling": pooling}
    torch.manual_seed(0)
    model = build_network(kind, (2, 8, 8), 5)
    images, labels = torch.randn(6, 2, 8, 8), torch.arange(6) % 5
    gradients = []
    for by_events in (True, False):
        coupled = snn2ann.couple(model, 4, image_shape=(2, 8, 8), input_coding="divide", reset="subtract", ata=False)
        coupled.event_driven = by_events
        model.zero_grad()
        cross_entropy(coupled.train()(images), labels).backward()
        gradients.append(torch.cat([value.grad.flatten() for value in model.parameters() if value.grad is not None]))
        ways = {report.way for report in coupled.layers()}
        assert ways == ({"by events"} if by_events else {"densely: events are switched off"})
    torch.testing.assert_close(*gradients, atol=1e-5, rtol=1e-3)
    pooled = [stage for stage in Network(model).stages() if isinstance(stage, Layer) and stage.pool]
    assert [type(stage.pool) for stage in pooled] == [{"max": nn.MaxPool2d, "average": nn.AvgPool2d}[pooling]] * 2
    assert not any(isinstance(stage, Pool | Apply) for stage in Network(model).stages()[:-2])
