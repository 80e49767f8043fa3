"""Peers that a step is timed beside: networks run the way each library's users run them, from the same weights."""

from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any

import snntorch
import torch
from snntorch import surrogate
from spikingjelly.activation_based import functional as spikingjelly
from torch import Tensor, nn

from snn2ann.engine.interpreter import Interpreter
from snn2ann.engine.network import Network
from snn2ann.engine.signals import Observer, Spikes
from snn2ann.engine.stages import Fire, Pool, Weigh
from snn2ann.methods.model import Loss, Model, Step
from snn2ann.methods.multi_step import MultiStepInterpreter
from snn2ann.methods.stbp import SpikeBasedBackpropagation


class SpikingJelly(SpikeBasedBackpropagation):
    """SpikingJelly's multi-step mode: the image at every step, its own functions, PyTorch's pooling."""

    def make_interpreter(self, time_steps: int, observer: Observer | None) -> MultiStepInterpreter:
        return _SpikingJellyInterpreter(self.neurons_by_label(), time_steps, observer)


class _SpikingJellyInterpreter(MultiStepInterpreter):
    def image(self, images: Tensor) -> Spikes:
        return Spikes(images.expand(self.time_steps, *images.shape))

    def each(self, function: Callable[..., Tensor], *signals: Spikes) -> Spikes:
        if len(signals) > 1:
            return Spikes(function(*[signal.value for signal in signals]))
        return Spikes(spikingjelly.seq_to_ann_forward(signals[0].value, function))

    def weigh(self, stage: Weigh, incoming: Spikes) -> Spikes:
        modules = [module for module in (stage.module, stage.norm) if module is not None]
        return self.each(nn.Sequential(*modules), incoming)

    def pool(self, stage: Pool, incoming: Spikes) -> Spikes:
        return self.each(stage.function, incoming)


class SnnTorch(Model):
    """snnTorch: one step of the whole network after the other. Its reset comes a step later than the others'."""

    def __init__(self, network: Network, time_steps: int, options: Mapping[str, Any]) -> None:
        super().__init__(network, time_steps, options)
        gradient = surrogate.atan(alpha=options["surrogate_width"])
        self.neurons = {
            label: snntorch.Leaky(beta=1.0, threshold=options["threshold"], spike_grad=gradient, reset_mechanism="zero")
            for label in self.network.by_label()
        }

    def training_step(self, images: Tensor, labels: Tensor, loss: Loss, observer: Observer | None = None) -> Step:
        logits = self._run(images, self.time_steps).mean(0)
        return Step(loss(logits, labels), logits)

    @torch.no_grad()
    def spiking_forward(self, images: Tensor, time_steps: int, observer: Observer | None = None) -> Tensor:
        return self._run(images, time_steps)

    def _run(self, images: Tensor, time_steps: int) -> Tensor:
        interpreter = _SnnTorchInterpreter(self.neurons)
        return torch.stack([self.network.run_by(interpreter, images) for _ in range(time_steps)])


class _SnnTorchInterpreter(Interpreter[Tensor, Tensor]):
    """One step of all stages; membranes go on from where they are."""

    def __init__(self, neurons: dict[str, Any]) -> None:
        self.neurons = neurons
        self.membranes = {label: each.init_leaky() for label, each in neurons.items()}

    def image(self, images: Tensor) -> Tensor:
        return images

    def each(self, function: Callable[..., Tensor], *signals: Tensor) -> Tensor:
        return function(*signals)

    def pool(self, stage: Pool, incoming: Tensor) -> Tensor:
        return stage.function(incoming)

    def fire(self, stage: Fire, incoming: Tensor) -> Tensor:
        label = stage.neurons.label
        current = incoming if stage.dropout is None else stage.dropout(incoming)
        spikes, self.membranes[label] = self.neurons[label](current, self.membranes[label])
        return spikes

    def result(self, signal: Tensor) -> Tensor:
        return signal


PEERS: dict[str, tuple[type[Model], str]] = {
    "spikingjelly": (SpikingJelly, f"spikingjelly {version('spikingjelly')}"),
    "snntorch": (SnnTorch, f"snntorch {version('snntorch')}"),
}
