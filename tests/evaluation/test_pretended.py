"""Steps without values: they keep what real ones keep, and never ask the host for a number."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import DataDependentOutputException
from torch.nn.functional import cross_entropy
from torch.utils._python_dispatch import TorchDispatchMode

import snn2ann
from snn2ann.evaluation.memory import saved_for_backward
from snn2ann.evaluation.pretended import held_bytes, pretended
from snn2ann.methods import METHODS
from snn2ann.methods.build import build_model
from snn2ann.options import VARIANTS
from snn2ann.training.finite_record import FiniteRecord
from snn2ann.training.layer_record import LayerRecord

NETWORKS: dict[str, dict[str, Any]] = {
    "vgg": {"kind": "vgg", "blocks": [[4], [6]], "pooled_blocks": [1, 2], "dropout": [0.25, 0.1]},
    "resnet": {"kind": "resnet", "channels": [4, 4, 6], "strides": [1, 1, 2], "blocks_per_stage": 1, "dropout": 0.2},
}
METHOD_NAMES = [name for name in METHODS if any(METHODS[name].passes) and name != "snn2ann"]
COUPLED = [f"snn2ann {variant}" for variant in VARIANTS]


def spec(name: str, network: str, **recipe: Any) -> dict[str, Any]:
    method, _, variant = name.partition(" ")
    options = asdict(VARIANTS[variant]) if variant else METHODS[method].defaults
    return {
        "dataset": {"shape": [2, 8, 8], "classes": 5},
        "network": {"name": network, "initialisation": "default", **NETWORKS[network]},
        "method": {"name": method, "time_steps": 4 if METHODS[method].time_steps else None, "options": options},
        "recipe": {"batch_size": 6, "precision": "fp32", **recipe},
    }


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("name", METHOD_NAMES + COUPLED)
def test_what_is_kept_is_what_a_real_step_keeps(name: str, network: str) -> None:
    wanted = spec(name, network)
    model = build_model(wanted).train()
    images, labels = torch.rand(6, 2, 8, 8), torch.arange(6) % 5
    real = saved_for_backward(model, lambda: model.training_step(images, labels, cross_entropy).loss.backward())
    saved, weights = held_bytes(wanted)
    assert saved == real > 0
    assert weights == 16 * sum(parameter.numel() for parameter in model.parameters())
    half, _ = held_bytes(spec(name, network, micro_batches=2))
    assert half < 0.6 * saved


@pytest.mark.parametrize("name", ["ann", *COUPLED])
def test_in_bfloat16_less_is_kept(name: str) -> None:
    assert held_bytes(spec(name, "vgg", precision="bf16"))[0] < held_bytes(spec(name, "vgg"))[0]


class Copies(TorchDispatchMode):
    """Counts what travels between devices."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.number = 0

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), named: Any = None) -> Any:
        result = function(*arguments, **(named or {}))
        where = {each.device.type for each in arguments if isinstance(each, Tensor) and each.dim()}
        self.number += isinstance(result, Tensor) and bool(where) and result.device.type not in where
        return result


@pytest.fixture
def kernels(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    pytest.importorskip("triton", reason="Triton has no wheel for this platform")
    monkeypatch.setenv("SNN2ANN_ENGINE", "triton")
    yield


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("name", ["ann", *COUPLED])
def test_on_a_gpu_a_step_stays_there_and_runs_by_the_kernels(name: str, network: str) -> None:
    pytest.importorskip("triton", reason="Triton has no wheel for this platform")
    model = build_model(spec(name, network)).train()
    record = LayerRecord(model)
    with pretended(model, "cuda"):
        images, labels = torch.empty(6, 2, 8, 8, device="cuda"), torch.zeros(6, dtype=torch.long, device="cuda")
        with Copies() as copies:
            step = model.training_step(images, labels, cross_entropy, record.observe)
        assert step.loss.device.type == step.logits.device.type == "cuda" and copies.number == 0
    if model.coupled:
        assert {layer.way for layer in model.network.by_label().values()} == {"by Triton's kernels"}


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("name", METHOD_NAMES + COUPLED)
def test_no_operation_of_a_step_asks_for_a_number(name: str, network: str, kernels: None) -> None:
    model = build_model(spec(name, network)).train()
    record = LayerRecord(model)
    with pretended(model):
        optimiser = torch.optim.Adam(model.parameters(), fused=True)
        finite = FiniteRecord(model.network)
        images, labels = torch.empty(6, 2, 8, 8), torch.zeros(6, dtype=torch.long)
        for _ in range(2):
            optimiser.zero_grad(set_to_none=True)
            step = model.training_step(images, labels, cross_entropy, record.observe)
            step.loss.backward()
            optimiser.step()
            finite.note(step.loss)
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("variant", VARIANTS)
def test_nor_does_a_coupled_network_of_ones_own(variant: str, kernels: None) -> None:
    network = nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 5)
    )
    coupled = snn2ann.couple(network.train(), 4, variant=variant, image_shape=(2, 8, 8))
    with pretended(coupled):
        loss = cross_entropy(coupled(torch.empty(6, 2, 8, 8)), torch.zeros(6, dtype=torch.long)) + coupled.price
        loss.backward()
    assert all(parameter.grad is not None for parameter in coupled.parameters())


def test_who_asks_is_found_out() -> None:
    model = nn.Linear(3, 3)
    with pretended(model), pytest.raises(DataDependentOutputException):
        model(torch.empty(2, 3)).sum().item()
