"""A plain spiking network as a graph of NIR, the format that neuromorphic simulators and chips exchange networks in."""

from collections.abc import Sequence
from importlib import import_module
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from snn2ann.errors import UserError
from snn2ann.method.spiking_network import (
    Amount,
    Encode,
    IntegrateAndFire,
    PoolCharge,
    Rate,
    Repeat,
    Scale,
    SpikingNetwork,
)
from snn2ann.network.operations import Add, Call, Concatenate, Mean, Subtract, times
from snn2ann.network.refusals import grouped

Shape = tuple[int, ...]

# NIR's graph runs step by step, a node's inputs are added, and what is read out is averaged by whoever runs it.
_EDGES = (Add, Repeat, Rate, nn.Identity)

_LACKING: dict[type[nn.Module], str] = {
    nn.MaxPool2d: "NIR has no max pooling; use nn.AvgPool2d, or a convolution with a stride",
    PoolCharge: "NIR has no max pooling; use nn.AvgPool2d, or a convolution with a stride",
    Encode: "NIR has no division of images by T; couple with input_coding='direct'",
    Concatenate: "NIR has no concatenation; use a sum",
}


def to_nir(snn: SpikingNetwork, image_shape: Sequence[int]) -> Any:
    """Write a spiking network as a graph of NIR (Pedersen et al., 2024).

    A step is a unit of time: its neurons have R = 1, their threshold each, and v_reset = 0; biases are of a step. The
    image, or each its frame, is the input of every step. The graph gives the currents of a step that are read out, or its
    spikes where neurons come last; their mean over the steps is what the network gives.

    Args:
        snn: of a network that is coupled with reset="zero" and membrane_start=0.
        image_shape: (C, H, W).

    Returns:
        A `nir.NIRGraph`; `nir.write(path, graph)` saves it.

    Raises:
        UserError: NIR cannot express all of it; every reason is named, by layer, with what to change. Or the package nir
            is not there, or images of this shape do not go through the network.
    """
    try:
        nir = import_module("nir")
    except ModuleNotFoundError as error:
        raise UserError("to_nir needs the package nir: pip install nir") from error
    shapes = _shapes(snn, tuple(image_shape))
    problems = _problems(snn, shapes)
    if problems:
        raise UserError("\n  ".join(["the network cannot be written as NIR:", *problems]))
    return _graph(nir, snn, shapes)


