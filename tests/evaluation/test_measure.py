"""The report for a network of one's own, held against SpikingJelly's counter and NeuroBench's definitions."""

from pathlib import Path
from typing import Any

import pytest
import torch
from spikingjelly.activation_based.op_counter import DispatchCounterMode, SynOpCounter
from torch import Tensor, nn
from torch.nn import functional

import snn2ann
from benchmarks import from_trained
from snn2ann.engine.stages import Neurons
from snn2ann.errors import UserError
from snn2ann.evaluation.arithmetic import JOULE_PER_ACCUMULATE, JOULE_PER_MAC
from snn2ann.method.coupled_network import CoupledNetwork
from snn2ann.method.spiking_network import IntegrateAndFire
from tests.network.modules import Own, statistics_seen

STEPS = 6
ADDED = {"resnet": ("2", "4.relu")}


@pytest.fixture
def images() -> Tensor:
    return torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(5))


def coupled(name: str, images: Tensor) -> CoupledNetwork:
    torch.manual_seed(0)
    return snn2ann.couple(statistics_seen(from_trained.network(name, 8)).eval(), STEPS, calibrate=images)


def watched(network: CoupledNetwork, images: Tensor) -> tuple[dict[str, Tensor], list[tuple[nn.Module, Tensor]]]:
    """Run the deployed network, and give the spikes of each layer and what its weights were given."""
    snn = network.spiking()
    spikes: dict[str, Tensor] = {}
    weighed: list[tuple[nn.Module, Tensor]] = []
    for name, layer in snn.layers.items():
        if isinstance(layer, IntegrateAndFire):
            layer.register_forward_hook(lambda _, __, out, name=name: spikes.update({name: out}))
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(lambda layer, given, _: weighed.append((layer, given[0])))
    snn(images)
    return spikes, weighed


@pytest.mark.parametrize("name", ["vgg", "plain"])
def test_synaptic_operations_are_spikingjellys(name: str, images: Tensor) -> None:
    network = coupled(name, images)
    snn, counter = network.spiking(), SynOpCounter()
    with DispatchCounterMode([counter]):
        snn(images)
    rows = snn2ann.measure(network, images).rows
    # What is read out are rates, which its counter does not take for spikes.
    assert sum(row.accumulates for row in rows[:-1]) * 6 == pytest.approx(counter.get_total(), rel=1e-6) != 0
    assert rows[-1].name == str(len(network.model) - 1) and rows[-1].accumulates > 0  # type: ignore[arg-type]


def effective(layer: nn.Module, values: Tensor) -> float:
    """NeuroBench's effective operations (Yik et al. 2025): products of an activation and a weight, neither of them zero."""
    there, weights = (values != 0).double(), (layer.get_parameter("weight") != 0).double()
    if isinstance(layer, nn.Conv2d):
        return float(functional.conv2d(there, weights, None, layer.stride, layer.padding).sum())
    return float(functional.linear(there, weights).sum())


@pytest.mark.parametrize("name", ["vgg", "resnet", "plain"])
def test_effective_operations_and_sparsity_are_neurobenchs(name: str, images: Tensor) -> None:
    network = coupled(name, images)
    spikes, weighed = watched(network, images)
    measured = snn2ann.measure(network, images.split(4))
    binary = [(layer, values) for layer, values in weighed if set(values.unique().tolist()) <= {0.0, 1.0}]
    expected = sum(effective(layer, values) for layer, values in binary)
    by_label = {layer.label: name for name, layer in network.neurons.items() if isinstance(layer, Neurons)}
    # An identity shortcut adds spikes, which are accumulates and meet no weights.
    expected += sum(float(spikes[by_label[label]].sum()) for label in ADDED.get(name, ()))
    rows = [row for row in measured.rows if row.neurons]
    assert measured.images == 6 and len(binary) >= len(rows) - 1
    assert sum(row.accumulates for row in rows) * 6 == pytest.approx(expected)
    for row in rows:
        activations = spikes[by_label[row.name]]
        sparsity = 1 - int(torch.count_nonzero(activations)) / activations.numel()
        assert row.firing_rate is not None and 1 - row.firing_rate == pytest.approx(sparsity)
        assert row.spikes * 6 == pytest.approx(float(activations.sum()))
    # The image is multiplied once: NeuroBench counts pixels that are not zero, and no padding.
    first, pixels = weighed[0]
    assert 0.7 * rows[0].multiply_accumulates * 6 < effective(first, pixels) <= rows[0].multiply_accumulates * 6
    assert all(row.multiply_accumulates == 0 for row in rows[1:])


def test_energies_add_up_and_the_table_and_the_picture_show_them(images: Tensor, tmp_path: Path) -> None:
    measured = snn2ann.measure(coupled("vgg", images), [(images, torch.zeros(6))], time_steps=3)
    total = measured.total
    expected = total.accumulates * JOULE_PER_ACCUMULATE + total.multiply_accumulates * JOULE_PER_MAC
    assert total.energy == pytest.approx(expected) and measured.time_steps == 3
    assert total.ann_multiply_accumulates == 8 * 9 * 64 + 64 * 9 * 64 + 128 * 9 * 16 + 256 * 9 * 16 + 64 * 10
    lines = measured.table().splitlines()
    assert len(lines) == 2 + len(measured.rows) + 1 and f"{total.energy * 1e9:.2f}" in lines[-1]
    assert list(measured.frame()["name"]) == [row.name for row in measured.rows]
    measured.draw(tmp_path / "layers.png")
    assert (tmp_path / "layers.png").read_bytes().startswith(b"\x89PNG")


def test_every_kind_of_stage_is_measured_and_nothing_changes() -> None:
    images = torch.randn(4, 2, 8, 8)
    network = snn2ann.couple(statistics_seen(Own()), 4, calibrate=images)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    total = snn2ann.measure(network, images).total
    network.eval()(images)
    assert total.spikes == pytest.approx(sum(layer.spikes_per_image for layer in network.layers()))
    assert total.accumulates > 0 and total.multiply_accumulates > 0
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize(
    ("given", "message"), [([], "there are no images"), (torch.zeros(2, 1, 12, 12), "12"), (None, "NoneType")]
)
def test_what_is_no_images_is_refused(given: Any, message: str, images: Tensor) -> None:
    network = coupled("vgg", images)
    with pytest.raises(UserError, match=message):
        snn2ann.measure(network, given)
    with pytest.raises(UserError, match="expected what `snn2ann"):
        snn2ann.measure(network.spiking(), images)  # type: ignore[arg-type]


def test_frames_are_measured_at_every_step_where_they_are_not_zero() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 3))
    network = snn2ann.couple(model, 5, image_shape=(2, 8, 8), threshold_start=0.2).eval()
    frames = (torch.rand(5, 6, 2, 8, 8) < 0.2).float()
    network(frames)
    measured = snn2ann.measure(network, [(frames[:, :4], torch.zeros(4)), (frames[:, 4:], torch.zeros(2))])
    assert measured.images == 6
    assert measured.total.spikes == pytest.approx(network.layers()[0].spikes_per_image)
    first, _ = measured.rows
    met = sum(effective(model[0], frame) for frame in frames)
    assert first.accumulates == 0 and first.multiply_accumulates * 6 == pytest.approx(met)
    with pytest.raises(UserError, match="5 frames for 7 steps"):
        snn2ann.measure(network, frames, time_steps=7)
