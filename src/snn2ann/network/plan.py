"""A network's operations in the paper's order: convolution, BatchNorm, pooling, dropout, neurons."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from torch import nn

from snn2ann.errors import UserError
from snn2ann.network.operations import Operation

Operations = list[Operation]


@dataclass(frozen=True)
class Plan:
    """What is run, in order.

    Attributes:
        operations: each after those that it takes.
        output: the name of the one that gives the logits.
        constant: names of those whose result is the same at every step, as no neurons come before them.
        readout: names of those after the last neurons, which are given counts / T.
    """

    operations: tuple[Operation, ...]
    output: str
    constant: frozenset[str]
    readout: frozenset[str]

    @property
    def neurons(self) -> list[Operation]:
        """The layers of neurons, in order."""
        return [operation for operation in self.operations if operation.kind == "neurons"]

    @property
    def bypassed(self) -> list[str]:
        """Labels of the operations that take what the image alone decides beside what neurons give."""
        return [
            operation.label
            for operation in self.operations
            if operation.name not in self.constant
            and not self.constant.isdisjoint(operation.inputs)
            and operation.kind != "neurons"
        ]

    @property
    def normalised(self) -> bool:
        """Whether weights with a BatchNorm are before all neurons, with sums, pooling and shapes at most between them.

        A BatchNorm of spikes is not enough: where counts are at their limit, none is far above their mean.
        """
        by_name = {operation.name: operation for operation in self.operations}

        def comes_from_norms(operation: Operation) -> bool:
            if operation.kind in ("weighted", "image"):
                return bool(operation.weights and operation.norm)
            before = [by_name[name] for name in operation.inputs]
            currents = [each for each in before if each.kind != "neurons"]
            return bool(currents) and all(map(comes_from_norms, currents))

        return all(map(comes_from_norms, self.neurons))


def make_plan(operations: Operations, output: str) -> Plan:
    """Bring operations into the paper's order and say what comes before, between and after neurons.

    Args:
        operations: as the network has them, each after those that it takes.
        output: the name of the one that gives the logits.

    Raises:
        UserError: there are no neurons, or what feeds neurons is read out as well.
    """
    operations, output = _without_identities(operations, output)
    operations, output = _neurons_last(operations, output)
    operations = _join(operations, "weighted", "norm", "weighted", "weights")
    operations = _join(operations, "neurons", "", "dropout", "dropout")
    constant: set[str] = set()
    for operation in operations:
        if operation.kind != "neurons" and constant.issuperset(operation.inputs):
            constant.add(operation.name)
    readout = _readout(operations)
    _check(operations, output, readout)
    return Plan(tuple(_labelled(operations)), output, frozenset(constant), frozenset(readout))


def _renamed(operations: Operations, old: str, new: str) -> Operations:
    return [
        replace(operation, inputs=tuple(new if name == old else name for name in operation.inputs))
        for operation in operations
    ]


def uses(operations: Iterable[Operation]) -> Counter[str]:
    """How often each operation's result is taken."""
    return Counter(name for operation in operations for name in operation.inputs)


def _without_identities(operations: Operations, output: str) -> tuple[Operations, str]:
    kept: Operations = []
    same: dict[str, str] = {}
    for operation in operations:
        operation = replace(operation, inputs=tuple(same.get(name, name) for name in operation.inputs))
        if isinstance(operation.function, nn.Identity):
            same[operation.name] = operation.inputs[0]
        else:
            kept.append(operation)
    return kept, same.get(output, output)


def _neurons_last(operations: Operations, output: str) -> tuple[Operations, str]:
    """Move a max pooling straight after a ReLU before it, which gives the same activations.

    A ReLU that something else takes as well keeps its place, and the pooling gets neurons of its own.
    """
    place = 0
    while place < len(operations):
        moved = operations[place]
        before = {operation.name: operation for operation in operations[:place]}
        neurons = before.get(moved.inputs[0]) if moved.kind == "pooling" else None
        if neurons is None or neurons.kind != "neurons":
            place += 1
            continue
        alone = uses(operations)[neurons.name] == 1 and neurons.name != output
        after = replace(neurons, name=neurons.name if alone else f"{neurons.name}_{moved.name}", inputs=(moved.name,))
        head = [operation for operation in operations[:place] if not (alone and operation is neurons)]
        tail = _renamed(operations[place + 1 :], moved.name, after.name)
        operations = [*head, replace(moved, inputs=neurons.inputs), after, *tail]
        output = after.name if output == moved.name else output
        # The neurons that moved may be followed by another pooling.
        place = len(head) + 1
    return operations, output


def _join(operations: Operations, kind: str, field: str, before_kind: str, before_field: str) -> Operations:
    """Join an operation with the one before it, which nothing else takes: BatchNorm to weights, neurons to dropout."""
    taken = uses(operations)

    def joinable(before: Operation) -> bool:
        return not before.norm and (before.kind != "weighted" or bool(before.weights))

    by_name: dict[str, Operation] = {}
    for operation in operations:
        before = by_name.get(operation.inputs[0]) if operation.inputs else None
        joins = operation.kind == kind and (not field or (bool(operation.norm) and not operation.weights))
        if joins and before and taken[before.name] == 1 and before.kind == before_kind and joinable(before):
            del by_name[before.name]
            value = getattr(before, before_field)
            operation = replace(operation, inputs=before.inputs, **{before_field: value})
        by_name[operation.name] = operation
    return list(by_name.values())


def _readout(operations: Operations) -> set[str]:
    """Find the operations from which no path leads to neurons."""
    feeding: set[str] = set()
    for operation in reversed(operations):
        if operation.kind == "neurons" or operation.name in feeding:
            feeding.update(operation.inputs)
    return {operation.name for operation in operations if operation.name not in feeding and operation.kind != "neurons"}


def _check(operations: Operations, output: str, readout: set[str]) -> None:
    kinds = {operation.name: operation.kind for operation in operations}
    if "neurons" not in kinds.values():
        raise UserError("the network cannot be coupled: it has no ReLU, whose place neurons could take")
    counts: set[str] = set()
    for operation in operations:
        if operation.kind == "neurons" or (operation.kind == "dropout" and counts.issuperset(operation.inputs)):
            counts.add(operation.name)
        mixed = [name for name in operation.inputs if name not in readout and name not in counts]
        if operation.name in readout and mixed:
            raise UserError(
                f"the network cannot be coupled: {operation.name} reads out {', '.join(mixed)}, "
                "which feeds neurons as well; only what neurons give can be read out"
            )
    if output not in readout and output not in counts:
        raise UserError(f"the network cannot be coupled: its output, {output}, feeds neurons as well")


def _labelled(operations: Operations) -> Iterator[Operation]:
    """Number the calls of one module, so that every label stands once."""
    calls: Counter[str] = Counter()
    for operation in operations:
        if operation.kind == "neurons":
            calls[operation.label] += 1
            number = calls[operation.label]
            operation = replace(operation, label=f"{operation.label}:{number}" if number > 1 else operation.label)
        yield operation
