"""What of PyTorch can be coupled, how it is written as an operation, and why the rest cannot."""

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional
from torch.nn.parameter import is_lazy

from snn2ann.network.besides import inherits_all
from snn2ann.network.operations import Add, Concatenate, Mean, Operation


class Unsupported(Exception):
    """Says why a node cannot be coupled."""


_INDICES = "the indices of a maximum are no signal; use return_indices=False"

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
    assert isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)
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
        if isinstance(module, nn.Flatten):
            _check_dims(module.start_dim, module.end_dim)
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
    given = _arguments(node, ("dim", "keepdim"))
    dims = given.pop("dim", None)
    keepdim = given.pop("keepdim", False)
    if given or dims is None:
        raise Unsupported("a mean must be over given dimensions, and of the signal's own type")
    dims = tuple(dims) if isinstance(dims, list | tuple) else (dims,)
    _check_dims(*dims)
    return Operation(node.name, "linear", (_signal(node),), function=Mean(dims, keepdim))


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
    names = tuple(value.name for value in node.args if isinstance(value, fx.Node))
    if node.kwargs or len(names) != len(node.args) or len(names) != 2:
        raise Unsupported("only two signals can be added, each as it is")
    return Operation(node.name, "linear", names, function=Add())


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
    nn.Conv2d: _weights,
    nn.Linear: _weights,
    nn.BatchNorm2d: _norm,
    nn.BatchNorm1d: _norm,
    nn.ReLU: _relu,
    nn.MaxPool2d: _module("pooling"),
    nn.AvgPool2d: _module("linear"),
    nn.AdaptiveAvgPool2d: _module("linear"),
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
    torch.cat: _concatenate,
    torch.add: _add,
    operator.add: _add,
    operator.iadd: _add,
}

METHODS: dict[str, Reader] = {
    "relu": _relu,
    "relu_": _relu,
    "flatten": _flatten,
    "view": _view,
    "reshape": _view,
    "mean": _mean,
    "add": _add,
    "add_": _add,
    "contiguous": _identity,
}

_REASONS = {
    "only a ReLU's activation has a spike count to stand for it; use nn.ReLU": (
        "gelu silu sigmoid logsigmoid tanh elu selu celu leakyrelu leaky_relu prelu rrelu relu6 hardtanh hardswish "
        "hardsigmoid hardshrink mish softplus softsign swish threshold glu"
    ),
    "its statistics are the signal's own, so it is no fixed weight of an SNN; use a BatchNorm": (
        "layernorm layer_norm rmsnorm rms_norm groupnorm group_norm instancenorm1d instancenorm2d instance_norm "
        "localresponsenorm local_response_norm"
    ),
    "it is not linear; leave it to the loss, as nn.CrossEntropyLoss does": (
        "softmax logsoftmax log_softmax softmin softmax2d"
    ),
    "a product, even with a number, is not supported; only sums of signals are": (
        "mul imul multiply matmul bmm truediv div pow neg"
    ),
    "it is not made of convolutions, BatchNorm, ReLU, pooling, linear layers and additions": (
        "lstm gru rnn embedding multiheadattention scaled_dot_product_attention"
    ),
    "transposed convolutions are not supported; use nn.Conv2d": (
        "convtranspose1d convtranspose2d convtranspose3d conv_transpose2d"
    ),
    "weights used outside a module cannot be folded; put them into nn.Conv2d, nn.Linear or a BatchNorm": (
        "get_attr conv2d linear batch_norm"
    ),
    _INDICES: "max_pool2d_with_indices",
    "whether it drops would be fixed for ever; use the module nn.Dropout": "dropout dropout2d feature_dropout",
}
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
        reader = next((found for kind, found in MODULES.items() if is_kind(module, kind)), None)
    else:
        known: dict[Any, Reader] = METHODS if node.op == "call_method" else FUNCTIONS
        reader = known.get(node.target)
    if reader is None:
        raise Unsupported(REASONS.get(kind_of(node, module).lower().rstrip("_"), "it is not supported"))
    if module is not None and (node.kwargs or len(node.args) != 1):
        raise Unsupported("it must be called with one signal and nothing else")
    if module is not None and any(is_lazy(value) for value in module.parameters()):
        raise Unsupported("its weights have no shape yet; run the network once before")
    return reader(node, module)


def is_kind(module: nn.Module, kind: type[nn.Module]) -> bool:
    """Whether a module is of a kind, or inherits all that runs when it is called."""
    return isinstance(module, kind) and inherits_all(module, kind)


def kind_of(node: fx.Node, module: nn.Module | None) -> str:
    """Give a node's kind, in words: `GELU`, `sigmoid`, `get_attr`."""
    if module is not None:
        return type(module).__name__
    if node.op == "call_function":
        return getattr(node.target, "__name__", str(node.target)).lstrip("_")
    return node.op if node.op == "get_attr" else str(node.target)
