"""Thresholds from data: channel by channel those with which counts come nearest to a trained ANN's activations.

Rueckauer et al. (2017) take a percentile of activations. Here it is the threshold of the least squared error, which weighs
clipping against rounding, over the very spikes that the layers before give: so later layers allow for what earlier ones get
wrong, as in Li et al. (2021), "A free lunch from ANN".
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from snn2ann.engine.finite import check_finite
from snn2ann.engine.firing import NeuronSettings
from snn2ann.engine.interpreter import AnnInterpreter, Interpreter
from snn2ann.engine.network import Network
from snn2ann.engine.neuron import integrate_and_fire
from snn2ann.engine.signals import Spikes
from snn2ann.engine.stages import Apply, Drop, Fire, Pool, Weigh
from snn2ann.errors import UserError
from snn2ann.method.spiking import SpikingInterpreter
from snn2ann.network.unchanged import unchanged

Batches = Tensor | Iterable[Tensor | tuple[Any, ...] | list[Any]]

IMAGES = 256
"""How many images are looked at, all at once."""
_TRIED = 32
_LOWEST = 0.05


def batches_of(batches: Batches, like: Tensor, purpose: str) -> Iterator[Tensor]:
    """Give batches of images [B, C, H, W], of the type and on the device of `like`.

    Args:
        batches: images [N, C, H, W]; or batches of them, each alone or first of a pair with its labels.
        like: a tensor of the network.
        purpose: a message's first word.

    Raises:
        UserError: there are none, they are no images, of different sizes, or not finite.
    """
    if not isinstance(batches, Iterable):
        raise UserError(f"{purpose}: {type(batches).__name__} is not allowed; expected images or batches of images")
    size: list[int] = []
    for batch in [batches] if isinstance(batches, Tensor) else batches:
        images = batch[0] if isinstance(batch, tuple | list) and batch else batch
        if not isinstance(images, Tensor) or not images.is_floating_point() or images.dim() < 2:
            kind = f"{images.dtype} {list(images.shape)}" if isinstance(images, Tensor) else type(images).__name__
            raise UserError(f"{purpose}: a batch is {kind}; expected floating-point images [B, C, H, W]")
        if not len(images):
            continue
        # Frames are as many in every batch, and images a batch need not be.
        found = [*images.shape[:1], *images.shape[2:]] if images.dim() == 5 else list(images.shape[1:])
        if size and size != found:
            raise UserError(f"{purpose}: images of {size} and of {found}; expected one size")
        size = found
        check_finite({"the images": images}, purpose)
        yield images.detach().to(like)
    if not size:
        raise UserError(f"{purpose}: there are no images; an iterator that is used up gives none")


def images_of(batches: Batches, like: Tensor) -> Tensor:
    """Gather the first images of batches, up to `IMAGES`: [N, C, H, W]; see `batches_of`."""
    found: list[Tensor] = []
    for images in batches_of(batches, like, "calibrate"):
        found.append(images[: IMAGES - sum(map(len, found))])
        if sum(map(len, found)) >= IMAGES:
            break
    return torch.cat(found)


@torch.no_grad()
def calibrate(network: Network, spiking: SpikingInterpreter, images: Tensor) -> None:
    """Set every channel's threshold, and what a spike of it is worth; the ANN, its statistics and modes stay as they are.

    Args:
        network: trained as an ANN; its neurons have thresholds.
        spiking: runs it with biases whole at every step, not in training mode.
        images: [N, C, H, W]; memory is that of a layer's currents, of all images at every step.
    """
    with unchanged(network.model):
        network.model.eval()
        network.run_by(_Calibration(spiking), images)


def nearest(current: Tensor, activation: Tensor, settings: NeuronSettings) -> tuple[Tensor, Tensor]:
    """Give, channel by channel, the threshold V, and what a spike is worth, w, with which w · count / T is nearest to a.

    V is that of the least squared error of those tried, from the channel's largest activation down to a twentieth of it in
    equal ratios; w of each makes the means equal, so that what a reset or the start of the membrane cuts off is made up for.

    Args:
        current: I_t, [T, N, C, ...], or [1, N, C, ...] where it is the same at every step.
        activation: a, [N, C, ...], not negative.
        settings: how the neurons are run.

    Returns:
        V and w, [1, C, ...] of one number a channel; 1 and 1 where no activation is above zero.
    """
    others = [dim for dim in range(activation.dim()) if dim != 1]
    mean, highest = activation.mean(others, keepdim=True), activation.amax(others, keepdim=True)
    current = current.to(activation.dtype).expand(settings.time_steps, *current.shape[1:])
    threshold, worth = torch.ones_like(highest), torch.ones_like(highest)
    least = torch.full_like(highest, float("inf"))
    for place in range(_TRIED):
        tried = highest * _LOWEST ** (place / (_TRIED - 1))
        rates = integrate_and_fire(current, tried, reset=settings.reset, membrane_start=settings.membrane_start).mean(0)
        fired = rates.mean(others, keepdim=True)
        gain = mean / fired
        error = rates.mul_(gain).sub_(activation).square_().mean(others, keepdim=True)
        better = (fired > 0) & (highest > 0) & (error < least)
        threshold, worth = torch.where(better, tried, threshold), torch.where(better, gain, worth)
        least = torch.where(better, error, least)
    return threshold, worth


@dataclass
class _Both:
    """A signal of the ANN, [N, ...], and of the spiking network."""

    activation: Tensor
    spikes: Spikes


class _Calibration(Interpreter[_Both, Tensor]):
    """Runs the ANN, and beside it the spiking network, whose thresholds are set on the way."""

    def __init__(self, spiking: SpikingInterpreter) -> None:
        self.ann, self.spiking = AnnInterpreter(), spiking

    def image(self, images: Tensor) -> _Both:
        return _Both(images, self.spiking.image(images))

    def each(self, function: Callable[..., Tensor], *signals: _Both) -> _Both:
        return _Both(self.ann.each(function, *_activations(signals)), self.spiking.each(function, *_spikes(signals)))

    def weigh(self, stage: Weigh, incoming: _Both) -> _Both:
        return _Both(self.ann.weigh(stage, incoming.activation), self.spiking.weigh(stage, incoming.spikes))

    def apply(self, stage: Apply, *signals: _Both) -> _Both:
        return _Both(self.ann.apply(stage, *_activations(signals)), self.spiking.apply(stage, *_spikes(signals)))

    def pool(self, stage: Pool, incoming: _Both) -> _Both:
        return _Both(self.ann.pool(stage, incoming.activation), self.spiking.pool(stage, incoming.spikes))

    def drop(self, stage: Drop, incoming: _Both) -> _Both:
        return incoming

    def fire(self, stage: Fire, incoming: _Both) -> _Both:
        activation, neurons = self.ann.fire(stage, incoming.activation), stage.neurons
        threshold, worth = nearest(incoming.spikes.amount(), activation, self.spiking.settings)
        neurons.threshold.copy_(threshold.expand_as(neurons.threshold))
        neurons.worth = worth.to(neurons.threshold)
        return _Both(activation, self.spiking.fire(stage, incoming.spikes))

    def rate(self, signal: _Both) -> _Both:
        return _Both(signal.activation, self.spiking.rate(signal.spikes))

    def result(self, signal: _Both) -> Tensor:
        return self.spiking.result(signal.spikes)


def _activations(signals: Iterable[_Both]) -> list[Tensor]:
    return [signal.activation for signal in signals]


def _spikes(signals: Iterable[_Both]) -> list[Spikes]:
    return [signal.spikes for signal in signals]
