"""A coupled network under `torch.compile`: one graph, and the numbers of the network as it is."""

import shutil
import warnings
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import asdict

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from snn2ann import couple
from snn2ann.errors import UserError
from snn2ann.method.coupled_network import CoupledNetwork
from snn2ann.methods.build import build_model
from snn2ann.options import VARIANTS
from snn2ann.training.layer_record import LayerRecord
from tests.method.conftest import VGG

LABELS = torch.arange(6) % 4
IMAGES = torch.randn(6, 1, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.fixture(autouse=True)
def from_the_start() -> Iterator[None]:
    """Nothing is compiled yet."""
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


class Residual(nn.Module):
    """With a shortcut, dropout and layers that are not fused; of `width` channels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(1, width, 3, padding=1), nn.BatchNorm2d(width))
        self.second = nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width), nn.Dropout(0.2))
        self.pool, self.hidden, self.head = nn.MaxPool2d(2), nn.Linear(16 * width, 12), nn.Linear(12, 4)

    def forward(self, images: Tensor) -> Tensor:
        first = torch.relu(self.first(images))
        second = self.pool(torch.relu(self.second(first) + first))
        return self.head(torch.relu(self.hidden(second.flatten(1))))


def coupled_network(variant: str = "refined", width: int = 4, calibrated: bool = False) -> CoupledNetwork:
    """With thresholds low enough to move."""
    torch.manual_seed(0)
    start = {} if calibrated else {"threshold_start": 0.05}
    calibrate = IMAGES if calibrated else None
    return couple(Residual(width), 2, variant=variant, image_shape=(1, 8, 8), calibrate=calibrate, **start)


def trained(coupled: CoupledNetwork, call: Callable[[Tensor], Tensor], steps: int = 2) -> list[Tensor]:
    """Losses of some steps, and what it gives in evaluation."""
    torch.manual_seed(3)
    optimiser = torch.optim.SGD(coupled.parameters(), lr=0.1)
    given = []
    for step in range(steps):
        coupled.progress = step / steps
        optimiser.zero_grad()
        loss = functional.cross_entropy(call(IMAGES), LABELS) + coupled.price
        loss.backward()
        optimiser.step()
        given.append(loss.detach())
    coupled.eval()
    return [*given, call(IMAGES)]


@pytest.mark.parametrize("variant", VARIANTS)
def test_by_the_kernels_of_a_gpu_it_is_one_graph_as_well(variant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("triton", reason="Triton has no wheel for this platform")
    monkeypatch.setenv("SNN2ANN_ENGINE", "triton")
    coupled = coupled_network(variant)
    plain = deepcopy(coupled)
    with warnings.catch_warnings():
        # PyTorch's compiler warns of what it may not see.
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        compiled = torch.compile(coupled, backend="aot_eager", fullgraph=True)
        given = trained(coupled, compiled)
    for one, other in zip(given, trained(plain, plain), strict=True):
        assert torch.equal(one, other)
    assert coupled.layers()[0].way == "by Triton's kernels"


@pytest.mark.parametrize(
    ("variant", "width", "calibrated"), [("released", 64, False), ("refined", 64, False), ("refined", 4, True)]
)
def test_it_is_one_graph_and_gives_the_same_bits(variant: str, width: int, calibrated: bool) -> None:
    coupled = coupled_network(variant, width, calibrated)
    start = {name: value.clone() for name, value in coupled.thresholds().items()}
    other = deepcopy(coupled)
    expected = trained(coupled, coupled)
    given = trained(other, torch.compile(other, fullgraph=True, backend="eager"))
    assert all(torch.equal(one, same) for one, same in zip(expected, given, strict=True))
    for name, value in coupled.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name
    assert calibrated or any(not torch.equal(value, start[name]) for name, value in coupled.thresholds().items())
    assert other.batches == 2 and other.layers() == coupled.layers()
    by_events = any(layer.way == "by events" for layer in other.layers())
    assert by_events == (width == 64)
    snn = coupled.spiking()
    assert torch.equal(torch.compile(snn, fullgraph=True, backend="eager")(IMAGES), snn(IMAGES))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs a C++ compiler")
def test_by_inductor_it_is_the_same_up_to_rounding() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 4))
    coupled = couple(network, 2, variant="released", image_shape=(1, 8, 8), threshold_start=0.05, spike_penalty=0.1)
    other = deepcopy(coupled)
    expected = trained(coupled, coupled, steps=1)
    given = trained(other, torch.compile(other, fullgraph=True), steps=1)
    torch.testing.assert_close(given, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(other.state_dict(), coupled.state_dict(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("variant", ["released", "refined"])
def test_a_training_step_of_the_project_has_no_graph_break(variant: str) -> None:
    method = {"name": "snn2ann", "time_steps": 2, "options": asdict(VARIANTS[variant])}
    model = build_model({"dataset": {"shape": (1, 8, 8), "classes": 4}, "network": VGG, "method": method})
    step = torch._dynamo.explain(model.training_step)
    found = step(IMAGES, LABELS, functional.cross_entropy, LayerRecord(model).observe)
    assert (found.graph_count, found.graph_break_count) == (1, 0), found.break_reasons


@pytest.mark.parametrize("deployed", [False, True])
def test_what_is_not_finite_is_named(deployed: bool) -> None:
    coupled = coupled_network()
    network = coupled.spiking() if deployed else coupled
    run = torch.compile(network, fullgraph=True, backend="aot_eager")
    run(IMAGES)
    with torch.no_grad():
        name, weight = next(iter(network.named_parameters()))
        weight.view(-1)[0] = torch.nan
    with pytest.raises(UserError, match=f": {name.removeprefix('model.')};"):
        run(IMAGES)


def test_other_batches_do_not_make_it_anew_for_ever() -> None:
    coupled = coupled_network()
    torch._dynamo.utils.counters.clear()
    run = torch.compile(coupled, fullgraph=True, backend="eager")
    assert [len(run(IMAGES[:size])) for size in (6, 5, 4)] == [6, 5, 4]
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 2


def test_a_copy_runs_itself_and_not_the_compiled_one() -> None:
    coupled = coupled_network()
    coupled.compile(backend="eager")
    copied = deepcopy(coupled)
    copied(IMAGES)
    assert (coupled.batches, copied.batches) == (0, 1)


def test_thresholds_must_be_there() -> None:
    coupled = couple(Residual(4), 2)
    with pytest.raises(Exception, match=r"couple it with image_shape=\(C, H, W\)"):
        torch.compile(coupled, fullgraph=True, backend="eager")(IMAGES)


def test_it_cannot_be_run_again_in_backward() -> None:
    run = torch.compile(coupled_network(), backend="aot_eager")
    loss = checkpoint(run, IMAGES.clone().requires_grad_(), use_reentrant=False).sum()
    with pytest.raises(UserError, match="activation checkpointing runs a coupled network twice"):
        loss.backward()
