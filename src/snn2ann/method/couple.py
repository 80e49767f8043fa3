"""The library's one entry: couples a network of one's own."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import nn

from snn2ann.engine.network import floats_of
from snn2ann.errors import UserError
from snn2ann.method.calibration import Batches, images_of
from snn2ann.method.coupled_network import CoupledNetwork
from snn2ann.options import VARIANTS


def couple(
    model: nn.Module,
    time_steps: int,
    *,
    variant: str = "refined",
    image_shape: Sequence[int] | None = None,
    calibrate: Batches | None = None,
    **options: Any,
) -> CoupledNetwork:
    """Couple a network with a spiking one that shares its weights, to train it by SNN2ANN.

    Each call of a ReLU becomes a layer of integrate-and-fire neurons. The network itself is not changed: it is trained
    through what is returned. The method is that of Tang et al. 2022 (arXiv 2206.09449), as released or refined here.

    Args:
        model: made of what `docs/library.md` lists; takes images and gives logits [B, classes].
        time_steps: T.
        variant: "released" or "refined", where the options start.
        image_shape: (C, H, W); thresholds are then made at once, else with the first images.
        calibrate: what a trained network starts from: images [N, C, H, W], or batches of images, or of (images, labels),
            whose labels are not looked at. Thresholds, and what a spike is worth, are then chosen layer by layer so that
            counts stand for the network's activations (see `CoupledNetwork.calibrate`); a few hundred images are enough,
            and more than the first 256 are not looked at.
        **options: those of `CouplingOptions` that differ from the variant's.

    Returns:
        The coupled network, in the network's mode of training or evaluation. Its `options` are the variant's with these
        changes; where weights with a BatchNorm are not before all neurons, `threshold_start` is "uniform" unless it is
        given.

    Raises:
        UserError: the network cannot be coupled, and all reasons are named by module; or an argument is not allowed; or
            images to calibrate on are missing, of another size, or not finite.
    """
    if not isinstance(model, nn.Module):
        raise UserError(f"model: {model!r} is not allowed; expected a torch.nn.Module")
    if not isinstance(time_steps, int) or isinstance(time_steps, bool) or time_steps < 1:
        raise UserError(f"time_steps: {time_steps!r} is not allowed; expected a whole number from 1")
    if variant not in VARIANTS:
        raise UserError(f"variant: {variant!r} is unknown; the variants are {', '.join(VARIANTS)}")
    chosen = VARIANTS[variant].with_options(options)
    coupled = CoupledNetwork(model, time_steps, chosen)
    if "threshold_start" not in options and not coupled.plan.normalised:
        # Activations may lie far below a constant threshold, and no neuron would fire.
        coupled.options = replace(chosen, threshold_start="uniform")
    images = None if calibrate is None else images_of(calibrate, floats_of(model))
    if image_shape is not None:
        coupled.make_thresholds(floats_of(model).new_zeros((1, *image_shape)))
    if images is not None:
        coupled.calibrate(images)
    return coupled
