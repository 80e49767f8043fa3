"""A network of one's own equals the project's network of the same layers, under the same method."""

import copy
from dataclasses import asdict
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import snn2ann
from snn2ann.graph.coupled import CoupledNetwork
from snn2ann.methods.build import build_model
from snn2ann.methods.snn2ann import Snn2Ann
from snn2ann.models.resnet import ResNet
from snn2ann.options import VARIANTS
from tests.graph.networks import PlainResNet, PlainVGG, statistics_seen

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
]


@pytest.fixture
def images() -> Tensor:
    return torch.randn(6, 2, 8, 8, generator=torch.Generator().manual_seed(3))


def pair(kind: str, time_steps: int, variant: str, changes: dict[str, Any]) -> tuple[Snn2Ann, CoupledNetwork]:
    """Give the project's model and an ordinary network of the same weights and thresholds, coupled."""
    torch.manual_seed(0)
    changes = {"ata_rate": 0.0, **changes}
    options = asdict(VARIANTS[variant].with_options({"shortcut": "spikes", **changes}))
    method = {"name": "snn2ann", "time_steps": time_steps, "options": options}
    specification = {"dataset": {"shape": (2, 8, 8), "classes": 5}, "network": NETWORKS[kind], "method": method}
    ours = build_model(specification)
    assert isinstance(ours, Snn2Ann)
    ours.event_driven = False
    statistics_seen(ours)
    # Low thresholds and running means below the batch's make enough noisy spikes for thresholds to move.
    for layer in ours.network.spiking_layers().values():
        layer.threshold.mul_(0.05)
        layer.norm.running_mean.sub_(2)
    network = copy.deepcopy(ours.network)
    plain: nn.Module = PlainResNet(network) if isinstance(network, ResNet) else PlainVGG(network)
    coupled = snn2ann.couple(plain, time_steps, variant=variant, image_shape=(2, 8, 8), **changes)
    layers = ours.network.spiking_layers().values()
    for threshold, layer in zip(coupled.thresholds().values(), layers, strict=True):
        threshold.copy_(layer.threshold)
    return ours, coupled


def weights(model: nn.Module) -> list[tuple[str, Tensor]]:
    """Parameters in an order that both networks share, whatever their names: by shape and first value."""
    return sorted(model.named_parameters(), key=lambda item: (tuple(item[1].shape), item[1].flatten()[0].item()))


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("variant", ["released", "refined"])
@pytest.mark.parametrize("changes", VARIED, ids=["plain", "stsu", "window", "direct", "penalty"])
@pytest.mark.parametrize("time_steps", [1, 4])
def test_training_and_inference_equal_the_projects_own(
    kind: str, variant: str, changes: dict[str, Any], time_steps: int, images: Tensor
) -> None:
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
        cross_entropy(logits, LABELS).backward()
        torch.testing.assert_close(logits, step.logits)
    theirs, mine = dict(ours.named_parameters()), dict(coupled.named_parameters())
    for one, other in names:
        expected, found = theirs[one].grad, mine[other].grad
        assert expected is not None and found is not None
        torch.testing.assert_close(found, expected, msg=one)
    _same_state(ours, coupled)
    same = [torch.equal(old, new) for old, new in zip(before, coupled.thresholds().values(), strict=True)]
    assert not all(same) or time_steps == 1, "no threshold moved, so their adjustment was not tested"
    ours.eval()
    coupled.eval()
    snn = coupled.spiking()
    torch.testing.assert_close(snn(images, 7, every_step=True), ours.spiking_forward(images, 7))
    torch.testing.assert_close(coupled.branches(images), ours.coupled_forward(images, time_steps))


def _same_state(ours: Snn2Ann, coupled: CoupledNetwork) -> None:
    layers = ours.network.spiking_layers().values()
    for threshold, layer in zip(coupled.thresholds().values(), layers, strict=True):
        torch.testing.assert_close(threshold, layer.threshold)
    norms = [[m for m in model.modules() if isinstance(m, nn.BatchNorm2d)] for model in (ours, coupled)]
    for theirs, mine in zip(*map(_by_mean, norms), strict=True):
        torch.testing.assert_close(mine.running_mean, theirs.running_mean)
        torch.testing.assert_close(mine.running_var, theirs.running_var)
        assert mine.num_batches_tracked == theirs.num_batches_tracked


def _by_mean(norms: list[nn.BatchNorm2d]) -> list[nn.BatchNorm2d]:
    return sorted(norms, key=lambda norm: (norm.num_features, float(norm.running_mean[0])))  # type: ignore[index]
