"""Spike counts in the place of activations: one byte a neuron is what backward needs of them.

A `Counts` is a float tensor to autograd and bytes in memory: its `link` has the shape and the gradient, and no storage.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from snn2ann.errors import UserError

_UNPAID = (
    "the price on spikes is no part of the loss that backward was called of, and nothing keeps spikes few: "
    "add `coupled.price` to the loss, or couple with spike_penalty=0"
)


Number = float | Tensor
"""A number, or a tensor: one number a channel, or a scalar that a compiled network reads at every call."""


def is_one(factor: Number) -> bool:
    """Whether nothing is multiplied."""
    return not isinstance(factor, Tensor) and factor == 1


def count_type(time_steps: int) -> torch.dtype:
    """The smallest type that holds counts up to T."""
    return torch.uint8 if time_steps <= 255 else torch.int32


@dataclass(frozen=True)
class Counts:
    """An activation that is a spike count.

    Attributes:
        link: carries the gradient, [B, C, H, W]; one number, expanded.
        value: the counts, whole numbers, [B, C, H, W].
        factor: what the ANN branch multiplies them by: a number, or one a channel, [1, C, ...].
        price: what they cost, a scalar with gradient; None where they cost nothing.
    """

    link: Tensor
    value: Tensor
    factor: Number = 1.0
    price: Tensor | None = None

    def dense(self) -> Tensor:
        """Give the activation itself, with its gradient: [B, C, H, W]."""
        return _Dense.apply(self.link, self.value, self.factor)

    def convolve(self, convolution: nn.Conv2d, total: Tensor | None = None) -> Tensor:
        """Convolve the activation.

        Args:
            convolution: takes the gradient.
            total: its output without bias for these counts, where it is known; it is overwritten.

        Returns:
            [B, C', H', W'].
        """
        return _Convolve.apply(
            self.link, convolution.weight, convolution.bias, self.value, self.factor, convolution, total
        )


def substitute(
    pre_activation: Tensor,
    count: Tensor,
    active: Tensor,
    slope: Number = 1.0,
    gain: Tensor | None = None,
    factor: Number = 1.0,
    penalty: Number = 0.0,
    kernels: bool = False,
    by_threshold: tuple[Tensor, int] | None = None,
) -> Counts:
    """Put counts in the place of an activation.

    Args:
        pre_activation: p, [B, C, H, W], with gradient.
        count: what takes its place, same shape.
        active: where p has a gradient, bool, same shape.
        slope: the gradient's factor where it has one.
        gain: a further factor, which broadcasts, or None.
        factor: see `Counts`.
        penalty: the price of each count of an image, in a mean over the batch. Its gradient is that of the counts.
        kernels: whether Triton's kernel goes backward, in one pass.
        by_threshold: what takes the gradient by the thresholds, [1, C, H, W], and T, the largest count. A smaller count is
            about p / V, so by V it changes as -count / V; a full one does not.
    """
    learned = (None, None, 0) if by_threshold is None else (by_threshold[0], count, by_threshold[1])
    if isinstance(penalty, float) and not penalty:
        link = _Substitute.apply(pre_activation, active, slope, gain, kernels, 0.0, None, *learned)
        return Counts(link, count, factor)
    each = penalty / len(count)
    each = each.to(torch.get_default_dtype()) if isinstance(each, Tensor) else each
    # PyTorch's own type for a sum of bytes is five times as slow.
    price = count.sum(dtype=torch.int32) * each
    link, price = _Substitute.apply(pre_activation, active, slope, gain, kernels, each, price, *learned)
    return Counts(link, count, factor, price)


def _times(value: Tensor, factor: Number) -> Tensor:
    return value if is_one(factor) else value * factor


def _keep(ctx: Any, tensors: Sequence[Tensor | None], numbers: Sequence[Number]) -> None:
    """Keep for backward, numbers where they are none as what they are."""
    ctx.save_for_backward(*tensors, *[each if isinstance(each, Tensor) else None for each in numbers])
    ctx.numbers = [None if isinstance(each, Tensor) else each for each in numbers]


def _kept(ctx: Any) -> list[Any]:
    """Give what `_keep` was given: tensors, then numbers."""
    saved, own = list(ctx.saved_tensors), ctx.numbers
    last = len(saved) - len(own)
    return saved[:last] + [saved[last + place] if each is None else each for place, each in enumerate(own)]


def _link(like: Tensor) -> Tensor:
    return like.new_zeros(()).expand(like.shape)


class _Substitute(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        pre_activation: Tensor,
        active: Tensor,
        slope: Number,
        gain: Tensor | None,
        kernels: bool,
        each: Number = 0.0,
        price: Tensor | None = None,
        learned: Tensor | None = None,
        count: Tensor | None = None,
        most: int = 0,
    ) -> Tensor | tuple[Tensor, Tensor]:
        _keep(ctx, (active, gain, count), (slope, each))
        ctx.most = most
        ctx.priced = price is not None
        ctx.kernels = kernels and not isinstance(slope, Tensor)
        ctx.kind = pre_activation.dtype
        ctx.set_materialize_grads(False)
        return _link(pre_activation) if price is None else (_link(pre_activation), price)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled() and not torch.compiler.is_compiling():
            raise UserError(
                "a gradient of a gradient (create_graph=True) is asked for, and a spike count has none; leave it out, or "
                "take it of the network itself, without neurons"
            )
        active, gain, count, slope, each = _kept(ctx)
        activation, price = (*gradients, None)[:2]
        # Before anything is written to: the price is for the weights alone.
        learned = None if count is None or activation is None else _by_threshold(activation, count, ctx.most, gain)
        rest = (None, None, None, None, None, None, learned, None, None)
        if price is None and ctx.priced:
            warnings.warn(_UNPAID, stacklevel=2)
        if ctx.kernels and not (activation is None and price is None):
            from snn2ann.engine import fused

            kind = ctx.kind if activation is None else activation.dtype
            # What a compiled network reads at every call is a tensor.
            paid = None if price is None else (price * each, 1.0) if isinstance(each, Tensor) else (price, each)
            given = fused.map_backward(activation, active, kind, slope=slope, gain=gain, price=paid)
            return given, *rest
        gradient = None if activation is None else activation * active
        if price is not None:
            # As many times as the loss is that the price is part of.
            cost = active * (price * each)
            # In the gradient's type, as it would be added to it as a number: bfloat16 rounds otherwise.
            cost = cost if gradient is None else cost.to(gradient.dtype)
            gradient = cost if gradient is None else gradient.add_(cost)
        if gradient is not None and not is_one(slope):
            gradient.mul_(slope)
        if gradient is not None and gain is not None:
            gradient.mul_(gain)
        return gradient, *rest


def _by_threshold(gradient: Tensor, count: Tensor, most: int, gain: Tensor | None) -> Tensor:
    """The gradient by thresholds of what follows counts of which `gradient` is that: [1, C, H, W]."""
    exact = torch.promote_types(gradient.dtype, torch.float32)
    summed = (gradient * (count * (count < most))).sum(0, keepdim=True, dtype=exact).neg_()
    return summed if gain is None else summed * gain


class _Dense(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, link: Tensor, value: Tensor, factor: Number) -> Tensor:
        _keep(ctx, (), (factor,))
        return _times(value.to(link.dtype), factor)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        (factor,) = _kept(ctx)
        return _times(gradients[0], factor), None, None


class _Convolve(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        link: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        value: Tensor,
        factor: Number,
        convolution: nn.Conv2d,
        total: Tensor | None,
    ) -> Tensor:
        _keep(ctx, (weight, value), (factor,))
        ctx.convolution = convolution
        if total is not None:
            scaled = total if is_one(factor) else total.mul_(factor)
            return scaled if bias is None else scaled.add_(bias.view(-1, 1, 1))
        dense = _Dense.apply(link, value, factor)
        return functional.conv2d(dense, weight, bias, convolution.stride, convolution.padding)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        weight, value, factor = _kept(ctx)
        convolution, outputs = ctx.convolution, [weight.shape[0]]
        biased = convolution.bias is not None
        # In bfloat16 the gradient is; the engine brings what is returned back to the type of what it belongs to.
        weight = weight.to(gradient.dtype)

        def derive(gradient: Tensor, dense: Tensor, wanted: list[bool]) -> tuple[Tensor, Tensor, Tensor | None]:
            geometry = convolution.stride, convolution.padding, convolution.dilation, False, [0, 0], convolution.groups
            sizes = outputs if biased else None
            return torch.ops.aten.convolution_backward(gradient, dense, weight, sizes, *geometry, wanted)

        # Channels-last is the faster layout for the input's gradient on a CPU, and the slower one for the weight's.
        contiguous = gradient.contiguous()
        dense = torch.empty(value.shape, dtype=gradient.dtype, device=value.device).copy_(value)
        if not is_one(factor):
            dense.mul_(factor)
        if gradient.is_contiguous():
            to_input, to_weight, to_bias = derive(gradient, dense, [True, True, biased])
        else:
            to_input, *_ = derive(gradient, gradient.new_empty(()).expand(value.shape), [True, False, False])
            _, to_weight, to_bias = derive(contiguous, dense, [False, True, biased])
        return to_input if is_one(factor) else to_input.mul_(factor), to_weight, to_bias, None, None, None, None


class _LinearOfSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, weight: Tensor, bias: Tensor | None, total: Tensor) -> Tensor:
        ctx.save_for_backward(value, weight)
        ctx.biased = bias is not None
        return total if bias is None else total + bias

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        value, weight = ctx.saved_tensors
        rows = gradient.flatten(0, -2)
        to_weight = rows.t() @ value.flatten(0, -2)
        return gradient @ weight, to_weight, rows.sum(0) if ctx.biased else None, None


def linear_of_sum(layer: nn.Linear, value: Tensor, total: Tensor) -> Tensor:
    """Run a linear layer whose output without bias is known, and only its gradient is not.

    Args:
        layer: takes the gradient.
        value: its input, [..., inputs], with gradient.
        total: its output without bias, [..., outputs].
    """
    return _LinearOfSum.apply(value, layer.weight, layer.bias, total)


def _stored(value: Tensor) -> tuple[Any, Any]:
    """Where a tensor's values are, be they there or only pretended."""
    return value.untyped_storage()._cdata, value.storage_offset()


@contextmanager
def counts_as_bytes() -> Iterator[Callable[[Tensor | Counts], Tensor]]:
    """Within, counts that an operation keeps for backward are kept as bytes; gives what makes them dense.

    What a compiled network keeps is its compiler's choice.
    """
    if torch.compiler.is_compiling():
        yield lambda value: value.dense() if isinstance(value, Counts) else value
        return
    kept: list[tuple[Tensor, Counts]] = []

    def dense(value: Tensor | Counts) -> Tensor:
        if not isinstance(value, Counts):
            return value
        kept.append((value.dense(), value))
        return kept[-1][0]

    def pack(saved: Tensor) -> Tensor | tuple[Counts, torch.dtype]:
        for made, counts in kept:
            if _stored(saved) == _stored(made) and saved.shape == made.shape and saved.dtype == made.dtype:
                return counts, saved.dtype
        return saved

    def unpack(packed: Tensor | tuple[Counts, torch.dtype]) -> Tensor:
        if isinstance(packed, Tensor):
            return packed
        counts, kind = packed
        return _times(counts.value.to(kind), counts.factor)

    with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
        yield dense
    kept.clear()
