"""Rate-based backpropagation (Yu et al. 2024): spikes forward over T without a graph, one backward pass over mean rates.

"Advancing Training Efficiency of Deep Spiking Neural Networks through Rate-based Backpropagation", NeurIPS 2024. The
forward pass is that of `stbp`, on the same neurons; the backward pass runs a network of rates r = mean of s_t, whose
derivative by the mean current is the mean over time of the surrogate's times the membrane's sensitivity to a constant
current, e_t. With a leak λ and a reset to zero e_{t+1} = 1 + λ e_t (1 - s_t - m_t σ'(m_t - V)); where the threshold is
taken off, e_{t+1} = 1 + λ e_t (1 - V σ'(m_t - V)). With a detached reset the last term is left out. By default neurons do
not leak (λ = 1) and are set to zero, so that e_t counts the steps since the neuron last fired; the authors' have λ = 0.55
and take the threshold off.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

import torch
from spikingjelly.activation_based import functional as spikingjelly
from torch import Tensor, nn

from snn2ann.engine import processes
from snn2ann.engine.interpreter import Interpreter
from snn2ann.engine.normalisation import BatchNorm, Statistics, normalise
from snn2ann.engine.signals import Observer
from snn2ann.engine.stages import Drop, Fire, Weigh
from snn2ann.methods.model import Loss, Step
from snn2ann.methods.multi_step import drop
from snn2ann.methods.stbp import SpikeBasedBackpropagation
from snn2ann.network.operations import Shift
from snn2ann.parameters.methods import ResetOptions


class RateBasedBackpropagation(SpikeBasedBackpropagation):
    """`SpikeBasedBackpropagation` with one backward pass, whatever T; options as there.

    Time and memory of the backward pass do not grow with T. BatchNorm's statistics are those of all steps, as in `stbp`,
    and their derivative is that of the mean current's; max pooling hands the gradient to the largest mean current.
    """

    options_class = ResetOptions

    def training_step(self, images: Tensor, labels: Tensor, loss: Loss, observer: Observer | None = None) -> Step:
        """Run all steps and the rates behind them; the loss is that of the mean logits over time."""
        spikingjelly.reset_net(self)
        logits = self.network.run_by(_RateInterpreter(self.neurons_by_label(), self.time_steps), images)
        return Step(loss(logits, labels), logits)


@dataclass(frozen=True)
class _Rates:
    """The values of all steps, and their mean over time, which has the gradient.

    Attributes:
        mean: [B, ...].
        steps: [T, B, ...], without gradient; [1, B, ...] where all are the same: the image, and what it alone decides.
    """

    mean: Tensor
    steps: Tensor


class _RateInterpreter(Interpreter[_Rates, Tensor]):
    """A stage over all steps, then its mean; the steps are freed when the next stage has them."""

    def __init__(self, neurons: Mapping[str, nn.Module], time_steps: int) -> None:
        self.neurons = neurons
        self.time_steps = time_steps

    def image(self, images: Tensor) -> _Rates:
        return _Rates(images, images[None])

    def each(self, function: Callable[..., Tensor], *signals: _Rates) -> _Rates:
        return _Rates(function(*[signal.mean for signal in signals]), _at_every_step(function, signals))

    def weigh(self, stage: Weigh, incoming: _Rates) -> _Rates:
        weights = stage.module or nn.Identity()
        statistics: Statistics | None = None

        def normalised(value: Tensor) -> Tensor:
            nonlocal statistics
            if stage.norm is None:
                return weights(value)
            value, statistics = normalise(stage.norm, weights(value), stage.label)
            return value

        steps = _at_every_step(normalised, [incoming])
        mean = weights(incoming.mean)
        return _Rates(mean if stage.norm is None else _renormalise(stage.norm, mean, statistics), steps)

    def drop(self, stage: Drop, incoming: _Rates) -> _Rates:
        kept = drop(stage.dropout, torch.ones_like(incoming.mean[None]))[0]
        return _Rates(incoming.mean * kept, incoming.steps * kept)

    def fire(self, stage: Fire, incoming: _Rates) -> _Rates:
        current = incoming.steps.expand(self.time_steps, *incoming.steps.shape[1:])
        spikes, slope = _fire(self.neurons[stage.neurons.label], stage, current)
        return _Rates(_Rate.apply(incoming.mean, spikes.mean(0, dtype=_at_least_single(spikes)), slope), spikes)

    def rate(self, signal: _Rates) -> _Rates:
        # Of the readout only the mean is wanted.
        return _Rates(signal.mean, signal.mean.detach()[None])

    def result(self, signal: _Rates) -> Tensor:
        return signal.mean


@torch.no_grad()
def _at_every_step(function: Callable[..., Tensor], signals: Sequence[_Rates]) -> Tensor:
    steps = max(len(signal.steps) for signal in signals)
    merged = [signal.steps.expand(steps, *signal.steps.shape[1:]).flatten(0, 1) for signal in signals]
    return function(*merged).unflatten(0, (steps, -1))


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
def _fire(neurons: Any, stage: Fire, current: Tensor) -> tuple[Tensor, Tensor]:
    """Run a layer's neurons, currents dropped before.

    Returns:
        Their spikes [T, B, C, H, W]; the rate's derivative by a constant current, with dropout's factor, [B, C, H, W].
    """
    kept = drop(stage.dropout, torch.ones_like(current[:1]))
    spikes = torch.empty_like(current, memory_format=torch.contiguous_format)
    membrane = slope = torch.zeros_like(current[0])
    sensitivity = torch.ones_like(current[0])
    left_by_leak = 1 - 1 / getattr(neurons, "tau", inf)
    for step, each in enumerate(current * kept):
        charged = torch.add(each, membrane, alpha=left_by_leak)
        spikes[step] = neurons(each[None])[0]
        membrane = neurons.v
        surrogate = _derivative(neurons.surrogate_function, charged - neurons.v_threshold)
        slope = slope + surrogate * sensitivity
        left = _left_by_reset(neurons, spikes[step], charged, surrogate)
        sensitivity = (sensitivity * left).mul_(left_by_leak).add_(1)
    return spikes, slope * kept[0] / len(current)


def _left_by_reset(neurons: Any, spikes: Tensor, charged: Tensor, surrogate: Tensor) -> Tensor | float:
    """What a reset leaves of a membrane's sensitivity."""
    subtracted = neurons.v_reset is None
    left = 1.0 if subtracted else 1 - spikes
    return left if neurons.detach_reset else left - (neurons.v_threshold if subtracted else charged) * surrogate


