"""ANN-to-SNN conversion: a trained ANN's weights, and thresholds that its activations on training images give."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from snn2ann.engine.network import Network, floats_of
from snn2ann.method.calibration import calibrate, images_of
from snn2ann.methods.coupled import CoupledModel
from snn2ann.options import CouplingOptions
from snn2ann.parameters.methods import ConversionOptions


class Conversion(CoupledModel):
    """A trained ANN run as a spiking network.

    A layer's threshold is the given percentile λ of its activations over training images (Rueckauer et al. 2017, section
    2.2.1), and a spike is worth λ: it is as if the next layer's weights were multiplied by it, and the ANN's stay as they
    are. Or thresholds, and worths, are those of each channel with which counts of some T come nearest to activations
    (`method.calibration`), of the first 256 images at most.

    Reset by subtraction and a membrane that starts half full make the mean error of a rate zero (Deng & Gu 2021; Bu et al.
    2022).

    Args:
        network: with the trained ANN's weights loaded before `convert`, or a converted one's.
        time_steps: 1: biases act in full at every step.
        options: those of `ConversionOptions`.
    """

    trains = False

    def __init__(self, network: Network, time_steps: int, options: Mapping[str, Any]) -> None:
        super().__init__(network, time_steps, options)
        given = ConversionOptions.of(options)
        self.percentile = float(given.percentile)
        self.images, self.thresholds_for = given.images, given.thresholds_for
        self.options = CouplingOptions(
            reset=given.reset,
            membrane_start=given.membrane_start,
            membrane_dropout=0.0,
            shortcut="spikes",
            noisy_spikes="before_dropout",
            ata=False,
            mapping_unit="stsu",
            pooling="charge" if self.thresholds_for else "step",
        )
        for layer in self.network.by_label().values():
            channels = [layer.threshold.shape[1], *[1] * (layer.threshold.dim() - 2)]
            layer.worth = layer.threshold.new_ones((1, *channels) if self.thresholds_for else ())

    @torch.no_grad()
    def convert(self, batches: Iterable[Tensor]) -> None:
        """Measure the activations of the loaded ANN, and set thresholds and what a spike is worth."""
        self.eval()
        if self.thresholds_for:
            images = images_of(batches, floats_of(self.network.model))[: self.images]
            calibrate(self.network, self._spiking(self.thresholds_for), images)
            return
        for label, scale in self._activation_percentiles(batches).items():
            layer = self.network.by_label()[label]
            assert layer.worth is not None
            layer.threshold.fill_(scale)
            layer.worth.fill_(scale)

    def _activation_percentiles(self, batches: Iterable[Tensor]) -> dict[str, float]:
        seen = 0
        values: dict[str, list[float]] = {}

        def observe(label: str, activation: Tensor) -> None:
            # The percentile of each batch, then their mean: one pass, memory flat in the number of images.
            rank = max(1, round(activation.numel() * self.percentile / 100))
            values.setdefault(label, []).append(float(activation.flatten().kthvalue(rank).values))

        for images in batches:
            self.ann_forward(images, observe)
            seen += len(images)
            if seen >= self.images:
                break
        return {label: max(sum(found) / len(found), 1e-6) for label, found in values.items()}