def _shapes(snn: SpikingNetwork, image_shape: Shape) -> dict[str, Shape]:
    """Shapes without batch of the image and of what each layer gives."""
    state = next(iter(snn.state_dict().values()))
    shapes = {"images": image_shape}

    def note(name: str) -> Any:
        return lambda layer, taken, given: shapes.update({name: tuple(given.shape[1:])})

    hooks = [layer.register_forward_hook(note(name)) for name, layer in snn.layers.items()]
    try:
        snn(state.new_zeros((*[1] * snn.frames, 1, *image_shape)), time_steps=1)
    except (RuntimeError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(f"images of {image_shape} do not go through the network: {reason}") from error
    finally:
        for hook in hooks:
            hook.remove()
    return shapes


def _problems(snn: SpikingNetwork, shapes: dict[str, Shape]) -> list[str]:
    """A line a reason, with the first layer."""
    sources = _sources(snn)
    offences = []
    for step in snn.steps:
        layer = snn.layers[step.layer]
        reason = _problem(layer, shapes[step.inputs[0]])
        if len(set(sources[step.layer])) < len(sources[step.layer]):
            reason = "NIR adds no signal to itself; double the weights before it"
        offences.append((step.layer, type(layer).__name__, reason))
    last = snn.steps[-1].layer
    if isinstance(snn.layers[last], Subtract) or (len(sources[last]) > 1 and isinstance(snn.layers[last], _EDGES)):
        offences.append((last, "", "NIR's output takes no sum; add before a convolution, a linear layer or neurons"))
    return grouped(offence for offence in offences if offence[2])


def _problem(layer: nn.Module, taken: Shape) -> str:
    """Why NIR cannot express a layer, and what to change; "" where it can."""
    match layer:
        case IntegrateAndFire() if layer.reset != "zero":
            return "NIR has no reset by subtraction; couple with reset='zero'"
        case IntegrateAndFire() if layer.membrane_start:
            return "NIR has no start of the membrane but its reset; couple with membrane_start=0"
        case nn.Conv1d() | nn.Conv2d() if layer.padding_mode != "zeros":
            return f"NIR has no padding by {layer.padding_mode!r}; use zeros"
        case nn.Conv2d() if len(set(layer.kernel_size)) > 1:
            return "nir takes a kernel's height for its width as well; use a square one"
        case nn.Linear() if len(taken) > 1:
            return "NIR's linear layers take one dimension; flatten before it"
        case nn.AvgPool2d() if layer.ceil_mode or layer.divisor_override or not _counts_padding(layer):
            return "NIR's averages are whole windows'; use no ceil_mode, divisor_override or count_include_pad=False"
        case nn.AdaptiveAvgPool2d() if any(size % to for size, to in zip(taken[1:], _to(layer, taken), strict=True)):
            return f"NIR has windows of one size only; pool {taken[1]}×{taken[2]} to a divisor of it"
        case Mean() if sorted(dim % (len(taken) + 1) for dim in layer.dims) != [2, 3]:
            return "NIR has means over height and width only; use .mean((2, 3))"
        case IntegrateAndFire() | nn.Conv1d() | nn.Conv2d() | nn.Linear() | nn.Flatten():
            return ""
        case nn.AvgPool2d() | nn.AdaptiveAvgPool2d() | Mean():
            return ""
    if _by_channel(layer) is not None:
        return "" if len(taken) < 4 else "NIR's convolutions are of one or two dimensions; flatten before it"
    if isinstance(layer, _EDGES):
        return ""
    reasons = (reason for kind, reason in _LACKING.items() if isinstance(layer, kind))
    return next(reasons, f"{_called(layer)} is not written; do it before the network, or with weights")


def _by_channel(layer: nn.Module) -> tuple[Tensor, Tensor] | None:
    """What a layer multiplies channels by, and what it adds: [C] or one number each; None where it does anything else."""
    match layer:
        case Scale():
            return layer.scale, layer.bias
        case Amount():
            worth = layer.worth.flatten(2)[..., 0] if layer.worth.dim() > 2 else layer.worth
            return worth.reshape(-1), torch.zeros(1)
        case Call() if layer.function is times:
            return torch.tensor([layer.arguments["factor"]]), torch.zeros(1)
        case Subtract():
            # Of what is taken off; NIR adds it then.
            return -torch.ones(1), torch.zeros(1)
    return None


def _called(layer: nn.Module) -> str:
    return getattr(layer.function, "__name__", "") if isinstance(layer, Call) else type(layer).__name__


def _counts_padding(layer: nn.AvgPool2d) -> bool:
    return layer.count_include_pad or layer.padding in (0, (0, 0))


def _to(layer: nn.AdaptiveAvgPool2d, taken: Shape) -> list[int]:
    """Height and width that it gives; None keeps its input's."""
    sizes = _pair(layer.output_size)
    return [whole if size is None else size for size, whole in zip(sizes, taken[1:], strict=True)]


def _sources(snn: SpikingNetwork) -> dict[str, list[str]]:
    """Which layers' results come together where a layer takes its input, past those that are edges only.

    A difference is an edge from the one, and a node that takes the other times -1.
    """
    edges = {step.layer: step.inputs for step in snn.steps if isinstance(snn.layers[step.layer], _EDGES)}
    takes = {step.layer: step.inputs for step in snn.steps}
    for step in snn.steps:
        if isinstance(snn.layers[step.layer], Subtract):
            takes[step.layer] = step.inputs[1:]

    def origins(name: str) -> list[str]:
        if name in edges:
            return [origin for source in edges[name] for origin in origins(source)]
        differs = name in snn.layers and isinstance(snn.layers[name], Subtract)
        return [*(origins(first[name]) if differs else []), name]

    first = {step.layer: step.inputs[0] for step in snn.steps}
    return {layer: [origin for name in names for origin in origins(name)] for layer, names in takes.items()}


def _graph(nir: Any, snn: SpikingNetwork, shapes: dict[str, Shape]) -> Any:
    sources, last = _sources(snn), snn.steps[-1].layer
    start, end = (_free(name, snn) for name in ("input", "output"))
    nodes = {start: nir.Input(_array(shapes["images"]))}
    edges: list[tuple[str, str]] = []
    # Of the nodes that a layer is made of, the one that gives its result.
    gives = {"images": start}
    for step in snn.steps:
        layer = snn.layers[step.layer]
        if isinstance(layer, _EDGES):
            continue
        made = _nodes(nir, layer, shapes[step.inputs[0]])
        names = [step.layer, *(f"{step.layer}.{number}" for number in range(1, len(made)))]
        edges += [*((gives[source], names[0]) for source in sources[step.layer]), *pairwise(names)]
        nodes |= dict(zip(names, made, strict=True))
        gives[step.layer] = names[-1]
    output = sources[last][0] if isinstance(snn.layers[last], _EDGES) else last
    nodes[end] = nir.Output(_array(shapes[last]))
    return nir.NIRGraph(nodes, [*edges, (gives[output], end)])


def _free(name: str, snn: SpikingNetwork) -> str:
    """A name that no layer has."""
    return _free(f"{name}_", snn) if name in snn.layers else name


def _nodes(nir: Any, layer: nn.Module, taken: Shape) -> list[Any]:
    """The nodes that a layer is, one after the other."""
    if by_channel := _by_channel(layer):
        return [_diagonal(nir, *by_channel, taken)]
    match layer:
        case nn.Conv1d():
            padding = layer.padding if isinstance(layer.padding, str) else layer.padding[0]
            single = layer.stride[0], padding, layer.dilation[0], layer.groups
            return [nir.Conv1d(taken[1], _numbers(layer.weight), *single, _bias(layer))]
        case nn.Conv2d():
            geometry = layer.stride, layer.padding, layer.dilation, layer.groups
            return [nir.Conv2d(taken[1:], _numbers(layer.weight), *geometry, _bias(layer))]
        case nn.Linear():
            # Not nir.Linear, where there is no bias: fewer simulators take it.
            return [nir.Affine(_numbers(layer.weight), _bias(layer))]
        case IntegrateAndFire():
            threshold = layer.threshold[0]
            return [nir.IF(_numbers(torch.ones_like(threshold)), _numbers(threshold))]
        case nn.AvgPool2d():
            return [_average(nir, layer.kernel_size, layer.stride, layer.padding)]
        case nn.AdaptiveAvgPool2d():
            windows = [size // to for size, to in zip(taken[1:], _to(layer, taken), strict=True)]
            return [_average(nir, windows, windows, 0)]
        case Mean():
            pooled = [_average(nir, taken[1:], taken[1:], 0)]
            return pooled if layer.keepdim else [*pooled, nir.Flatten(_array((taken[0], 1, 1)), 0, -1)]
        case nn.Flatten():
            first, final = (dim - 1 if dim > 0 else dim for dim in (layer.start_dim, layer.end_dim))
            return [nir.Flatten(_array(taken), first, final)]
    raise AssertionError(layer)


def _diagonal(nir: Any, scale: Tensor, bias: Tensor, taken: Shape) -> Any:
    """Multiply each channel by a number and add one: as weights, since few simulators take nir.Scale."""
    channels = taken[0]
    weight = torch.diag(scale.expand(channels)).to(scale)
    bias = bias.to(scale).expand(channels)
    if len(taken) == 1:
        return nir.Affine(_numbers(weight), _numbers(bias))
    weight = weight.view(channels, channels, *[1] * (len(taken) - 1))
    if len(taken) == 2:
        return nir.Conv1d(taken[1], _numbers(weight), 1, 0, 1, 1, _numbers(bias))
    return nir.Conv2d(taken[1:], _numbers(weight), 1, 0, 1, 1, _numbers(bias))


def _average(nir: Any, window: Any, stride: Any, padding: Any) -> Any:
    return nir.AvgPool2d(*(_array(_pair(value)) for value in (window, stride, padding)))


def _bias(layer: nn.Conv1d | nn.Conv2d | nn.Linear) -> Any:
    return _numbers(layer.weight.new_zeros(len(layer.weight)) if layer.bias is None else layer.bias)


def _pair(value: Any) -> tuple[Any, Any]:
    return (value, value) if isinstance(value, int) or value is None else tuple(value)


def _array(values: Sequence[int]) -> Any:
    return torch.tensor(values).numpy()


def _numbers(value: Tensor) -> Any:
    """A NumPy array that shares nothing with the network."""
    return value.detach().cpu().clone().numpy()
