"""ANN-to-SNN conversion: a trained ANN's weights, thresholds balanced by a percentile of its activations."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from snn2ann.method.layers import ConvolutionShortcut, IdentityShortcut, SpikingLayer, fold
from snn2ann.methods.coupled import CoupledModel
from snn2ann.options import CouplingOptions


class Conversion(CoupledModel):
    """A trained ANN run as a spiking network.

    A layer's threshold is the given percentile λ of its activations over training images (Rueckauer et al. 2017, section
    2.2.1); a spike stands for λ, so the next layer's weights are multiplied by it. Reset by subtraction and a membrane that
    starts half full make the mean error of a rate zero (Deng & Gu 2021; Bu et al. 2022). BatchNorm is fused before.

    Args:
        network: with the trained ANN's weights loaded before `convert`, or a converted one's.
        time_steps: 1: biases act in full at every step.
        options: percentile (0 to 100), images (how many training images to look at), reset, membrane_start.
    """

    trains = False

    def __init__(self, network: nn.Module, time_steps: int, options: dict[str, Any]) -> None:
        super().__init__(network, time_steps, options)
        self.percentile = float(options["percentile"])
        self.images = int(options["images"])
        self.options = CouplingOptions(
            reset=options["reset"],
            membrane_start=options["membrane_start"],
            membrane_dropout=0.0,
            shortcut="spikes",
            noisy_spikes="before_dropout",
            ata=False,
            mapping_unit="stsu",
        )

    @torch.no_grad()
    def convert(self, batches: Iterable[Tensor]) -> None:
        """Measure the activations of the loaded ANN, then rescale weights and set thresholds."""
        self.eval()
        scales = self._activation_percentiles(batches)
        self.network(_Rescaling(scales), torch.empty(0))

    def _activation_percentiles(self, batches: Iterable[Tensor]) -> dict[SpikingLayer, float]:
        seen = 0
        values: dict[SpikingLayer, list[float]] = {}

        def observe(layer: SpikingLayer, activation: Tensor) -> None:
            # The percentile of each batch, then their mean: one pass, memory flat in the number of images.
            rank = max(1, round(activation.numel() * self.percentile / 100))
            values.setdefault(layer, []).append(float(activation.flatten().kthvalue(rank).values))

        for images in batches:
            self.ann_forward(images, observe)
            seen += len(images)
            if seen >= self.images:
                break
        return {layer: max(sum(found) / len(found), 1e-6) for layer, found in values.items()}


class _Rescaling:
    """A view that runs nothing: it fuses each layer's BatchNorm and multiplies its weights by its input's scale.

    A signal is the value that one spike (or one unit of the image) stands for.
    """

    def __init__(self, scales: dict[SpikingLayer, float]) -> None:
        self.scales = scales

    def encode(self, images: Tensor) -> float:
        return 1.0

    def layer(self, layer: SpikingLayer, incoming: float, skipped: float = 1.0) -> float:
        _absorb(layer.convolution, layer.norm, incoming)
        if isinstance(layer.shortcut, ConvolutionShortcut):
            _absorb(layer.shortcut.convolution, layer.shortcut.norm, skipped)
        elif isinstance(layer.shortcut, IdentityShortcut):
            layer.shortcut.scale.fill_(skipped)
        layer.threshold.fill_(self.scales[layer])
        return self.scales[layer]

    def readout(self, classifier: nn.Linear, signal: float) -> None:
        classifier.weight.mul_(signal)


def _absorb(convolution: nn.Conv2d, norm: nn.BatchNorm2d, scale: float) -> None:
    """Put BatchNorm and scale into the convolution, and make the BatchNorm the identity."""
    weight, bias = fold(convolution, norm, time_steps=1)
    assert convolution.bias is not None and norm.running_mean is not None and norm.running_var is not None
    convolution.weight.copy_(weight * scale)
    convolution.bias.copy_(bias)
    norm.reset_parameters()
    norm.running_var.fill_(1 - norm.eps)
