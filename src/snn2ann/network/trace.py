"""From a network as its author wrote it to a plan of operations, or to a list of all that cannot be coupled."""

import inspect
import operator
import traceback
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch
from torch import fx, nn

from snn2ann.network.besides import check_besides
from snn2ann.network.operations import Operation
from snn2ann.network.plan import Plan, make_plan
from snn2ann.network.refusals import Offence, grouped, refuse
from snn2ann.network.supported import MODULES, Unsupported, is_batch_size, is_kind, kind_of, read
from snn2ann.network.unchanged import unchanged
from snn2ann.network.wrappers import check_wrappers

Offences = dict[str, Offence]
"""By node."""

_ADVICE = "what it does must not depend on the values or the sizes of a signal"


class _Proxy(fx.Proxy):
    """Records `x += y` and the like as what they are, where torch.fx takes them for `x = x + y`."""

    def __iadd__(self, other: Any) -> Any:
        return self._in_place(operator.iadd, other)

    def __isub__(self, other: Any) -> Any:
        return self._in_place(operator.isub, other)

    def __imul__(self, other: Any) -> Any:
        return self._in_place(operator.imul, other)

    def __itruediv__(self, other: Any) -> Any:
        return self._in_place(operator.itruediv, other)

    def _in_place(self, target: Any, other: Any) -> fx.Proxy:
        return self.tracer.create_proxy("call_function", target, (self, other), {})


_IN_PLACE = (operator.iadd, operator.isub, operator.imul, operator.itruediv)


class _Tracer(fx.Tracer):
    """Looks into every module but PyTorch's own, and those that only inherit the forward of one."""

    def __init__(self) -> None:
        super().__init__()
        self.inside: list[str] = []
        self.outside = _contexts()

    def create_node(self, *arguments: Any, **named: Any) -> fx.Node:
        node = super().create_node(*arguments, **named)
        found = _contexts()
        node.meta["contexts"] = [name for name, value in found.items() if value != self.outside[name]]
        return node

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return super().is_leaf_module(m, module_qualified_name) or any(is_kind(type(m), kind) for kind in MODULES)

    def call_module(self, m: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        # Not left when something is raised, so that the innermost module can be named.
        self.inside.append(f"{self.path_of_module(m)} ({type(m).__name__})")
        result = super().call_module(m, forward, args, kwargs)
        self.inside.pop()
        return result

    def proxy(self, node: fx.Node) -> fx.Proxy:
        return _Proxy(node, self)


def _contexts() -> dict[str, Any]:
    """What a `with` statement of a forward may have changed."""
    devices = ("cpu", "cuda")
    autocast = [(torch.is_autocast_enabled(device), torch.get_autocast_dtype(device)) for device in devices]
    return {"torch.no_grad": torch.is_grad_enabled(), "torch.autocast": autocast}


def trace(model: nn.Module) -> Plan:
    """Trace a network and write it as a plan; the network is not changed.

    Raises:
        UserError: names all that cannot be coupled, by module, kind and reason.
    """
    check_wrappers(model)
    check_besides(model)
    graph, offences = _traced(model)
    for node in graph.nodes:
        # Operations become attributes of modules, which have some of their own.
        node.name += "_" * hasattr(nn.ModuleDict, node.name)
    nodes = {node.name: node for node in graph.nodes}
    offences |= _in_place(graph, model)
    operations, wanted = {}, _output(graph)
    while wanted:
        node = nodes[wanted.pop()]
        if node.name in operations:
            continue
        try:
            operation = read(node, _module(model, node))
        except Unsupported as error:
            offences[node.name] = (_place(model, node), kind_of(node, _module(model, node)), str(error))
            # What goes into it may be an offender too.
            inputs = tuple(source.name for source in node.all_input_nodes if not _is_size(source))
            operation = Operation(node.name, "linear", inputs)
        operations[node.name] = replace(operation, label=_label(model, node))
        wanted.extend(operation.inputs)
    order = [*nodes, *(name for name in offences if name not in nodes)]
    if offences:
        raise refuse(grouped(offences[name] for name in order if name in offences))
    return make_plan([operations[name] for name in nodes if name in operations], _output(graph)[0])


def _traced(model: nn.Module) -> tuple[fx.Graph, Offences]:
    """Trace a network in training and in evaluation, and find what a trace has lost: what is done once for all images."""
    with unchanged(model) as before:
        graphs = []
        for training in (True, False):
            model.train(training)
            graphs.append(_graph(model))
        lost = {f"{name} {key}": _changes(name, module, key) for name, module, key in before.changed()}
        if before.has_drawn():
            reason = "it draws random numbers, which would be drawn once, when it is traced; use the module nn.Dropout"
            lost["random"] = (f"its forward (of {type(model).__name__})", "random", reason)
        graph = graphs[0]
        for node in graph.nodes:
            for context in node.meta["contexts"]:
                reason = (
                    f"it is run under {context}, which a plan does not know; leave it to the loop, or freeze parameters"
                )
                lost[node.name] = (_place(model, node), context, reason)
        if node := _first_difference(*graphs):
            reason = (
                "it is something else in training than in evaluation (self.training); write a forward that is the same"
            )
            lost[node.name] = (_place(model, node), "training", reason)
    return graph, lost


def _changes(name: str, module: nn.Module, key: str) -> Offence:
    place = f"{name or 'the network itself'} ({type(module).__name__})"
    return place, "change", f"its forward changes its {key}, which would be done once, when it is traced; take it out"


def _first_difference(one: fx.Graph, other: fx.Graph) -> fx.Node | None:
    def written(node: fx.Node | None) -> tuple[str, ...]:
        return () if node is None else tuple(map(str, (node.op, node.target, node.args, node.kwargs)))

    pairs = zip_longest(one.nodes, other.nodes)
    # The graphs end in an output each, so that what is longer differs before that.
    return next((first for first, second in pairs if first and written(first) != written(second)), None)


def _graph(model: nn.Module) -> fx.Graph:
    tracer = _Tracer()
    parameters = list(inspect.signature(model.forward).parameters.values())
    # Arguments with a default are left at it.
    fixed = {p.name: p.default for p in parameters if p.default is not p.empty}
    if len(parameters) - len(fixed) != 1:
        raise refuse([f"its forward (of {type(model).__name__}) must take images and nothing else that has no default"])
    try:
        return tracer.trace(model, concrete_args=fixed or None)
    except Exception as error:
        where = tracer.inside[-1] if tracer.inside else f"its forward (of {type(model).__name__})"
        raise refuse([f"{where}{_line(error)}: it cannot be traced ({error}); {_ADVICE}"]) from error


def _line(error: Exception) -> str:
    own = Path(torch.__file__).parent
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if own not in Path(frame.filename).parents]
    last = frames[-1]
    return "" if Path(last.filename) == Path(__file__) else f", {Path(last.filename).name} line {last.lineno}"


