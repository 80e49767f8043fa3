"""Torchvision's networks are coupled as they are."""

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torchvision.models import densenet, inception, resnet, vgg

import snn2ann
from benchmarks import reach
from snn2ann.report.blocks import shown

FAMILIES: dict[str, Callable[[], nn.Module]] = {
    "vgg": lambda: vgg.VGG(vgg.make_layers([8, "M", 16, "M", 16, 16, "M"]), num_classes=5, dropout=0.2),
    "vgg_bn": lambda: vgg.VGG(vgg.make_layers([8, "M", 16, "M", 16, 16, "M"], batch_norm=True), num_classes=5),
    "resnet_basic": lambda: resnet.ResNet(resnet.BasicBlock, [1, 1, 1, 1], num_classes=5, width_per_group=64),
    "resnext_bottleneck": lambda: resnet.ResNet(
        resnet.Bottleneck, [1, 1, 1, 1], num_classes=5, groups=8, width_per_group=4
    ),
    "wide_bottleneck": lambda: resnet.ResNet(resnet.Bottleneck, [1, 1, 1, 1], num_classes=5, width_per_group=128),
    "inception": lambda: nn.Sequential(
        inception.BasicConv2d(3, 8, kernel_size=3, stride=2),
        inception.InceptionA(8, 8),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(232, 5),
    ),
    "densenet": lambda: densenet.DenseNet(8, (2, 2, 2, 2), 16, num_classes=5),
}
NORMALISED = ("resnet_basic", "resnext_bottleneck", "wide_bottleneck", "inception")


@pytest.fixture
def images() -> Tensor:
    return torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def narrowed(model: nn.Module) -> nn.Module:
    """A VGG's classifier has 100 million weights, which no test needs."""
    if isinstance(model, vgg.VGG):
        model.avgpool = nn.AdaptiveAvgPool2d(2)
        model.classifier[0] = nn.Linear(16 * 4, 32)
        model.classifier[3] = nn.Linear(32, 24)
        model.classifier[6] = nn.Linear(24, 5)
    return model


@pytest.mark.parametrize("family", FAMILIES)
def test_a_training_step_reaches_every_weight_and_the_snn_is_the_branch(family: str, images: Tensor) -> None:
    torch.manual_seed(0)
    model = narrowed(FAMILIES[family]())
    coupled = snn2ann.couple(model, time_steps=5)
    assert coupled.options.threshold_start == (0.75 if family in NORMALISED else "uniform")
    optimiser = torch.optim.SGD(coupled.parameters(), 0.01)
    before = {name: value.clone() for name, value in model.named_parameters()}
    for _ in range(2):
        optimiser.zero_grad()
        logits = coupled(images)
        assert logits.shape == (3, 5)
        cross_entropy(logits, torch.tensor([0, 1, 2])).backward()
        optimiser.step()
    for name, value in model.named_parameters():
        assert value.grad is not None and bool(torch.isfinite(value.grad).all()) and bool(value.grad.any()), name
        assert not torch.equal(value, before[name]), name
    coupled.eval()
    expected = coupled(images)
    assert expected.unique().numel() > 3
    torch.testing.assert_close(coupled.spiking()(images), expected)


MEASURED = {row["family"]: row for row in pd.read_csv(reach.RESULTS).to_dict("records")}
# Those of 50 layers and more are too slow for a test; narrow ones of their kinds are above.
QUICK = set(reach.FAMILIES) - {"ResNeXt", "Wide ResNet", "DenseNet", "Inception v3"}


def test_the_table_has_every_family_and_the_page_is_the_file() -> None:
    assert list(MEASURED) == list(reach.FAMILIES)
    assert shown(reach.PAGE.read_text())["reach"] == reach.table(reach.RESULTS), "run `python -m benchmarks.reach`"
    assert {row["difference"] for row in MEASURED.values() if pd.isna(row["refused"])} == {0}


@pytest.mark.parametrize("family", reach.FAMILIES)
def test_a_family_is_coupled_or_refused_as_the_table_says(family: str) -> None:
    said = MEASURED[family]
    found: dict[str, Any] = {"refused": reach.refusal(reach.FAMILIES[family])}
    if family in QUICK:
        found = reach.row(family)
    assert found.get("refused", "") == ("" if pd.isna(said["refused"]) else said["refused"])
    if family in QUICK and not found.get("refused"):
        assert (found["layers"], found["untrained"], found["difference"]) == (said["layers"], 0, 0)
        assert found["spikes"] > 0
