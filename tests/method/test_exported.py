"""The spiking network as others run it: an exported program, and ONNX in onnxruntime."""

from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
from torch import Tensor, nn
from torch.fx import GraphModule

import snn2ann
from snn2ann.method.spiking_network import SpikingNetwork
from tests.network.modules import Own, statistics_seen

SHAPE = (2, 8, 8)
# One graph for batches of any size; it is found by a batch of two. Of frames [T, B, ...], the second dimension is the batch.
DYNAMIC = {"images": {0: torch.export.Dim("batch")}}
OF_FRAMES = {"images": {1: torch.export.Dim("batch")}}


class Pooled(nn.Module):
    """Neurons that come last, both kinds of pooling of spikes' currents, and a shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(2, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1)
        self.conv3 = nn.Conv2d(6, 8, 3)
        self.pool, self.average, self.out = nn.MaxPool2d(2), nn.AvgPool2d(2), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        first = self.conv1(x).relu()
        second = self.pool(self.conv2(first) + first).relu()
        return self.out(self.average(self.conv3(second)).relu().flatten(1)).relu()


def spiking(model: nn.Module, frames: bool = False, **options: Any) -> SpikingNetwork:
    """Couple with T = 4, so that counts over T are exact, and low thresholds, so that there are spikes."""
    coupled = snn2ann.couple(statistics_seen(model), 4, image_shape=SHAPE, threshold_start=0.25, **options)
    return coupled.spiking(frames)


def on_a_grid(snn: SpikingNetwork) -> SpikingNetwork:
    """Make every weight and threshold a multiple of 1/64, so that sums are exact in whatever order they are made."""
    for value in snn.state_dict().values():
        value.copy_((value * 64).round() / 64)
    return snn


def in_onnxruntime(
    snn: SpikingNetwork, images: Tensor, batches: list[Tensor], folder: Path, **settings: Any
) -> list[Tensor]:
    """Write it as ONNX and give the logits of each batch."""
    file, shapes = folder / "snn.onnx", (OF_FRAMES if snn.frames else DYNAMIC) | dict.fromkeys(settings)
    two = images[:, :2].contiguous() if snn.frames else images[:2]
    torch.onnx.export(snn, (two,), file, kwargs=settings, dynamic_shapes=shapes, input_names=["images"], verbose=False)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return [torch.from_numpy(session.run(None, {"images": batch.numpy()})[0]) for batch in batches]


@pytest.fixture
def images() -> Tensor:
    """A batch [7, 2, 8, 8] of multiples of 1/16."""
    return torch.randint(-32, 33, (7, *SHAPE), generator=torch.Generator().manual_seed(5)) / 16


@pytest.mark.parametrize("variant", ["released", "refined"])
@pytest.mark.parametrize("model", [Own, Pooled])
def test_an_exported_program_takes_batches_of_any_size(model: type[nn.Module], variant: str, images: Tensor) -> None:
    torch.manual_seed(0)
    snn = spiking(model(), variant=variant, input_coding="direct")
    exported = torch.export.export(snn, (images[:2],), dynamic_shapes=DYNAMIC).module()
    for batch in (images[:1], images[:2], images):
        torch.testing.assert_close(exported(batch), snn(batch), rtol=0, atol=0)
    assert snn(images).std() > 0.01


@pytest.mark.parametrize(
    ("model", "options", "settings"),
    [
        (Pooled, {"variant": "refined"}, {}),
        (Pooled, {"variant": "released"}, {"time_steps": 8, "every_step": True}),
        (Own, {"variant": "refined"}, {}),
    ],
    ids=["refined", "released-every-step", "own"],
)
def test_onnx_equals_it_to_the_last_bit_where_sums_are_exact(
    model: type[nn.Module], options: dict[str, Any], settings: dict[str, Any], images: Tensor, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    snn = on_a_grid(spiking(model(), **options))
    batches = [images[:1], images]
    for found, batch in zip(in_onnxruntime(snn, images, batches, tmp_path, **settings), batches, strict=True):
        assert torch.equal(found, snn(batch, **settings))
    assert snn(images).std() > 0.01


@pytest.mark.parametrize("variant", ["released", "refined"])
def test_a_network_of_frames_is_exported_as_one_of_images(variant: str, images: Tensor, tmp_path: Path) -> None:
    torch.manual_seed(0)
    frames = torch.stack([images, images.flip(0), -images, images.roll(1, 0)])
    snn = on_a_grid(spiking(Pooled(), frames=True, variant=variant))
    batches = [frames[:, :1], frames, frames[:, 2:5]]
    exported = torch.export.export(snn, (frames[:, :2].contiguous(),), dynamic_shapes=OF_FRAMES).module()
    for found, batch in zip(in_onnxruntime(snn, frames, batches, tmp_path), batches, strict=True):
        assert torch.equal(found, snn(batch)) and torch.equal(exported(batch), snn(batch))
    assert snn(frames).std() > 0.01 and not torch.equal(snn(frames), snn(frames.flip(0)))


@pytest.mark.parametrize("variant", ["released", "refined"])
def test_an_exported_program_copies_no_steps(variant: str, images: Tensor) -> None:
    exported = torch.export.export(spiking(Pooled(), variant=variant), (images[:2],), dynamic_shapes=DYNAMIC)
    graphs = [part.graph for part in exported.graph_module.modules() if isinstance(part, GraphModule)]
    written = [str(node.target) for graph in graphs for node in graph.nodes]
    # Four layers of neurons, four steps each.
    assert sum("addcmul" in name for name in written) == 16 and not any("select_scatter" in name for name in written)


def test_what_is_exported_has_no_mode_of_training(images: Tensor) -> None:
    assert not any(module.training for module in spiking(Own()).modules())
