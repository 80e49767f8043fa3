"""What of PyTorch can be coupled, how it is written as an operation, and why the rest cannot."""

import math
import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional
from torch.nn.parameter import is_lazy

from snn2ann.network.besides import inherits_all
from snn2ann.network.operations import Add, Call, Concatenate, Mean, Operation, Shift, Subtract, indexed, times


class Unsupported(Exception):
    """Says why a node cannot be coupled."""


_INDICES = "the indices of a maximum are no signal; use return_indices=False"

_ZEROS = "only zeros can be padded with; what is padded else is no part of the signal"

Reader = Callable[[fx.Node, nn.Module | None], Operation]


def _arguments(node: fx.Node, names: tuple[str, ...]) -> dict[str, Any]:
    """Give what a node is called with beside the signal, by name."""
    given = dict(zip(names, node.args[1:], strict=False)) | dict(node.kwargs)
    if unknown := set(given) - set(names):
        raise Unsupported(f"its {', '.join(sorted(unknown))} is not supported")
    for name, value in given.items():
        if isinstance(value, fx.Node):
            raise Unsupported(f"its {name} depends on a signal")
    return given


def _signal(node: fx.Node) -> str:
    signals = [value for value in node.args if isinstance(value, fx.Node)]
    if len(signals) != 1 or not isinstance(node.args[0], fx.Node):
        raise Unsupported("it must be given one signal, as its first argument")
    return signals[0].name


def _weights(node: fx.Node, module: nn.Module | None) -> Operation:
    return Operation(node.name, "weighted", (_signal(node),), weights=str(node.target))


def _norm(node: fx.Node, module: nn.Module | None) -> Operation:
    assert isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.SyncBatchNorm)
    if module.running_mean is None:
        raise Unsupported("it keeps no running statistics to fold into weights; use track_running_stats=True")
    if module.momentum is None:
        raise Unsupported("its running statistics are cumulative averages; give it a momentum")
    return Operation(node.name, "weighted", (_signal(node),), norm=str(node.target))


def _relu(node: fx.Node, module: nn.Module | None) -> Operation:
    return Operation(node.name, "neurons", (_signal(node),))


def _dropout(node: fx.Node, module: nn.Module | None) -> Operation:
    assert isinstance(module, nn.Dropout | nn.Dropout2d)
    if module.p >= 1:
        raise Unsupported("it drops everything; give it a probability below 1")
    return Operation(node.name, "dropout", (_signal(node),), dropout=str(node.target))


def _module(kind: Any) -> Reader:
    def read(node: fx.Node, module: nn.Module | None) -> Operation:
        if getattr(module, "return_indices", False):
            raise Unsupported(_INDICES)
        if getattr(module, "value", 0):
            raise Unsupported(_ZEROS)
        if isinstance(module, nn.Flatten):
            _check_dims(module.start_dim, module.end_dim)
        if isinstance(module, nn.Unflatten):
            _check_dims(*([module.dim] if isinstance(module.dim, int) else []))
        return Operation(node.name, kind, (_signal(node),), function=module)

    return read