def _derivative(surrogate: nn.Module, value: Tensor) -> Tensor:
    with torch.enable_grad():
        value = value.detach().requires_grad_()
        return torch.autograd.grad(surrogate(value).sum(), value)[0]


def _at_least_single(value: Tensor) -> torch.dtype:
    return torch.promote_types(value.dtype, torch.float32)


def _renormalise(norm: BatchNorm | Shift, value: Tensor, statistics: Statistics | None) -> Tensor:
    """Normalise mean currents by the statistics of all steps (μ, 1/√(v+ε)), with the derivatives of their own."""
    if statistics is None:
        return norm(value)
    value = value.to(_at_least_single(value))
    mean, inverse = statistics
    if isinstance(norm, nn.SyncBatchNorm) and processes.several():
        own, variance, _ = processes.moments(value, norm.process_group)
    else:
        variance, own = torch.var_mean(value, [0, *range(2, value.dim())], correction=0)
    mean = mean + own - own.detach()
    scale = (inverse**-2 + variance - variance.detach()).rsqrt()
    scale = scale if norm.weight is None else norm.weight * scale
    shape = (-1, *[1] * (value.dim() - 2))
    scaled = (value - mean.view(shape)) * scale.view(shape)
    return scaled if norm.bias is None else scaled + norm.bias.view(shape)
