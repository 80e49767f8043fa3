"""Networks as their authors write them, coupled, equal the rig's of the same weights, whatever the options."""

import copy
from dataclasses import asdict
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import snn2ann
from snn2ann.engine import events
from snn2ann.method.coupled_network import CoupledNetwork
from snn2ann.methods.build import build_model
from snn2ann.methods.snn2ann import Snn2Ann
from snn2ann.models.resnet import ResNet
from snn2ann.options import VARIANTS
from tests.network.modules import PlainResNet, PlainVGG, statistics_seen
from tests.stages import layers_of, norm_of

NETWORKS: dict[str, dict[str, Any]] = {
    "vgg": {"kind": "vgg", "blocks": [[8, 8], [12]], "pooled_blocks": [1, 2], "dropout": [0.2, 0]},
    "resnet": {"kind": "resnet", "channels": [8, 8, 12], "strides": [1, 1, 2], "blocks_per_stage": 2, "dropout": 0.2},
}
LABELS = torch.tensor([0, 1, 2, 3, 4, 0])
VARIED: list[dict[str, Any]] = [
    {},
    {"mapping_unit": "stsu", "reset": "subtract", "membrane_start": 0.5},
    {"gradient": "window", "statistics": "batch", "input_coding": "divide"},
    {"gradient": "window", "input_coding": "direct"},
    {"spike_penalty": 3.0, "spike_penalty_end": 0.25},
    {"shortcut": "current"},
    {"shortcut": "spikes"},
]


@pytest.fixture
def images() -> Tensor:
    return torch.randn(6, 2, 8, 8, generator=torch.Generator().manual_seed(3))


def pair(kind: str, time_steps: int, variant: str, changes: dict[str, Any]) -> tuple[Snn2Ann, CoupledNetwork]:
    """Give the project's model and an ordinary network of the same weights and thresholds, coupled."""
    torch.manual_seed(0)
    changes = {"ata_rate": 0.0, **changes}
    options = asdict(VARIANTS[variant].with_options(changes))
    method = {"name": "snn2ann", "time_steps": time_steps, "options": options}
    specification = {"dataset": {"shape": (2, 8, 8), "classes": 5}, "network": NETWORKS[kind], "method": method}
    ours = build_model(specification)
    assert isinstance(ours, Snn2Ann)
    statistics_seen(ours)
    # Low thresholds and running means below the batch's make enough noisy spikes for thresholds to move.
    for layer in layers_of(ours):
        layer.fire.neurons.threshold.mul_(0.05)
        norm_of(layer).running_mean.sub_(2)  # type: ignore[union-attr]
    network = copy.deepcopy(ours.network.model)
    plain: nn.Module = PlainResNet(network) if isinstance(network, ResNet) else PlainVGG(network)  # type: ignore[arg-type]
    coupled = snn2ann.couple(plain, time_steps, variant=variant, image_shape=(2, 8, 8), **changes)
    layers = layers_of(ours)
    for threshold, layer in zip(coupled.thresholds().values(), layers, strict=True):
        threshold.copy_(layer.fire.neurons.threshold)
    return ours, coupled


def weights(model: nn.Module) -> list[tuple[str, Tensor]]:
    """Parameters in an order that both networks share, whatever their names: by shape and first value."""
    return sorted(model.named_parameters(), key=lambda item: (tuple(item[1].shape), item[1].flatten()[0].item()))


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("variant", ["released", "refined"])
@pytest.mark.parametrize("changes", VARIED, ids=["plain", "stsu", "window", "direct", "penalty", "current", "spikes"])
@pytest.mark.parametrize("time_steps", [1, 4])
@pytest.mark.parametrize("by_events", [True, False], ids=["events", "dense"])
def test_training_and_inference_equal_the_rigs(
    kind: str,
    variant: str,
    changes: dict[str, Any],
    time_steps: int,
    by_events: bool,
    images: Tensor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if by_events:
        monkeypatch.setattr(events, "FEWEST_CHANNELS", 1)
        monkeypatch.setattr(events, "FEWEST_POSITIONS", 1)
    ours, coupled = pair(kind, time_steps, variant, changes)
    ours.progress = coupled.progress = 0.5
    names = [(one, other) for (one, _), (other, _) in zip(weights(ours), weights(coupled), strict=True)]
    before = [threshold.clone() for threshold in coupled.thresholds().values()]
    for _ in range(2):
        ours.zero_grad()
        coupled.zero_grad()
        # Dropout, of activations and of membranes, draws the same.
        torch.manual_seed(1)
        step = ours.training_step(images, LABELS, cross_entropy)
        step.loss.backward()
        torch.manual_seed(1)
        logits = coupled(images)
        (cross_entropy(logits, LABELS) + coupled.price).backward()
        assert torch.equal(logits, step.logits)
    theirs, mine = dict(ours.named_parameters()), dict(coupled.named_parameters())
    for one, other in names:
        expected, found = theirs[one].grad, mine[other].grad
        assert expected is not None and found is not None
        assert torch.equal(found, expected), one
    _same_state(ours, coupled)
    same = [torch.equal(old, new) for old, new in zip(before, coupled.thresholds().values(), strict=True)]
    assert not all(same) or time_steps == 1, "no threshold moved, so their adjustment was not tested"
    ours.eval()
    coupled.eval()
    snn = coupled.spiking()
    torch.testing.assert_close(snn(images, 7, every_step=True), ours.spiking_forward(images, 7))
    ways = {report.way for report in coupled.layers()}
    assert ways == ({"by events"} if by_events else {"densely: fewer than 64 channels"})
    for branch, expected_branch in zip(coupled.branches(images), ours.coupled_forward(images, time_steps), strict=True):
        assert torch.equal(branch, expected_branch)


def _same_state(ours: Snn2Ann, coupled: CoupledNetwork) -> None:
    layers = layers_of(ours)
    for threshold, layer in zip(coupled.thresholds().values(), layers, strict=True):
        assert torch.equal(threshold, layer.fire.neurons.threshold)
    norms = [[m for m in model.modules() if isinstance(m, nn.BatchNorm2d)] for model in (ours, coupled)]
    for theirs, mine in zip(*map(_by_mean, norms), strict=True):
        torch.testing.assert_close(mine.running_mean, theirs.running_mean)
        torch.testing.assert_close(mine.running_var, theirs.running_var)
        assert mine.num_batches_tracked == theirs.num_batches_tracked


def _by_mean(norms: list[nn.BatchNorm2d]) -> list[nn.BatchNorm2d]:
    return sorted(norms, key=lambda norm: (norm.num_features, float(norm.running_mean[0])))  # type: ignore[index]
