"""Which way a layer is run: spike by spike on a CPU, by Triton's kernels on a GPU, or densely in PyTorch anywhere."""

import os
from enum import Enum
from importlib.util import find_spec

import torch

from snn2ann.engine import events
from snn2ann.engine.signals import Spikes
from snn2ann.engine.stages import Layer
from snn2ann.errors import UserError

VARIABLE = "SNN2ANN_ENGINE"


class Way(Enum):
    """How the neurons of a layer and the convolutions that feed them are run; all but `TORCH` sum first, then fire."""

    EVENTS = "events"
    TRITON = "triton"
    TORCH = "torch"


def asked() -> Way | None:
    """The way that the environment asks for, where it suits; None where the engine picks.

    Raises:
        UserError: there is no such way, or it cannot be had here.
    """
    name = os.environ.get(VARIABLE, "")
    if not name:
        return None
    known = [way.value for way in Way]
    if name not in known:
        raise UserError(f"{VARIABLE}={name}: expected one of {', '.join(known)}, or nothing, for the engine to pick")
    if name == "triton" and (lacking := _no_triton()):
        raise UserError(f"{VARIABLE}=triton: {lacking}; leave it out, and the engine picks what suits")
    return Way(name)


def way_of(
    layer: Layer, incoming: Spikes, skipped: Spikes | None, time_steps: int, *, event_driven: bool = True
) -> tuple[Way, str]:
    """Pick how a layer is run, and say in words how, with the reason where it is run densely.

    Args:
        layer: the layer.
        incoming: its input.
        skipped: its shortcut's input, if any.
        time_steps: T.
        event_driven: False for densely, whatever suits.
    """
    wanted = asked()
    if not event_driven:
        return Way.TORCH, "densely: events are switched off"
    if wanted is Way.TORCH:
        return Way.TORCH, f"densely: {VARIABLE} is torch"
    threshold = layer.fire.neurons.threshold
    way = Way.TRITON if wanted is Way.TRITON or (wanted is None and threshold.is_cuda) else Way.EVENTS
    if way is Way.TRITON:
        reason = _unsuited_to_triton(layer, time_steps)
    else:
        reason = events.unsuited(layer.main.convolution, threshold, time_steps)
        if not (incoming.binary or incoming.constant) or (layer.side and skipped and not skipped.binary):
            reason = reason or "its input is not spikes"
    convolved = [incoming, skipped] if layer.side and skipped else [incoming]
    if any(each.worth_by_channel is not None for each in convolved):
        reason = reason or "what a spike is worth differs by channel"
    if reason:
        return Way.TORCH, f"densely: {reason}"
    return way, "by events" if way is Way.EVENTS else "by Triton's kernels"


def _unsuited_to_triton(layer: Layer, time_steps: int) -> str:
    threshold = layer.fire.neurons.threshold
    if threshold.dtype != torch.float32:
        return f"its type is {str(threshold.dtype).removeprefix('torch.')}"
    if layer.pool is not None and not layer.halves:
        return "its pooling is not by the maximum of 2×2"
    if layer.pool is not None and layer.fire.feeds_identity:
        return "an identity shortcut takes what is pooled"
    if time_steps > 32:
        return "a kernel is made for at most 32 time steps"
    return _no_triton()


# What is looked up once; PyTorch's compiler warns of `functools.cache`.
_lacking: list[str] = []


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def _no_triton() -> str:
    if not _lacking:
        interpreted = os.environ.get("TRITON_INTERPRET") == "1"
        if find_spec("triton") is None:
            _lacking.append("Triton is not installed")
        elif not torch.cuda.is_available() and not interpreted:
            _lacking.append("Triton needs a GPU (or TRITON_INTERPRET=1, which is for tests)")
        else:
            _lacking.append("")
    return _lacking[0]
