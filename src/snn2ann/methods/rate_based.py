"""Rate-based backpropagation (Yu et al. 2024): spikes forward over T without a graph, one backward pass over mean rates.

"Advancing Training Efficiency of Deep Spiking Neural Networks through Rate-based Backpropagation", NeurIPS 2024. The forward
pass is that of `stbp`, on the same neurons; the backward pass runs a network of rates r = mean of s_t, whose derivative by
the mean current is the mean over time of the surrogate's times the membrane's sensitivity to a constant current, e_t. With
a leak λ and a reset to zero e_{t+1} = 1 + λ e_t (1 - s_t - m_t σ'(m_t - V)); these neurons have no leak, so that λ = 1,
and with a detached reset the last term is left out: e_t counts the steps since the neuron last fired.
"""

from dataclasses import dataclass
from typing import Any

import torch
from spikingjelly.activation_based import functional as spikingjelly
from torch import Tensor, nn

from snn2ann.method.layers import ConvolutionShortcut, SpikingLayer, normalise
from snn2ann.method.signals import Observer
from snn2ann.methods.model import Loss, Step
from snn2ann.methods.multi_step import drop
from snn2ann.methods.stbp import SpikeBasedBackpropagation

Statistics = tuple[Tensor, Tensor]


class RateBasedBackpropagation(SpikeBasedBackpropagation):
    """`SpikeBasedBackpropagation` with one backward pass, whatever T; options as there.

    Time and memory of the backward pass do not grow with T. BatchNorm's statistics are those of all steps, as in `stbp`,
    and their derivative is that of the mean current's; max pooling hands the gradient to the largest mean current.
    """

    def training_step(self, images: Tensor, labels: Tensor, loss: Loss, observer: Observer | None = None) -> Step:
        """Run all steps and the rates behind them; the loss is that of the mean logits over time."""
        spikingjelly.reset_net(self)
        logits = self.network(_RateView(self.neurons, self.time_steps), images)
        return Step(loss(logits, labels), logits)


@dataclass(frozen=True)
class _Rates:
    """The spikes of all steps [T, B, C, H, W] and their mean over time [B, C, H, W], which has the gradient."""

    rate: Tensor
    spikes: Tensor | None = None

    @property
    def merged(self) -> Tensor:
        """What a convolution takes: all spikes, or the image once, its current being every step's."""
        return self.rate if self.spikes is None else self.spikes.flatten(0, 1)


class _RateView:
    """A layer's neurons over all steps, then its rates; the spikes are freed when the next layer has them."""

    def __init__(self, neurons: nn.ModuleList, time_steps: int) -> None:
        self.neurons = iter(neurons)
        self.time_steps = time_steps

    def encode(self, images: Tensor) -> _Rates:
        return _Rates(images)

    def layer(self, layer: SpikingLayer, incoming: _Rates, skipped: _Rates | None = None) -> _Rates:
        current, main, side = self._currents(layer, incoming, skipped)
        spikes, slope = _fire(next(self.neurons), layer, current)
        mean = _renormalise(layer.norm, layer.convolution(incoming.rate), main)
        if isinstance(layer.shortcut, ConvolutionShortcut):
            assert skipped is not None
            mean = mean + _renormalise(layer.shortcut.norm, layer.shortcut.convolution(skipped.rate), side)
        elif layer.shortcut is not None:
            assert skipped is not None
            mean = mean + skipped.rate
        return _Rates(_Rate.apply(layer.reduce(mean), spikes.mean(0, dtype=torch.float32), slope), spikes)

    @torch.no_grad()
    def _currents(
        self, layer: SpikingLayer, incoming: _Rates, skipped: _Rates | None
    ) -> tuple[Tensor, Statistics | None, Statistics | None]:
        """Give the currents of all steps [T, B, C, H, W], and the statistics of the BatchNorms."""
        current, main = normalise(layer.norm, layer.convolution(incoming.merged))
        side = None
        if isinstance(layer.shortcut, ConvolutionShortcut):
            assert skipped is not None
            addend, side = normalise(layer.shortcut.norm, layer.shortcut.convolution(skipped.merged))
            current = current + addend
        elif layer.shortcut is not None:
            assert skipped is not None
            current = current + skipped.merged
        current = layer.reduce(current)
        if incoming.spikes is None:
            return current.expand(self.time_steps, *current.shape), main, side
        return current.unflatten(0, (self.time_steps, -1)), main, side

    def readout(self, classifier: nn.Linear, signal: _Rates) -> Tensor:
        return classifier(signal.rate.flatten(1))


class _Rate(torch.autograd.Function):
    """Forward gives the rate; backward gives the gradient times `slope` to the mean current."""

    @staticmethod
    def forward(ctx: Any, current: Tensor, rate: Tensor, slope: Tensor) -> Tensor:
        ctx.save_for_backward(slope)
        return rate.detach()

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        (slope,) = ctx.saved_tensors
        return gradients[0] * slope, None, None


@torch.no_grad()
def _fire(neurons: Any, layer: SpikingLayer, current: Tensor) -> tuple[Tensor, Tensor]:
    """Run a layer's neurons, currents dropped before.

    Returns:
        Their spikes [T, B, C, H, W]; the rate's derivative by a constant current, with dropout's factor, [B, C, H, W].
    """
    kept = drop(layer, torch.ones_like(current[:1]))
    spikes = torch.empty_like(current, memory_format=torch.contiguous_format)
    membrane = slope = torch.zeros_like(current[0])
    sensitivity = torch.ones_like(current[0])
    for step, each in enumerate(current * kept):
        charged = membrane + each
        spikes[step] = neurons(each[None])[0]
        membrane = neurons.v
        surrogate = _derivative(neurons.surrogate_function, charged - neurons.v_threshold)
        slope = slope + surrogate * sensitivity
        left = 1 - spikes[step] if neurons.detach_reset else 1 - spikes[step] - charged * surrogate
        sensitivity = 1 + sensitivity * left
    return spikes, slope * kept[0] / len(current)


def _derivative(surrogate: nn.Module, value: Tensor) -> Tensor:
    with torch.enable_grad():
        value = value.detach().requires_grad_()
        return torch.autograd.grad(surrogate(value).sum(), value)[0]


def _renormalise(norm: nn.BatchNorm2d, value: Tensor, statistics: Statistics | None) -> Tensor:
    """Normalise mean currents by the statistics of all steps (μ, 1/√(v+ε)), with the derivatives of their own."""
    if statistics is None:
        return norm(value)
    value = value.float()
    mean, inverse = statistics
    variance, own = torch.var_mean(value, (0, 2, 3), correction=0)
    mean = mean + own - own.detach()
    scale = norm.weight * (inverse**-2 + variance - variance.detach()).rsqrt()
    return (value - mean.view(-1, 1, 1)) * scale.view(-1, 1, 1) + norm.bias.view(-1, 1, 1)
