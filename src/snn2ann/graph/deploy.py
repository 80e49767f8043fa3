"""Makes a plain spiking network out of a coupled one's plan, weights and thresholds."""

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from snn2ann.graph.neurons import IntegrateAndFire, Neurons
from snn2ann.graph.spiking import Encode, PoolCharge, Rate, Repeat, Scale, SpikingNetwork, Step
from snn2ann.network.operations import Operation, affine
from snn2ann.network.plan import Plan
from snn2ann.options import CouplingOptions


def deploy(
    plan: Plan, model: nn.Module, neurons: Mapping[str, Neurons], options: CouplingOptions, time_steps: int
) -> SpikingNetwork:
    """Write a plan as layers and steps that share nothing with the network.

    Args:
        plan: of the network.
        model: the network.
        neurons: by name; all have their thresholds.
        options: reset, membrane start, pooling and input coding are theirs.
        time_steps: T over which biases are spread.
    """
    layers: dict[str, nn.Module] = {}
    steps: list[Step] = []
    # Which result stands for an operation's.
    stands: dict[str, str] = {}

    def add(name: str, layer: nn.Module, *inputs: str, timed: bool = False) -> str:
        if name not in layers:
            layers[name] = layer
            steps.append(Step(name, inputs, timed))
        return name

    def taken(operation: Operation, name: str) -> str:
        result = stands[name]
        if operation.name in plan.readout and name not in plan.readout:
            return add(f"{result}_rate", Rate(), result, timed=True)
        mixed = operation.kind != "neurons" and operation.name not in plan.constant
        return add(f"{result}_repeated", Repeat(), result, timed=True) if mixed and name in plan.constant else result

    for operation in plan.operations:
        inputs = [taken(operation, name) for name in operation.inputs]
        name = operation.name
        if operation.kind == "image":
            divides = options.input_coding == "divide"
            stands[name] = add(name, Encode(time_steps), "images") if divides else "images"
        elif operation.kind == "dropout":
            stands[name] = inputs[0]
        elif operation.kind == "neurons":
            constant = operation.inputs[0] in plan.constant
            threshold = neurons[name].threshold.detach().clone()
            layer = IntegrateAndFire(threshold, options.reset, options.membrane_start, constant)
            stands[name] = add(name, layer, *inputs, timed=True)
        elif (
            operation.kind == "pooling" and options.pooling == "charge" and not {name} & {*plan.readout, *plan.constant}
        ):
            assert operation.function is not None
            stands[name] = add(name, PoolCharge(copy.deepcopy(operation.function)), *inputs, timed=True)
        else:
            spread = plan.bias_spread(operation, options, time_steps)
            stands[name] = add(name, _without_time(operation, model, spread), *inputs)
    if plan.output not in plan.readout:
        add("rate", Rate(), stands[plan.output], timed=True)
    return SpikingNetwork(layers, steps, time_steps)


def _without_time(operation: Operation, model: nn.Module, spread: int) -> nn.Module:
    if operation.kind != "weighted":
        return copy.deepcopy(operation.function) if operation.function else nn.Identity()
    weights = model.get_submodule(operation.weights) if operation.weights else None
    norm = model.get_submodule(operation.norm) if operation.norm else None
    assert weights is None or isinstance(weights, nn.Conv2d | nn.Linear)
    assert norm is None or isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d)
    scale, bias = affine(weights, norm, spread)
    if weights is None:
        assert scale is not None and bias is not None
        return Scale(scale.clone(), bias)
    return _folded(weights, scale, bias)


@torch.no_grad()
def _folded(weights: nn.Conv2d | nn.Linear, scale: Tensor | None, bias: Tensor | None) -> nn.Module:
    weight = weights.weight.detach()
    weight = weight.clone() if scale is None else weight * scale.view(-1, *[1] * (weight.dim() - 1))
    layer: nn.Conv2d | nn.Linear
    if isinstance(weights, nn.Linear):
        layer = nn.Linear(weights.in_features, weights.out_features, bias is not None, device="meta")
    else:
        layer = nn.Conv2d(
            weights.in_channels,
            weights.out_channels,
            weights.kernel_size,  # type: ignore[arg-type]
            weights.stride,  # type: ignore[arg-type]
            weights.padding,  # type: ignore[arg-type]
            weights.dilation,  # type: ignore[arg-type]
            weights.groups,
            bias is not None,
            weights.padding_mode,
            device="meta",
        )
    layer.weight = nn.Parameter(weight, requires_grad=False)
    layer.bias = None if bias is None else nn.Parameter(bias.clone(), requires_grad=False)
    return layer