def _output(graph: fx.Graph) -> list[str]:
    (result,) = next(node for node in graph.nodes if node.op == "output").args
    if not isinstance(result, fx.Node):
        raise refuse([f"its forward gives {type(result).__name__}; it must give one tensor, the logits"])
    return [result.name]


def _module(model: nn.Module, node: fx.Node) -> nn.Module | None:
    return model.get_submodule(str(node.target)) if node.op == "call_module" else None


def _label(model: nn.Module, node: fx.Node) -> str:
    """Where a node stands: its module, else the module whose forward it is in, else its own name."""
    if node.op == "call_module":
        return str(node.target)
    stack = list(node.meta.get("nn_module_stack", {}).values())
    return str(stack[-1][0]) if stack else node.name


def _place(model: nn.Module, node: fx.Node) -> str:
    kind = kind_of(node, _module(model, node))
    if node.op == "call_module":
        return f"{node.target} ({kind})"
    if node.op == "get_attr":
        return f"{node.target} (parameter or buffer)"
    stack = list(node.meta.get("nn_module_stack", {}).values())
    inside = f"in {stack[-1][0]} ({stack[-1][1].__name__})" if stack else f"in forward of {type(model).__name__}"
    return f"{kind} {inside}"


def _is_size(node: fx.Node) -> bool:
    return is_batch_size(node) or node.target in ("size", getattr)


def _in_place(graph: fx.Graph, model: nn.Module) -> Offences:
    """Find what overwrites a value that is used again, which no longer has the value that the graph says."""
    order = {node: number for number, node in enumerate(graph.nodes)}
    offences = {}
    for node in graph.nodes:
        if node.args and isinstance(node.args[0], fx.Node) and _overwrites(node, _module(model, node)):
            if _source(node.args[0], model).op == "get_attr":
                reason = "it changes a parameter or buffer, which would not be done; take it out of the forward"
                offences[node.name] = (_place(model, node), kind_of(node, None), reason)
            users = _users_of_storage(node.args[0], model, node)
            if any(order[user] > order[node] for user in users):
                reason = "it works in place on a value that is used again; use its form that is not in place"
                offences[node.name] = (_place(model, node), kind_of(node, _module(model, node)), reason)
    return offences


def _overwrites(node: fx.Node, module: nn.Module | None) -> bool:
    if module is not None:
        return bool(getattr(module, "inplace", False))
    # PyTorch's own mark, beside `x += y`.
    return node.target in _IN_PLACE or kind_of(node, None).endswith("_") or bool(node.kwargs.get("inplace"))


def _source(node: fx.Node, model: nn.Module) -> fx.Node:
    """Whose storage a value has."""
    while _is_view(node, model) and isinstance(node.args[0], fx.Node):
        node = node.args[0]
    return node


def _users_of_storage(node: fx.Node, model: nn.Module, overwriting: fx.Node) -> list[fx.Node]:
    """All that use a value or a view of it, but those that take what `overwriting` gives."""
    found, views = [], [_source(node, model)]
    while views:
        users = list(views.pop().users)
        found += users
        views += [user for user in users if _is_view(user, model) and user is not overwriting]
    return found


def _is_view(node: fx.Node, model: nn.Module) -> bool:
    module = _module(model, node)
    if module is not None:
        return isinstance(module, nn.Flatten | nn.Identity | nn.Dropout | nn.Dropout2d)
    views = (
        "flatten",
        "view",
        "reshape",
        "contiguous",
        "squeeze",
        "unsqueeze",
        "transpose",
        "permute",
        "getitem",
        "detach",
    )
    data = node.target is getattr and node.args[1:] == ("data",)
    return data or kind_of(node, None) in views
