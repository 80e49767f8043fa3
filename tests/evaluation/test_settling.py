"""Settling changes what BatchNorms have seen, and nothing else."""

from dataclasses import asdict

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from snn2ann.evaluation.settling import settle
from snn2ann.methods import METHODS
from snn2ann.methods.build import build_model
from snn2ann.methods.model import Model
from snn2ann.options import VARIANTS

NETWORK = {"kind": "resnet", "channels": [4, 4, 6], "strides": [1, 1, 2], "blocks_per_stage": 1, "dropout": 0.2}
IMAGES = torch.randn(12, 2, 8, 8, generator=torch.Generator().manual_seed(2)) * 3 + 1
LABELS = torch.arange(12) % 3


def build(name: str) -> Model:
    torch.manual_seed(0)
    # Nearly all spikes are noisy, so that ATA raises thresholds at every step.
    options = asdict(VARIANTS["refined"]) | {"ata_rate": 0.0} if name == "snn2ann" else METHODS[name].defaults
    method = {"name": name, "time_steps": 3 if METHODS[name].time_steps else None, "options": options}
    return build_model({"dataset": {"shape": (2, 8, 8), "classes": 3}, "network": NETWORK, "method": method})


def test_thresholds_and_weights_stay_where_training_steps_would_move_them() -> None:
    model, twin = build("snn2ann"), build("snn2ann")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    twin.train().training_step(IMAGES, LABELS, cross_entropy)
    moved = [name for name, value in twin.named_buffers() if name.endswith("threshold")]
    assert any(not torch.equal(twin.state_dict()[name], before[name]) for name in moved), "nothing would have moved"
    settle(model, IMAGES, LABELS)
    changed = [name for name, value in model.state_dict().items() if not torch.equal(value, before[name])]
    assert {name.rpartition(".")[2] for name in changed} == {"running_mean", "running_var", "num_batches_tracked"}
    assert not model.training and all(value.grad is None for value in model.parameters())


@pytest.mark.parametrize("name", ["snn2ann", "stbp", "ann"])
def test_batchnorms_have_the_statistics_of_the_last_batch_and_their_own_momentum(name: str) -> None:
    model = build(name)
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms
    for number, norm in enumerate(norms):
        norm.momentum = 0.1 + number / 100
    settle(model, IMAGES, LABELS)
    assert [norm.momentum for norm in norms] == [0.1 + number / 100 for number in range(len(norms))]
    first = model.network.model.get_submodule("stem.convolution")(IMAGES).detach()
    mean = norms[0].running_mean
    assert mean is not None
    torch.testing.assert_close(mean, first.mean((0, 2, 3)), atol=1e-5, rtol=1e-4)


def test_a_network_that_is_converted_is_only_put_into_evaluation() -> None:
    model = build("conversion")
    before = {name: value.clone() for name, value in model.network.model.named_parameters()}
    settle(model.train(), IMAGES, LABELS)
    assert not model.training
    assert all(torch.equal(value, before[name]) for name, value in model.network.model.named_parameters())
