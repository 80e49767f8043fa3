"""The price of spikes: whose mean it is, and what it does to a network that is trained under it."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from snn2ann.engine.signals import Observation
from tests.stages import classifier_of, layers_of, norm_of, of_layers

LABELS = torch.tensor([0, 1, 2, 3, 4, 0])


@pytest.mark.parametrize("kind", ["vgg", "resnet"])
def test_it_is_a_mean_over_all_neurons_and_images(kind: str, build: Any, images: Tensor) -> None:
    penalty, threshold = 3.0, 0.5
    model = build(kind, 5, "refined", spike_penalty=penalty, threshold_start=threshold, ata=False)
    layers = layers_of(model)
    seen: list[Observation] = []
    model.train().training_step(
        images, LABELS, lambda logits, labels: 0 * logits.sum(), of_layers(seen.append)
    ).loss.backward()
    # Nothing but the price reaches the last layer's BatchNorm, and its bias adds to each of a channel's neurons.
    value = seen[-1].pre_activation
    assert value is not None
    sensitive = ((value > 0) & (value < 5.5 * threshold)).sum((0, 2, 3))
    neurons = sum(layer.fire.neurons.threshold.numel() for layer in layers)
    expected = penalty * sensitive / threshold / (neurons * len(images))
    assert expected.count_nonzero() > 3
    torch.testing.assert_close(norm_of(layers[-1]).bias.grad, expected)


@pytest.mark.parametrize(("end", "progress", "share"), [(1.0, 0.5, 1.0), (0.0, 0.25, 0.75), (0.5, 1.0, 0.5)])
def test_it_falls_evenly_with_progress(end: float, progress: float, share: float, build: Any, images: Tensor) -> None:
    gradients = []
    for options, done in (
        ({"spike_penalty": 2.0 * share}, 0.0),
        ({"spike_penalty": 2.0, "spike_penalty_end": end}, progress),
    ):
        torch.manual_seed(0)
        model = build("vgg", 5, "refined", **{"spike_penalty_end": 1.0, **options}).train()
        model.progress = done
        model.training_step(images, LABELS, cross_entropy).loss.backward()
        gradients.append(classifier_of(model).weight.grad.clone())  # type: ignore[union-attr]
        gradients.append(layers_of(model)[0].main.convolution.weight.grad.clone())  # type: ignore[union-attr]
    torch.testing.assert_close(gradients[2:], gradients[:2])


def test_a_network_trained_under_it_spikes_less(build: Any, images: Tensor) -> None:
    spikes = {}
    for penalty in (0.0, 1.0):
        model = build("vgg", 5, "refined", spike_penalty=penalty, threshold_start=0.5).train()
        optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(20):
            seen: list[Observation] = []
            optimiser.zero_grad()
            model.training_step(images, LABELS, cross_entropy, of_layers(seen.append)).loss.backward()
            optimiser.step()
        spikes[penalty] = sum(float(layer.outgoing.count.sum()) for layer in seen)
    assert 0 < spikes[1.0] < 0.8 * spikes[0.0]
