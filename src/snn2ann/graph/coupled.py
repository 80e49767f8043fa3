"""A network of one's own, coupled: both branches over its weights, operation by operation."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from snn2ann.engine.counts import Counts, count_type
from snn2ann.engine.dropout import Dropout
from snn2ann.engine.neuron import integrate_and_fire
from snn2ann.engine.pooling import max_pool, pool_charge
from snn2ann.graph.deploy import deploy
from snn2ann.graph.neurons import Neurons
from snn2ann.graph.saving import counts_as_bytes
from snn2ann.graph.spiking import SpikingNetwork
from snn2ann.method.layers import normalise
from snn2ann.method.mapping import map_spikes, noisy_spike_rate
from snn2ann.method.thresholds import adjust_threshold
from snn2ann.network.operations import Operation, affine, apply_scaled
from snn2ann.network.plan import Plan
from snn2ann.options import CouplingOptions

Statistics = tuple[Tensor, Tensor] | None


@dataclass
class Signal:
    """What an operation gives.

    Attributes:
        spiking: the SNN branch's, [T, B, ...], or [1, B, ...] if it is the same at every step.
        ann: the ANN branch's, [B, ...], if that is run: counts where they come from neurons.
    """

    spiking: Tensor
    ann: Tensor | Counts | None


@dataclass(frozen=True)
class LayerReport:
    """A layer of neurons in the last batch.

    Attributes:
        name: of the layer, after the call of the ReLU in whose place it is.
        neurons: how many.
        threshold: their mean threshold.
        spikes_per_image: over all steps.
        noisy_spike_rate: share of neurons that fired although the ANN's activation is zero; None where only the SNN ran.
    """

    name: str
    neurons: int
    threshold: float
    spikes_per_image: float
    noisy_spike_rate: float | None


def floats_of(model: nn.Module) -> Tensor:
    """Give a tensor of the type and on the device of a model's weights; an ordinary one where it has none."""
    return next((value.detach() for value in model.parameters() if value.is_floating_point()), torch.empty(0))


