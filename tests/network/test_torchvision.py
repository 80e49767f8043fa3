"""Torchvision's networks are coupled as they are."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torchvision import models
from torchvision.models import densenet, resnet, vgg

import snn2ann

FAMILIES = {
    "vgg": lambda: vgg.VGG(vgg.make_layers([8, "M", 16, "M", 16, 16, "M"]), num_classes=5, dropout=0.2),
    "vgg_bn": lambda: vgg.VGG(vgg.make_layers([8, "M", 16, "M", 16, 16, "M"], batch_norm=True), num_classes=5),
    "resnet_basic": lambda: resnet.ResNet(resnet.BasicBlock, [1, 1, 1, 1], num_classes=5, width_per_group=64),
    "resnext_bottleneck": lambda: resnet.ResNet(
        resnet.Bottleneck, [1, 1, 1, 1], num_classes=5, groups=8, width_per_group=4
    ),
    "densenet": lambda: densenet.DenseNet(8, (2, 2, 2, 2), 16, num_classes=5),
}
RESNETS = ("resnet_basic", "resnext_bottleneck")
# By the size of torchvision's own; tracing needs no weights.
WHOLE = {
    "vgg11": 10,
    "vgg11_bn": 10,
    "vgg16": 15,
    "resnet18": 17,
    "resnet50": 49,
    "wide_resnet50_2": 49,
    "densenet121": 121,
}


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
    assert coupled.options.threshold_start == (0.75 if family in RESNETS else "uniform")
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


@pytest.mark.parametrize("name", WHOLE)
def test_whole_networks_are_understood(name: str) -> None:
    with torch.device("meta"):
        model = getattr(models, name)()
    assert len(snn2ann.couple(model, time_steps=5).neurons) == WHOLE[name]


OTHERS = {
    "alexnet": (models.alexnet, 63, {}),
    "googlenet": (models.googlenet, 32, {"aux_logits": False, "init_weights": False}),
    "inception_v3": (models.inception_v3, 75, {"aux_logits": False, "init_weights": False}),
    "mnasnet0_5": (models.mnasnet0_5, 32, {}),
    "regnet_x_400mf": (models.regnet_x_400mf, 64, {}),
    "squeezenet1_1": (models.squeezenet1_1, 32, {}),
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_whole_network_takes_a_step_and_is_deployed_as_it_is(name: str) -> None:
    build, size, options = OTHERS[name]
    torch.manual_seed(0)
    coupled = snn2ann.couple(build(num_classes=4, **options), time_steps=2)
    images = torch.randn(2, 3, size, size)
    (cross_entropy(coupled.train()(images), torch.tensor([0, 3])) + coupled.price).backward()
    assert all(value.grad is not None and value.grad.isfinite().all() for value in coupled.parameters())
    torch.optim.SGD(coupled.parameters(), 0.01).step()
    assert torch.equal(coupled.eval()(images), coupled.spiking()(images))
    assert sum(layer.spikes_per_image for layer in coupled.layers()) > 0