def _max_pool(node: fx.Node, module: nn.Module | None) -> Operation:
    given = _arguments(node, ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices"))
    if given.get("return_indices"):
        raise Unsupported(_INDICES)
    return Operation(node.name, "pooling", (_signal(node),), function=nn.MaxPool2d(**given))


def _average_pool(node: fx.Node, module: nn.Module | None) -> Operation:
    names = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override")
    function = nn.AvgPool2d(**_arguments(node, names))
    return Operation(node.name, "linear", (_signal(node),), function=function)


def _adaptive_pool(node: fx.Node, module: nn.Module | None) -> Operation:
    function = nn.AdaptiveAvgPool2d(**_arguments(node, ("output_size",)))
    return Operation(node.name, "linear", (_signal(node),), function=function)


def _mean(node: fx.Node, module: nn.Module | None) -> Operation:
    return Operation(node.name, "linear", (_signal(node),), function=Mean(*_reduced(node, "mean")))


def _sum(node: fx.Node, module: nn.Module | None) -> Operation:
    dims, keepdim = _reduced(node, "sum")
    function = Call(torch.sum, {"dim": dims, "keepdim": keepdim})
    return Operation(node.name, "linear", (_signal(node),), function=function)


def _reduced(node: fx.Node, name: str) -> tuple[tuple[int, ...], bool]:
    """Over which dimensions, and whether they stay."""
    given = _arguments(node, ("dim", "keepdim"))
    dims = given.pop("dim", None)
    keepdim = given.pop("keepdim", False)
    if given or dims is None:
        raise Unsupported(f"a {name} must be over given dimensions, and of the signal's own type")
    dims = tuple(dims) if isinstance(dims, list | tuple) else (dims,)
    _check_dims(*dims)
    return dims, keepdim


def _flatten(node: fx.Node, module: nn.Module | None) -> Operation:
    given = _arguments(node, ("start_dim", "end_dim"))
    start, end = given.get("start_dim", 0), given.get("end_dim", -1)
    _check_dims(start, end)
    return Operation(node.name, "linear", (_signal(node),), function=nn.Flatten(start, end))


def _check_dims(*dims: int) -> None:
    # Counted from the end they may still be the batch's, which the shape of the first images would say.
    if 0 in dims:
        raise Unsupported("it reaches into the batch, dimension 0; every other dimension will do")


def _view(node: fx.Node, module: nn.Module | None) -> Operation:
    signal, *shape = node.args
    if len(shape) == 1 and isinstance(shape[0], list | tuple):
        shape = list(shape[0])
    if len(shape) != 2 or not _keeps_batch(*shape) or not isinstance(signal, fx.Node):
        raise Unsupported("only x.view(x.size(0), -1), which flattens, is understood; use torch.flatten(x, 1)")
    return Operation(node.name, "linear", (signal.name,), function=nn.Flatten())


def _keeps_batch(batch: Any, rest: Any) -> bool:
    return isinstance(rest, int) and (batch == -1 or rest == -1) and (batch == -1 or is_batch_size(batch))


def is_batch_size(node: Any) -> bool:
    """Whether a node is `x.size(0)`, `x.shape[0]` or `x.size()[0]`."""
    if not isinstance(node, fx.Node):
        return False
    if node.target == "size":
        return node.args[1:] == (0,)
    if node.target is not operator.getitem or node.args[1] != 0:
        return False
    shape = node.args[0]
    return isinstance(shape, fx.Node) and (shape.target == "size" or shape.args[1:] == ("shape",))


def _add(node: fx.Node, module: nn.Module | None) -> Operation:
    names, numbers = _operands(node, "alpha")
    if len(names) == 2:
        return Operation(node.name, "linear", names, function=Add())
    return _shifted(node, names, numbers[0])


def _subtract(node: fx.Node, module: nn.Module | None) -> Operation:
    names, numbers = _operands(node, "alpha")
    if len(names) == 2:
        return Operation(node.name, "linear", names, function=Subtract())
    if not isinstance(node.args[0], fx.Node):
        raise Unsupported("a signal is taken off a number; write it as -x + number, in two steps")
    return _shifted(node, names, -numbers[0])


def _shifted(node: fx.Node, names: tuple[str, ...], amount: float) -> Operation:
    if amount == 0:
        return Operation(node.name, "linear", names, function=nn.Identity())
    return Operation(node.name, "weighted", names, function=Shift(amount))


def _multiply(node: fx.Node, module: nn.Module | None) -> Operation:
    names, numbers = _operands(node)
    if len(names) != 1:
        raise Unsupported("a product of two signals is not linear; only a number can be multiplied with")
    return Operation(node.name, "linear", names, function=Call(times, {"factor": numbers[0]}))


def _divide(node: fx.Node, module: nn.Module | None) -> Operation:
    names, numbers = _operands(node, "rounding_mode")
    if len(names) != 1 or not isinstance(node.args[0], fx.Node) or not numbers[0]:
        raise Unsupported("only a signal can be divided, and by a number that is not zero")
    return Operation(node.name, "linear", names, function=Call(times, {"factor": 1 / numbers[0]}))


def _negate(node: fx.Node, module: nn.Module | None) -> Operation:
    return Operation(node.name, "linear", (_signal(node),), function=Call(times, {"factor": -1.0}))


def _operands(node: fx.Node, *options: str) -> tuple[tuple[str, ...], list[float]]:
    """The two operands of an operator: names of signals, and numbers."""
    if len(node.args) != 2 or any(node.kwargs.get(name) not in (None, 1) for name in options):
        raise Unsupported("only two operands are understood, each as it is")
    numbers = [value for value in node.args if isinstance(value, int | float) and math.isfinite(value)]
    names = tuple(value.name for value in node.args if isinstance(value, fx.Node))
    if len(numbers) + len(names) != 2 or not names:
        raise Unsupported("only signals and finite numbers are understood; a tensor belongs into a BatchNorm or a bias")
    return names, [float(number) for number in numbers]


def _clamp(node: fx.Node, module: nn.Module | None) -> Operation:
    given = _arguments(node, ("min", "max"))
    if given.get("min") != 0 or given.get("max") is not None:
        raise Unsupported("only clamp(min=0), which is a ReLU, has spike counts to stand for it; use nn.ReLU")
    return Operation(node.name, "neurons", (_signal(node),))


def _call(function: Callable[..., Any], *names: str, rearranges: bool = False, **fixed: Any) -> Reader:
    """Read a call of a linear function that has no reach into the batch, whatever its arguments."""

    def read(node: fx.Node, module: nn.Module | None) -> Operation:
        given = _arguments(node, names) | fixed
        return Operation(node.name, "linear", (_signal(node),), function=Call(function, given, rearranges))

    return read


def _of_dims(function: Callable[..., Any], names: tuple[str, ...], *needed: str) -> Reader:
    """Read a call of a function that rearranges the dimensions that it names, which must not be the batch's."""

    def read(node: fx.Node, module: nn.Module | None) -> Operation:
        if len(names) == 1 and len(node.args) > 2:
            given = {names[0]: tuple(node.args[1:])} | dict(node.kwargs)
        else:
            given = _arguments(node, names)
        missing = [name for name in needed if name not in given]
        if missing:
            raise Unsupported(f"its {missing[0]} must be given, as it would else take every dimension")
        for value in given.values():
            _check_dims(*(value if isinstance(value, list | tuple) else (value,)))
        return Operation(node.name, "linear", (_signal(node),), function=Call(function, given, True))

    return read


def _permute(node: fx.Node, module: nn.Module | None) -> Operation:
    dims = node.args[1] if len(node.args) == 2 and isinstance(node.args[1], list | tuple) else node.args[1:]
    if not dims or dims[0] != 0 or not all(isinstance(dim, int) for dim in dims):
        raise Unsupported("it must leave the batch, dimension 0, in its place")
    return Operation(node.name, "linear", (_signal(node),), function=Call(torch.permute, {"dims": tuple(dims)}, True))


def _pad(node: fx.Node, module: nn.Module | None) -> Operation:
    given = _arguments(node, ("pad", "mode", "value"))
    if given.get("mode", "constant") == "constant" and given.get("value"):
        raise Unsupported(_ZEROS)
    return Operation(node.name, "linear", (_signal(node),), function=Call(functional.pad, given, True))


def _interpolate(node: fx.Node, module: nn.Module | None) -> Operation:
    names = ("size", "scale_factor", "mode", "align_corners", "recompute_scale_factor", "antialias")
    given = _arguments(node, names)
    nearest = given.get("mode", "nearest").startswith("nearest")
    return Operation(node.name, "linear", (_signal(node),), function=Call(functional.interpolate, given, nearest))


def _index(node: fx.Node, module: nn.Module | None) -> Operation:
    index = node.args[1] if isinstance(node.args[1], tuple) else (node.args[1],)
    parts = [
        part for each in index for part in ([each.start, each.stop, each.step] if isinstance(each, slice) else [each])
    ]
    if any(isinstance(part, fx.Node | torch.Tensor | list) for part in parts):
        raise Unsupported("its index must be numbers and slices of numbers")
    if index[0] not in (slice(None), Ellipsis) or None in index:
        raise Unsupported("it must take the whole batch: x[:, ...]")
    return Operation(node.name, "linear", (_signal(node),), function=Call(indexed, {"index": index}, True))


def _concatenate(node: fx.Node, module: nn.Module | None) -> Operation:
    given = _arguments(node, ("dim",))
    signals, dim = node.args[0] if node.args else (), given.get("dim", 0)
    _check_dims(dim)
    if not isinstance(signals, list | tuple) or not all(isinstance(value, fx.Node) for value in signals):
        raise Unsupported("only a list of signals can be concatenated")
    names = tuple(value.name for value in signals if isinstance(value, fx.Node))
    return Operation(node.name, "linear", names, function=Concatenate(dim))


def _identity(node: fx.Node, module: nn.Module | None) -> Operation:
    return Operation(node.name, "linear", (_signal(node),), function=nn.Identity())


MODULES: dict[type[nn.Module], Reader] = {
    nn.Conv1d: _weights,
    nn.Conv2d: _weights,
    nn.Linear: _weights,
    nn.BatchNorm2d: _norm,
    nn.BatchNorm1d: _norm,
    nn.SyncBatchNorm: _norm,
    nn.ReLU: _relu,
    nn.MaxPool1d: _module("pooling"),
    nn.MaxPool2d: _module("pooling"),
    nn.AvgPool1d: _module("linear"),
    nn.AvgPool2d: _module("linear"),
    nn.AdaptiveAvgPool1d: _module("linear"),
    nn.AdaptiveAvgPool2d: _module("linear"),
    nn.ZeroPad1d: _module("linear"),
    nn.ZeroPad2d: _module("linear"),
    nn.ConstantPad1d: _module("linear"),
    nn.ConstantPad2d: _module("linear"),
    nn.ReflectionPad1d: _module("linear"),
    nn.ReflectionPad2d: _module("linear"),
    nn.ReplicationPad1d: _module("linear"),
    nn.ReplicationPad2d: _module("linear"),
    nn.CircularPad1d: _module("linear"),
    nn.CircularPad2d: _module("linear"),
    nn.Upsample: _module("linear"),
    nn.UpsamplingNearest2d: _module("linear"),
    nn.UpsamplingBilinear2d: _module("linear"),
    nn.PixelShuffle: _module("linear"),
    nn.PixelUnshuffle: _module("linear"),
    nn.ChannelShuffle: _module("linear"),
    nn.Unflatten: _module("linear"),
    nn.Flatten: _module("linear"),
    nn.Identity: _module("linear"),
    nn.Dropout: _dropout,
    nn.Dropout2d: _dropout,
}
"""Modules, of these very types or inheriting their forward."""

FUNCTIONS: dict[Any, Reader] = {
    functional.relu: _relu,
    torch.relu: _relu,
    torch.relu_: _relu,
    functional.max_pool2d: _max_pool,
    torch.max_pool2d: _max_pool,
    functional.avg_pool2d: _average_pool,
    functional.adaptive_avg_pool2d: _adaptive_pool,
    torch.flatten: _flatten,
    torch.mean: _mean,
    torch.sum: _sum,
    torch.cat: _concatenate,
    torch.add: _add,
    operator.add: _add,
    operator.iadd: _add,
    torch.sub: _subtract,
    operator.sub: _subtract,
    operator.isub: _subtract,
    torch.mul: _multiply,
    operator.mul: _multiply,
    operator.imul: _multiply,
    torch.div: _divide,
    operator.truediv: _divide,
    operator.itruediv: _divide,
    torch.neg: _negate,
    operator.neg: _negate,
    torch.clamp: _clamp,
    torch.clamp_min: _clamp,
    functional.pad: _pad,
    functional.interpolate: _interpolate,
    functional.pixel_shuffle: _call(functional.pixel_shuffle, "upscale_factor", rearranges=True),
    torch.squeeze: _of_dims(torch.squeeze, ("dim",), "dim"),
    torch.unsqueeze: _of_dims(torch.unsqueeze, ("dim",), "dim"),
    torch.transpose: _of_dims(torch.transpose, ("dim0", "dim1"), "dim0", "dim1"),
    torch.permute: _permute,
    operator.getitem: _index,
}

METHODS: dict[str, Reader] = {
    "relu": _relu,
    "relu_": _relu,
    "flatten": _flatten,
    "view": _view,
    "reshape": _view,
    "mean": _mean,
    "sum": _sum,
    "add": _add,
    "add_": _add,
    "contiguous": _identity,
    "clone": _identity,
    "sub": _subtract,
    "sub_": _subtract,
    "mul": _multiply,
    "mul_": _multiply,
    "div": _divide,
    "div_": _divide,
    "neg": _negate,
    "clamp": _clamp,
    "clamp_": _clamp,
    "clamp_min": _clamp,
    "squeeze": _of_dims(torch.squeeze, ("dim",), "dim"),
    "unsqueeze": _of_dims(torch.unsqueeze, ("dim",), "dim"),
    "transpose": _of_dims(torch.transpose, ("dim0", "dim1"), "dim0", "dim1"),
    "permute": _permute,
}

_REASONS = {
    "only a ReLU's activation has a spike count to stand for it; use nn.ReLU": (
        "gelu silu sigmoid logsigmoid tanh elu selu celu leakyrelu leaky_relu prelu rrelu relu6 hardtanh hardswish "
        "hardsigmoid hardshrink softshrink tanhshrink mish softplus softsign swish threshold glu"
    ),
    "its statistics are the signal's own, so it is no fixed weight of an SNN; use a BatchNorm": (
        "layernorm layer_norm rmsnorm rms_norm groupnorm group_norm instancenorm1d instancenorm2d instance_norm "
        "localresponsenorm local_response_norm crossmaplrn2d"
    ),
    "it is not linear; leave it to the loss, as nn.CrossEntropyLoss does": (
        "softmax logsoftmax log_softmax softmin softmax2d"
    ),
    "a product of two signals is not linear; only a number can be multiplied with": "multiply matmul bmm pow square",
    "it is not made of convolutions, BatchNorm, ReLU, pooling, linear layers and additions": (
        "lstm gru rnn embedding multiheadattention scaled_dot_product_attention"
    ),
    "transposed convolutions are not supported; use nn.Conv2d": (
        "convtranspose1d convtranspose2d convtranspose3d conv_transpose2d"
    ),
    "images have height and width, or a length alone; use the form for two dimensions, or for one": (
        "conv3d batchnorm3d maxpool3d avgpool3d adaptiveavgpool3d dropout3d"
    ),
    "it chooses between values, which is not linear; use nn.ReLU, or nn.MaxPool2d": (
        "maximum minimum max min amax amin where abs gt lt ge le eq sign argmax topk sort"
    ),
    "its windows depend on the signal's size, or are drawn; use nn.MaxPool2d": (
        "adaptivemaxpool1d adaptivemaxpool2d adaptive_max_pool2d fractionalmaxpool2d"
    ),
    "it is not linear; use nn.AvgPool2d or nn.MaxPool2d": "lppool1d lppool2d lp_pool2d",
    "it draws random numbers otherwise than nn.Dropout and nn.Dropout2d, which are supported": (
        "alphadropout featurealphadropout alpha_dropout dropout1d stochastic_depth drop_block2d"
    ),
    "it gives several signals; take parts of one by an index, x[:, 0:8]": "chunk split unbind tensor_split unsafe_chunk",
    "signals are put beside each other by torch.cat alone; use it along a dimension that there is": "stack hstack vstack",
    "a network's type and device are those of its weights; use .to() on the network, and leave it out of the forward": (
        "to float double half bfloat16 type cuda cpu"
    ),
    "the gradient that it cuts off would flow; freeze parameters instead": "detach",
    "weights used outside a module cannot be folded; put them into nn.Conv2d, nn.Linear or a BatchNorm": (
        "get_attr conv2d linear batch_norm"
    ),
    _INDICES: "max_pool2d_with_indices",
    "whether it drops would be fixed for ever; use the module nn.Dropout": "dropout dropout2d feature_dropout",
}
_UNKNOWN = "it is not supported; write it with what is (docs/library.md, What is supported)"
REASONS = {name: reason for reason, names in _REASONS.items() for name in names.split()}
"""Why, by lower-case name of a module, function or method."""


def read(node: fx.Node, module: nn.Module | None) -> Operation:
    """Write a node as an operation.

    Args:
        node: of a traced network.
        module: the module that it calls, if it calls one.

    Raises:
        Unsupported: says why it cannot be.
    """
    if node.op == "placeholder":
        return Operation(node.name, "image")
    reader: Reader | None
    if module is not None:
        reader = next((found for kind, found in MODULES.items() if is_kind(type(module), kind)), None)
    else:
        known: dict[Any, Reader] = METHODS if node.op == "call_method" else FUNCTIONS
        reader = known.get(node.target)
    if reader is None:
        raise Unsupported(REASONS.get(kind_of(node, module).lower().rstrip("_"), _UNKNOWN))
    if module is not None and (node.kwargs or len(node.args) != 1):
        raise Unsupported("it must be called with one signal and nothing else")
    if module is not None and any(is_lazy(value) for value in module.parameters()):
        raise Unsupported("its weights have no shape yet; run the network once before")
    return reader(node, module)


def is_kind(own: type[nn.Module], kind: type[nn.Module]) -> bool:
    """Whether a class is of a kind, or inherits all that runs when a module is called."""
    return issubclass(own, kind) and inherits_all(own, kind)


def kind_of(node: fx.Node, module: nn.Module | None) -> str:
    """Give a node's kind, in words: `GELU`, `sigmoid`, `get_attr`."""
    if module is not None:
        return type(module).__name__
    if node.op == "call_function":
        return getattr(node.target, "__name__", str(node.target)).lstrip("_")
    return node.op if node.op == "get_attr" else str(node.target)
