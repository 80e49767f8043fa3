"""Operations: counted exactly, and as two other libraries count them."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from spikingjelly.activation_based.op_counter import DispatchCounterMode, MACCounter, SynOpCounter
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from snn2ann.engine.signals import Observation
from snn2ann.engine.stages import Layer
from snn2ann.evaluation.arithmetic import accumulates, image_operations, multiply_accumulates
from snn2ann.evaluation.evaluate import evaluate_split
from snn2ann.methods import METHODS
from snn2ann.methods.build import build_model
from snn2ann.methods.model import Model
from snn2ann.options import REFINED
from snn2ann.study import load_parameters, network_spec
from tests.stages import layers_of, norm_of, of_layers

VGG = {"kind": "vgg", "blocks": [[4, 5], [6]], "pooled_blocks": [1, 2], "dropout": [0, 0]}
RESNET = {"kind": "resnet", "channels": [4, 4, 6], "strides": [1, 1, 2], "blocks_per_stage": 1}
IMAGES = 3
CLASSES = 7


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(3, 1, 1), (3, 2, 1), (1, 2, 0), (3, 1, 0)])
def test_accumulates_equal_a_convolution_that_counts(kernel: int, stride: int, padding: int) -> None:
    convolution = nn.Conv2d(4, 6, kernel, stride, padding)
    spikes = torch.randint(0, 2, (3, 2, 4, 7, 7), generator=torch.Generator().manual_seed(0)).float()
    ones = torch.ones_like(convolution.weight)
    counted = torch.nn.functional.conv2d(spikes.flatten(0, 1), ones, stride=stride, padding=padding)
    expected = counted.unflatten(0, (3, 2)).sum((1, 2, 3, 4)).double()
    assert torch.equal(accumulates(convolution, spikes), expected)


def test_multiply_accumulates_of_a_convolution() -> None:
    assert multiply_accumulates(nn.Conv2d(3, 64, 3, padding=1), (64, 32, 32)) == 3 * 9 * 64 * 32 * 32


def build(name: str, network: dict[str, Any], size: int = 8) -> Model:
    torch.manual_seed(0)
    options = asdict(REFINED) | {"threshold_start": 0.1} if name == "snn2ann" else METHODS[name].defaults
    method = {"name": name, "time_steps": 4 if METHODS[name].time_steps else None, "options": options}
    dataset = {"shape": (3, size, size), "classes": CLASSES}
    model = build_model({"dataset": dataset, "network": network, "method": method}).eval()
    for layer in layers_of(model):
        norm_of(layer).bias.data.add_(0.8)  # enough for every layer to fire
    return model


def images() -> Tensor:
    return torch.rand(IMAGES, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def batches() -> Iterator[tuple[Tensor, Tensor]]:
    yield images(), torch.zeros(IMAGES, dtype=torch.int64)


@torch.no_grad()
def counted_by_spikingjelly(model: Model, time_steps: int) -> tuple[int, int]:
    """Synaptic operations of all images, and multiply-accumulates of convolutions with an analog input.

    SpikingJelly counts what spikes do in convolutions and matrix products. The classifier is counted apart, since one of
    our views gives it mean counts and not spikes; so are additions of identity shortcuts, which SpikingJelly leaves out.
    """
    seen: list[Observation] = []
    model.spiking_forward(images(), time_steps, of_layers(seen.append))
    assert all(each.outgoing.value.any() for each in seen)
    weight = model.network.model.get_parameter("classifier.weight")
    operations, analog = SynOpCounter(extra_ignore_modules=[nn.Linear]), MACCounter()
    with DispatchCounterMode([operations, analog]):
        model.spiking_forward(images(), time_steps)
        if not model.coupled or time_steps > 1:
            # Means over one step are spikes, and counted already.
            nn.functional.linear(seen[-1].outgoing.value.flatten(0, 1).flatten(1), weight)
    stages = [(each.stage, each.incoming) for each in seen if isinstance(each.stage, Layer)]
    additions = sum(int(incoming[1].value.sum()) for stage, incoming in stages if stage.skips and not stage.side)
    return operations.get_total() + additions, analog.records["Global"][torch.ops.aten.convolution.default]


@pytest.mark.parametrize("network", [VGG, RESNET], ids=["vgg", "resnet"])
@pytest.mark.parametrize("name", ["snn2ann", "stbp"])
def test_spiking_networks_as_spikingjelly_counts_them(name: str, network: dict[str, Any]) -> None:
    model = build(name, network)
    entry = evaluate_split(model, batches, 4, 4)
    for time_steps in (1, 3, 4):
        operations, analog = counted_by_spikingjelly(model, time_steps)
        assert entry["synaptic_operations"][time_steps - 1] * IMAGES == pytest.approx(operations, abs=1e-6)
        assert entry["multiply_accumulates"] * IMAGES == analog


@pytest.mark.parametrize("network", [VGG, RESNET], ids=["vgg", "resnet"])
def test_the_plain_ann_as_torch_counts_it(network: dict[str, Any]) -> None:
    model = build("ann", network)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.ann_forward(images())
    entry = evaluate_split(model, batches, 4, 4)
    assert entry["multiply_accumulates"] * IMAGES * 2 == counter.get_total_flops()


@pytest.mark.parametrize("name", ["vgg-13", "resnet-17"])
def test_the_papers_networks_as_torch_counts_them(name: str) -> None:
    parameters = load_parameters(Path(__file__).parents[2] / "params.yaml")
    with torch.device("meta"):  # shapes are enough to count by
        model = build("ann", network_spec(parameters, name, [3, 32, 32], name), size=32)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model.ann_forward(torch.empty(1, 3, 32, 32))
    assert image_operations(model.network).all * 2 == counter.get_total_flops()
