"""Finds the layers in a plan: convolution, BatchNorm, shortcut, pooling, dropout and neurons, to be run as one."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from snn2ann.network.operations import Add, Operation
from snn2ann.network.plan import Plan, uses


@dataclass(frozen=True)
class FusedLayer:
    """Operations of a plan that feed one layer of neurons and nothing else.

    Attributes:
        neurons: the neurons; the layer has their name.
        main: the convolution, with its BatchNorm if it has one.
        side: the convolution of its shortcut, if that has one.
        addition: where the shortcut is added, if there is one.
        skipped: name of the signal that the shortcut takes, or "".
        pool: its pooling, if there is one.
    """

    neurons: Operation
    main: Operation
    side: Operation | None = None
    addition: Operation | None = None
    skipped: str = ""
    pool: Operation | None = None

    @property
    def name(self) -> str:
        """That of its neurons."""
        return self.neurons.name

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the signals that it takes."""
        return (self.main.inputs[0], self.skipped) if self.skipped else self.main.inputs

    @property
    def operations(self) -> list[Operation]:
        """What it is made of."""
        return [each for each in (self.main, self.side, self.addition, self.pool, self.neurons) if each]


Stage = FusedLayer | Operation


def fuse(plan: Plan, model: nn.Module) -> tuple[Stage, ...]:
    """Give the stages of a plan, each after those that it takes: layers, and the operations that are in none.

    Args:
        plan: of the network.
        model: the network; says which weights are convolutions.
    """
    search = _Search(plan, model)
    layers = {layer.name: layer for operation in plan.operations if (layer := search.layer(operation))}
    inside = {operation.name for layer in layers.values() for operation in layer.operations}
    stages: list[Stage] = []
    for operation in plan.operations:
        if operation.name in layers:
            stages.append(layers[operation.name])
        elif operation.name not in inside:
            stages.append(operation)
    return tuple(stages)


def spent(stages: Sequence[Stage], output: str) -> dict[str, tuple[str, ...]]:
    """Give, for each stage, names of the signals that no later one takes."""
    last: dict[str, str] = {}
    for stage in stages:
        last |= dict.fromkeys((stage.name, *stage.inputs), stage.name)
    last.pop(output)
    return {stage.name: tuple(name for name, user in last.items() if user == stage.name) for stage in stages}


def identities(stages: Sequence[Stage]) -> set[str]:
    """Names of the neurons whose output is added to a current as it is, as an identity shortcut does."""
    neurons = {stage.name for stage in stages if isinstance(stage, FusedLayer) or stage.kind == "neurons"}
    found: set[str] = set()
    for stage in stages:
        if isinstance(stage, FusedLayer):
            found |= {stage.skipped} if stage.skipped and stage.side is None else set()
        elif isinstance(stage.function, Add) and not neurons.issuperset(stage.inputs):
            found |= neurons & set(stage.inputs)
    return found


class _Search:
    def __init__(self, plan: Plan, model: nn.Module) -> None:
        self.model = model
        self.operations = {operation.name: operation for operation in plan.operations}
        self.uses = uses(plan.operations)
        self.output = plan.output

    def layer(self, neurons: Operation) -> FusedLayer | None:
        """Find the layer that ends in these neurons, if they are neurons and it is one."""
        if neurons.kind != "neurons":
            return None
        pool = None
        before = self.operations[neurons.inputs[0]]
        if self._pools(before):
            pool, before = before, self.operations[before.inputs[0]]
        if self._convolves(before):
            return FusedLayer(neurons, before, pool=pool)
        if not isinstance(before.function, Add) or not self._alone(before):
            return None
        one, other = (self.operations[name] for name in before.inputs)
        if self._convolves(one) and self._convolves(other):
            return FusedLayer(neurons, one, other, before, other.inputs[0], pool)
        for main, skipped in ((one, other), (other, one)):
            if self._convolves(main) and skipped.kind == "neurons":
                return FusedLayer(neurons, main, None, before, skipped.name, pool)
        return None

    def _alone(self, operation: Operation) -> bool:
        return self.uses[operation.name] == 1 and operation.name != self.output

    def _pools(self, operation: Operation) -> bool:
        averages = isinstance(operation.function, nn.AvgPool2d)
        return self._alone(operation) and (operation.kind == "pooling" or averages)

    def _convolves(self, operation: Operation) -> bool:
        """Whether it is a convolution of the plain kind, whose result nothing else takes."""
        if operation.kind != "weighted" or not operation.weights or not self._alone(operation):
            return False
        module = self.model.get_submodule(operation.weights)
        if not isinstance(module, nn.Conv2d) or isinstance(module.padding, str):
            return False
        plain = module.groups == 1 and module.dilation == (1, 1) and module.padding_mode == "zeros"
        norm = self.model.get_submodule(operation.norm) if operation.norm else None
        return plain and isinstance(norm, nn.BatchNorm2d | nn.SyncBatchNorm | None)