class CoupledNetwork(nn.Module):
    """A network whose ReLU activations are, in training, the spike counts of IF neurons that share its weights.

    In training mode it is the ANN branch, with gradient; in evaluation mode the SNN branch, without.

    Args:
        model: the network; its parameters and statistics are used as they are, and trained.
        plan: its operations.
        time_steps: T.
        options: how the branches are coupled.

    Attributes:
        model: the network.
        neurons: layers of neurons by name.
        time_steps: T.
        options: how the branches are coupled.
        progress: share of the training that is done, from 0 to 1, which a price on spikes may fall with; yours to set. Where
            nobody does, the price is its mean over the training, that of one half.
    """

    progress: float = 0.5

    def __init__(self, model: nn.Module, plan: Plan, time_steps: int, options: CouplingOptions) -> None:
        super().__init__()
        self.model = model
        self.plan = plan
        self.time_steps = time_steps
        self.options = options
        self.neurons = nn.ModuleDict({name: Neurons(floats_of(model)) for name in plan.neurons})
        # The network's own modules keep their modes.
        self.training = model.training

    @torch.no_grad()
    def make_thresholds(self, images: Tensor) -> None:
        """Make the thresholds for images [B, C, H, W]; nothing else changes, and no statistics are taken of them."""
        mode = self.training
        # Only this flag: in evaluation the ANN branch, and with it BatchNorm, is not run.
        self.training = False
        try:
            self(torch.zeros_like(images[:1]))
        finally:
            self.training = mode

    def forward(self, images: Tensor) -> Tensor:
        """Give the logits of the ANN branch, with gradient, in training mode; else those of the SNN.

        Args:
            images: [B, C, H, W], or whatever the network takes.

        Returns:
            [B, classes].
        """
        if not self.training:
            return self._run(images, both=False).spiking[0]
        logits, _ = self.branches(images)
        return logits

    def branches(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Run both branches; thresholds are adjusted in training mode only.

        Returns:
            Logits of the ANN branch, with gradient, and of the SNN branch, without: [B, classes] each.
        """
        if not self._sized():
            self.make_thresholds(images)
        signal = self._run(images, both=True)
        assert isinstance(signal.ann, Tensor)
        return signal.ann, signal.spiking[0]

    def layers(self) -> list[LayerReport]:
        """Report on the layers of neurons, in order, as they were in the last batch.

        Raises:
            RuntimeError: there was none.
        """
        reports = []
        for name, layer in self._neurons():
            if layer.spikes_per_image is None:
                raise RuntimeError("there is nothing to report before the first images")
            rate = None if layer.noisy_spike_rate is None else layer.noisy_spike_rate.item()
            mean, spikes = layer.threshold.mean().item(), layer.spikes_per_image.item()
            reports.append(LayerReport(name, layer.threshold.numel(), mean, spikes, rate))
        return reports

    def thresholds(self) -> dict[str, Tensor]:
        """Give the thresholds themselves, [1, ...] each, by layer; empty before the first images."""
        return {name: layer.threshold for name, layer in self._neurons()}

    def spiking(self) -> SpikingNetwork:
        """Give the network as a plain spiking one, of the running statistics; it shares nothing with this one.

        Raises:
            RuntimeError: thresholds are not known before the first images.
        """
        if not self._sized():
            raise RuntimeError(
                "how many neurons there are is not known before the first images; give some, or image_shape"
            )
        return deploy(self.plan, self.model, dict(self._neurons()), self.options, self.time_steps)

    def _sized(self) -> bool:
        return all(layer.threshold.numel() for _, layer in self._neurons())

    def _neurons(self) -> Iterator[tuple[str, Neurons]]:
        for name, layer in self.neurons.items():
            assert isinstance(layer, Neurons)
            yield name, layer

    def _run(self, images: Tensor, *, both: bool) -> Signal:
        signals: dict[str, Signal] = {}
        for operation in self.plan.operations:
            taken = [self._taken(operation, name, signals[name]) for name in operation.inputs]
            signals[operation.name] = self._signal(operation, taken, images, both)
            # A layer's spikes are freed when no later one needs them.
            for name in self.plan.spent[operation.name]:
                del signals[name]
        output = signals[self.plan.output]
        return output if self.plan.output in self.plan.readout else self._rate(output)

    def _taken(self, operation: Operation, name: str, signal: Signal) -> Signal:
        readout = self.plan.readout
        return self._rate(signal) if operation.name in readout and name not in readout else signal

    def _rate(self, signal: Signal) -> Signal:
        """Give counts / T, which is what is read out in both branches."""
        ann = signal.ann.dense() / self.time_steps if isinstance(signal.ann, Counts) else None
        return Signal(signal.spiking.sum(0, keepdim=True) / self.time_steps, ann)

    def _signal(self, operation: Operation, taken: list[Signal], images: Tensor, both: bool) -> Signal:
        if operation.kind == "image":
            divide = self.options.input_coding == "divide"
            return Signal((images / self.time_steps if divide else images)[None], images if both else None)
        if operation.kind == "neurons":
            return self._fire(operation, taken[0])
        if operation.kind == "dropout":
            return Signal(taken[0].spiking, self._ann(operation, taken)[0] if both else None)
        if operation.kind != "weighted":
            ann = self._ann(operation, taken)[0] if both else None
            function, values = operation.function, [signal.spiking for signal in taken]
            if operation.kind == "pooling" and self.options.pooling == "charge":
                assert function is not None
                with torch.no_grad():
                    return Signal(pool_charge(values[0], function), ann)
            return Signal(_spiking(function, values), ann)
        return self._weigh(operation, taken, both)

    def _weigh(self, operation: Operation, taken: list[Signal], both: bool) -> Signal:
        """Run a convolution or linear layer and its BatchNorm.

        Running statistics are folded as they were before this batch changes them (demo behaviour).
        """
        by_batch = both and self.training and self.options.statistics == "batch"
        before = None if by_batch else self._affine(operation)
        ann, statistics = self._ann(operation, taken) if both else (None, None)
        scale, bias = before or self._affine(operation, statistics)
        weights = self._module(operation.weights)
        return Signal(_spiking(lambda value: apply_scaled(weights, value, scale, bias), [taken[0].spiking]), ann)

    def _affine(self, operation: Operation, statistics: Statistics = None) -> tuple[Tensor | None, Tensor | None]:
        spread = self.plan.bias_spread(operation, self.options, self.time_steps)
        return affine(self._module(operation.weights), self._module(operation.norm), spread, statistics)

    def _module(self, name: str) -> Any:
        return self.model.get_submodule(name) if name else None

    def _ann(self, operation: Operation, taken: list[Signal]) -> tuple[Tensor, Statistics]:
        """Run an operation in the ANN branch, and say which statistics a BatchNorm used if they are the batch's."""
        with counts_as_bytes() as dense:
            values = [dense(signal.ann) for signal in taken]
            if operation.kind == "dropout":
                return self._module(operation.dropout)(values[0]), None
            if operation.kind == "pooling":
                return _pool(operation.function, values[0]), None
            if operation.kind == "linear":
                assert operation.function is not None
                return operation.function(*values), None
            value = self._module(operation.weights)(values[0]) if operation.weights else values[0]
        norm = self._module(operation.norm)
        if norm is None or self.options.statistics == "running":
            return value if norm is None else norm(value), None
        return normalise(norm, value)

    def _fire(self, operation: Operation, taken: Signal) -> Signal:
        """Run a layer of neurons, and put their counts in the place of the ANN's activations."""
        options, layer = self.options, self.neurons[operation.name]
        assert isinstance(layer, Neurons)
        layer.size_for(operation.name, taken.spiking, options.threshold_start)
        dropout = self._draw_dropout(operation, taken, layer.threshold)
        with torch.no_grad():
            current = taken.spiking.to(layer.threshold.dtype)
            spikes = integrate_and_fire(
                current.expand(self.time_steps, *current.shape[1:]),
                layer.threshold,
                reset=options.reset,
                membrane_start=options.membrane_start,
                membrane_dropout=options.membrane_dropout if self.training else 0.0,
            )
            count = spikes.sum(0).to(count_type(self.time_steps))
            layer.spikes_per_image = spikes.sum() / len(count)
        ann = taken.ann.dense() if isinstance(taken.ann, Counts) else taken.ann
        self._watch(layer, ann, dropout, count)
        if ann is None:
            return Signal(spikes, None)
        window = (layer.threshold, self.time_steps) if options.gradient == "window" else None
        penalty = options.penalty_at(self.progress) / sum(other.threshold.numel() for _, other in self._neurons())
        unit = options.mapping_unit
        return Signal(spikes, map_spikes(ann, count, unit, dropout=dropout, window=window, penalty=penalty))

    def _draw_dropout(self, operation: Operation, taken: Signal, like: Tensor) -> Dropout | None:
        # Before the neurons draw theirs, as the project's own networks do.
        module = self._module(operation.dropout)
        if module is None or taken.ann is None or not module.training or not module.p:
            return None
        shape = taken.spiking.shape[1:]
        whole = isinstance(module, nn.Dropout2d)
        return Dropout.draw(torch.Size((*shape[:2], 1, 1)) if whole else shape, module.p, like)

    @torch.no_grad()
    def _watch(self, layer: Neurons, ann: Tensor | None, dropout: Dropout | None, count: Tensor) -> None:
        """Measure noisy spikes, and adjust the thresholds where there are too many (ATA)."""
        options = self.options
        layer.noisy_spike_rate = None
        if ann is None:
            return
        dropped = dropout.apply(ann) if dropout and options.noisy_spikes == "after_dropout" else ann
        layer.noisy_spike_rate = rate = noisy_spike_rate(dropped, count)
        if self.training and options.ata:
            adjust_threshold(layer.threshold, rate, options.ata_rate, options.ata_step, options.ata_momentum)


@torch.no_grad()
def _spiking(function: Callable[..., Tensor] | None, values: list[Tensor]) -> Tensor:
    """Run a function that knows nothing of time on [T, B, ...], T folded into the batch."""
    assert function is not None
    steps = max(len(value) for value in values)
    merged = [value.expand(steps, *value.shape[1:]).flatten(0, 1) for value in values]
    return function(*merged).unflatten(0, (steps, -1))


def _pool(pooling: nn.Module | None, value: Tensor) -> Tensor:
    assert isinstance(pooling, nn.MaxPool2d)
    plain = (pooling.kernel_size, pooling.stride, pooling.padding, pooling.dilation, pooling.ceil_mode)
    # The project's own keeps fewer bytes for backward.
    return max_pool(value) if plain == (2, 2, 0, 1, False) else pooling(value)
