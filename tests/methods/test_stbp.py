"""Spike-based backpropagation equals a network put together of SpikingJelly's own layers."""

from typing import Any

import pytest
import torch
from spikingjelly.activation_based import functional as spikingjelly
from spikingjelly.activation_based import layer, neuron, surrogate
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from snn2ann.errors import UserError
from snn2ann.methods import METHODS
from snn2ann.methods.build import build_model
from snn2ann.methods.stbp import SpikeBasedBackpropagation
from tests.stages import classifier_of, layers_of, norm_of

VGG = {"kind": "vgg", "blocks": [[6, 6], [8]], "pooled_blocks": [1], "dropout": [0, 0]}
DATASET = {"shape": (2, 8, 8), "classes": 5}


def build(**options: Any) -> SpikeBasedBackpropagation:
    torch.manual_seed(0)
    method = {"name": "stbp", "time_steps": 4, "options": METHODS["stbp"].defaults | options}
    model = build_model({"dataset": DATASET, "network": VGG, "method": method})
    assert isinstance(model, SpikeBasedBackpropagation)
    return model


def twin_of(
    model: SpikeBasedBackpropagation, threshold: float = 1.0, tau: float | None = None, reset: str | None = None
) -> nn.Sequential:
    parts: list[nn.Module] = []
    for number, ours in enumerate(layers_of(model)):
        convolution = layer.Conv2d(
            ours.main.convolution.in_channels, ours.main.convolution.out_channels, 3, padding=1, step_mode="m"
        )
        norm = layer.ThresholdDependentBatchNorm2d(1.0, threshold, ours.main.convolution.out_channels)
        # Its own start, which a state is loaded over.
        starts = norm.weight.detach().clone()
        convolution.load_state_dict(ours.main.convolution.state_dict())
        norm.load_state_dict(norm_of(ours).state_dict())
        if model.through_time.normalisation == "tdbn":
            assert torch.equal(norm.weight, starts)
        parts += [convolution, norm]
        parts += [layer.MaxPool2d(2, step_mode="m")] if number == 1 else []
        common: dict[str, Any] = {"surrogate_function": surrogate.ATan(alpha=2.0), "v_threshold": threshold}
        common |= {"detach_reset": True, "v_reset": None if reset else 0.0, "step_mode": "m"}
        parts.append(neuron.LIFNode(tau, decay_input=False, **common) if tau else neuron.IFNode(**common))
    head = layer.Linear(8 * 16, 5, step_mode="m")
    head.load_state_dict(classifier_of(model).state_dict())
    return nn.Sequential(*parts, layer.Flatten(step_mode="m"), head)


def test_forward_and_gradients_equal_spikingjellys_layers() -> None:
    model = build()
    twin = twin_of(model)
    images = torch.randn(3, 2, 8, 8, generator=torch.Generator().manual_seed(1))
    labels = torch.tensor([0, 1, 2])
    step = model.training_step(images, labels, cross_entropy)
    spikingjelly.reset_net(twin)
    logits = twin(images.expand(4, -1, -1, -1, -1)).mean(0)
    torch.testing.assert_close(step.logits, logits)
    step.loss.backward()
    cross_entropy(logits, labels).backward()
    ours = [value.grad for value in model.network.parameters()]
    theirs = [value.grad for value in twin.parameters()]
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    "options",
    [
        {"tau": 2.0},
        {"reset": "subtract"},
        {"tau": 2.0, "reset": "subtract", "threshold": 0.7},
        {"loss": "tet"},
        {"loss": "tet", "tet_weight": 0.05},
        {"normalisation": "tdbn", "threshold": 0.5},
        {"normalisation": "tdbn", "loss": "tet", "tau": 4.0, "spike_penalty": 0.0},
    ],
)
def test_what_may_be_asked_for_besides_equals_spikingjellys_layers(options: dict[str, Any]) -> None:
    model = build(**options)
    twin = twin_of(model, options.get("threshold", 1.0), options.get("tau"), options.get("reset"))
    images = torch.randn(3, 2, 8, 8, generator=torch.Generator().manual_seed(1))
    labels = torch.tensor([0, 1, 2])
    step = model.training_step(images, labels, cross_entropy)
    every = twin(images.expand(4, -1, -1, -1, -1))
    if options.get("loss") == "tet":
        # As its authors' `TET_loss` has it, with their means = 1.
        share = options.get("tet_weight", 0.001)
        losses = sum(cross_entropy(every[step], labels) for step in range(4)) / 4
        loss = (1 - share) * losses + share * nn.MSELoss()(every, torch.ones_like(every))
    else:
        loss = cross_entropy(every.mean(0), labels)
    torch.testing.assert_close(step.loss, loss)
    torch.testing.assert_close(step.logits, every.mean(0))
    step.loss.backward()
    loss.backward()
    for ours, theirs in zip(model.network.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-5, rtol=1e-4)
    usual = build(threshold=options.get("threshold", 1.0))
    torch.manual_seed(0)
    plain = usual.training_step(images, labels, cross_entropy)
    assert not torch.isclose(plain.loss, step.loss)
    assert model.spiking_forward(images, 3).shape == (3, 3, 5)


def test_before_an_addition_scales_start_lower() -> None:
    network = {"kind": "resnet", "channels": [4, 4, 6], "strides": [1, 1, 2], "blocks_per_stage": 1, "dropout": 0}
    options = METHODS["stbp"].defaults | {"normalisation": "tdbn", "threshold": 0.8}
    spec = {"dataset": DATASET, "network": network, "method": {"name": "stbp", "time_steps": 4, "options": options}}
    starts = {
        (stage.skips, round(weigh.norm.weight.mean().item(), 6))  # type: ignore[union-attr]
        for stage in layers_of(build_model(spec))
        for weigh in (stage.main, stage.side)
        if weigh is not None
    }
    assert starts == {(False, 0.8), (True, round(0.8 / 2**0.5, 6))}


def test_a_weight_of_another_loss_is_refused() -> None:
    with pytest.raises(UserError, match=r"tet_weight: 0\.1 is not allowed; expected nothing, for it is a part of"):
        build(tet_weight=0.1)


def test_the_price_of_spikes_is_that_of_spikingjellys_neurons() -> None:
    model = build(spike_penalty=2.0)
    twin = twin_of(model)
    images = torch.randn(3, 2, 8, 8, generator=torch.Generator().manual_seed(1))
    labels = torch.tensor([0, 1, 2])
    spikes: list[Tensor] = []
    for module in twin.modules():
        if isinstance(module, neuron.IFNode):
            module.register_forward_hook(lambda _, __, output: spikes.append(output))
    loss = cross_entropy(twin(images.expand(4, -1, -1, -1, -1)).mean(0), labels)
    neurons = sum(output[0, 0].numel() for output in spikes)
    loss = loss + 2.0 * sum(output.sum() for output in spikes) / (3 * neurons)
    step = model.training_step(images, labels, cross_entropy)
    torch.testing.assert_close(step.loss, loss)
    step.loss.backward()
    loss.backward()
    for ours, theirs in zip(model.network.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-5, rtol=1e-4)


def test_logits_after_each_step_are_means_over_the_steps_so_far() -> None:
    model = build().eval()
    images = torch.randn(3, 2, 8, 8)
    logits = model.spiking_forward(images, 6)
    assert logits.shape == (6, 3, 5)
    torch.testing.assert_close(model.spiking_forward(images, 2), logits[:2])


def test_an_unknown_surrogate_is_named() -> None:
    with pytest.raises(UserError, match=r'option surrogate: "step".*"atan", "sigmoid", "triangle"'):
        build(surrogate="step")
