"""Makes a plain spiking network out of a coupled one's plan, weights and thresholds."""

import copy

import torch
from torch import Tensor, nn

from snn2ann.engine.network import Network
from snn2ann.engine.normalisation import Weighing, affine, folds, scaled_weight
from snn2ann.engine.stages import Neurons
from snn2ann.method.spiking_network import (
    Amount,
    Encode,
    IntegrateAndFire,
    PoolCharge,
    Rate,
    Repeat,
    Scale,
    SpikingNetwork,
    Step,
)
from snn2ann.network.besides import weights_made
from snn2ann.network.operations import Add, Operation
from snn2ann.options import CouplingOptions


def deploy(
    network: Network, options: CouplingOptions, time_steps: int, bias_steps: int, *, frames: bool = False
) -> SpikingNetwork:
    """Write a plan as layers and steps that share nothing with the network.

    Args:
        network: all its neurons have their thresholds.
        options: reset, membrane start, pooling, shortcut and input coding are theirs.
        time_steps: T of training.
        bias_steps: over how many steps biases, and an image that is divided, are spread.
        frames: whether every step has an image of its own, so that nothing is the same at every step.

    Returns:
        The spiking network, in evaluation mode: from images [B, C, H, W], or frames [T, B, C, H, W], to logits [B, classes].
    """
    writer = _Writer(network, options, bias_steps, frames)
    with weights_made(network.model):
        for operation in network.plan.operations:
            writer.write(operation)
    return writer.finished(time_steps)


class _Writer:
    def __init__(self, network: Network, options: CouplingOptions, bias_steps: int, frames: bool) -> None:
        self.network, self.plan = network, network.plan
        self.options, self.bias_steps, self.frames = options, bias_steps, frames
        self.constant = frozenset() if frames else self.plan.constant
        self.kinds = {operation.name: operation for operation in self.plan.operations}
        self.layers: dict[str, nn.Module] = {}
        self.steps: list[Step] = []
        # Which result stands for an operation's.
        self.stands: dict[str, str] = {}
        # What a spike is worth in results that are still spikes, which the weights that take them are multiplied by.
        self.worth: dict[str, Tensor] = {}

    def write(self, operation: Operation) -> None:
        """Write an operation, after those that it takes."""
        name = operation.name
        inputs = [self._taken(operation, source) for source in operation.inputs]
        if operation.kind == "image":
            divides = self.options.input_coding == "divide" and not self.frames
            self.stands[name] = self._add(name, Encode(self.bias_steps), "images") if divides else "images"
        elif operation.kind == "dropout":
            self.stands[name] = inputs[0]
        elif operation.kind == "neurons":
            self.stands[name] = self._add(name, self._neurons(operation), *inputs, timed=True)
        elif operation.kind == "pooling" and self._pools_charge(name):
            assert operation.function is not None
            self.stands[name] = self._add(name, PoolCharge(copy.deepcopy(operation.function)), *inputs, timed=True)
        else:
            worth = self.worth.get(inputs[0])
            self.stands[name] = self._add(name, self._without_time(operation, worth), *inputs)
            if worth is not None and isinstance(operation.function, nn.Flatten):
                self.worth[name] = operation.function(worth) if worth.dim() else worth

    def finished(self, time_steps: int) -> SpikingNetwork:
        """Give the network, which runs for `time_steps` where nothing else is said."""
        if self.plan.output not in self.plan.readout:
            self._add("rate", Rate(), self._amount(self.stands[self.plan.output]), timed=True)
        return SpikingNetwork(
            self.layers, self.steps, time_steps, frames=self.frames, image_shape=self.network.image_shape
        ).eval()

    def _amount(self, result: str) -> str:
        """Name of a result with its spikes as what they are worth."""
        worth = self.worth.get(result)
        return result if worth is None else self._add(f"{result}_amount", Amount(worth.clone()), result)

    def _rate(self, result: str) -> str:
        rate = self._add(f"{result}_rate", Rate(), result, timed=True)
        if result in self.worth:
            self.worth[rate] = self.worth[result]
        return rate

    def _add(self, name: str, layer: nn.Module, *inputs: str, timed: bool = False) -> str:
        if name not in self.layers:
            self.layers[name] = layer
            self.steps.append(Step(name, inputs, timed))
        return name

    def _taken(self, operation: Operation, name: str) -> str:
        """Name of the result that an operation takes in the place of one of its inputs."""
        plan = self.plan
        source = self.kinds[name]
        if self._hands_on_current(operation) and source.kind == "neurons":
            # What fed the neurons, instead of what they gave.
            name = source.inputs[0]
        result = self.stands[name]
        if operation.name in plan.readout and name not in plan.readout:
            result = self._rate(result)
        mixed = operation.kind != "neurons" and operation.name not in self.constant
        if mixed and name in self.constant:
            return self._add(f"{result}_repeated", Repeat(), result, timed=True)
        # Weights are multiplied by what a spike is worth, so that spikes stay spikes up to there.
        if operation.weights:
            module = self.network.weights_of(operation).module
            stays = module is not None and folds(module, self.worth.get(result))
        else:
            stays = operation.kind == "dropout" or isinstance(operation.function, nn.Flatten)
        return result if stays else self._amount(result)

    def _pools_charge(self, name: str) -> bool:
        """Whether a max pooling is of the charge; where its input is every step's, or a mean, both ways are one."""
        return self.options.pooling == "charge" and name not in self.plan.readout | self.constant

    def _hands_on_current(self, operation: Operation) -> bool:
        """Whether an operation is an identity shortcut that is given currents."""
        adds = isinstance(operation.function, Add) and operation.name not in self.plan.readout
        spikes = all(self.kinds[name].kind == "neurons" for name in operation.inputs)
        return self.options.shortcut == "current" and adds and not spikes

    def _neurons(self, operation: Operation) -> nn.Module:
        neurons = self.network.neurons[operation.name]
        assert isinstance(neurons, Neurons)
        if neurons.worth is not None:
            worth = neurons.worth.detach()
            self.worth[operation.name] = worth.expand_as(neurons.threshold) if worth.dim() else worth
        constant = operation.inputs[0] in self.constant
        threshold = neurons.threshold.detach().clone()
        return IntegrateAndFire(threshold, self.options.reset, self.options.membrane_start, constant)

    def _without_time(self, operation: Operation, worth: Tensor | None) -> nn.Module:
        if operation.kind != "weighted":
            return copy.deepcopy(operation.function) if operation.function else nn.Identity()
        stage = self.network.weights_of(operation)
        spread = 1 if stage.readout else self.options.bias_spread(self.bias_steps, operation.name in self.constant)
        scale, bias = affine(stage.module, stage.norm, spread)
        if stage.module is None:
            assert scale is not None and bias is not None
            return Scale(scale.clone(), bias)
        return _folded(stage.module, scale, bias, worth)


@torch.no_grad()
def _folded(weights: Weighing, scale: Tensor | None, bias: Tensor | None, worth: Tensor | None) -> nn.Module:
    layer: Weighing
    if isinstance(weights, nn.Linear):
        layer = nn.Linear(weights.in_features, weights.out_features, bias is not None, device="meta")
    else:
        layer = (nn.Conv1d if isinstance(weights, nn.Conv1d) else nn.Conv2d)(
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
    layer.weight = nn.Parameter(scaled_weight(weights, scale, worth).clone(), requires_grad=False)
    layer.bias = None if bias is None else nn.Parameter(bias.clone(), requires_grad=False)
    return layer
