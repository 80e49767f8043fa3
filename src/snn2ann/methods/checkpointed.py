"""Spike-based backpropagation with checkpoints: layers are run again for backward, and their input spikes kept as bits.

SpikingJelly's own checkpointing (`memopt`). The gradients are those of `stbp`; it trades time for memory.
"""

from spikingjelly.activation_based import memopt
from torch import Tensor, nn

from snn2ann.engine.signals import Observer, Spikes
from snn2ann.engine.stages import Layer
from snn2ann.methods.multi_step import MultiStepInterpreter
from snn2ann.methods.stbp import SpikeBasedBackpropagation


class CheckpointedBackpropagation(SpikeBasedBackpropagation):
    """`SpikeBasedBackpropagation`, every whole layer of which is run again in backward; options as there.

    Single operations, where a network is not made of layers, are not.
    """

    def make_interpreter(self, time_steps: int, observer: Observer | None) -> MultiStepInterpreter:
        """Checkpoint the layers in training; a checkpoint of what needs no gradient would be wasted."""
        interpreter = _CheckpointedInterpreter if self.training else MultiStepInterpreter
        return interpreter(self.neurons_by_label(), time_steps, observer)


class _CheckpointedInterpreter(MultiStepInterpreter):
    def layer(self, stage: Layer, incoming: Spikes, skipped: Spikes | None = None) -> Spikes:
        block = _Block(self, stage, incoming, skipped)
        # Bits hold spikes only: the image, an analog value, is kept as it is.
        compressor = memopt.BitSpikeCompressor() if incoming.binary else None
        value = memopt.checkpoint_module(block, compressor=compressor)(
            incoming.value, skipped.value if skipped else None
        )
        return Spikes(value, binary=True)


class _Block(nn.Module):
    """A layer as a module of tensors, for one forward pass and its repetition."""

    def __init__(
        self, interpreter: MultiStepInterpreter, stage: Layer, incoming: Spikes, skipped: Spikes | None
    ) -> None:
        super().__init__()
        self.interpreter, self.stage = interpreter, stage
        self.constant, self.skipped_constant = incoming.constant, bool(skipped and skipped.constant)
        # Registered, so that BatchNorms are found, which take no statistics when a layer is run again.
        weights = [stage.main] if stage.side is None else [stage.main, stage.side]
        modules = [module for each in weights for module in (each.module, each.norm) if module is not None]
        self.modules_inside = nn.ModuleList([*modules, interpreter.neurons[stage.fire.neurons.label]])

    def forward(self, value: Tensor, skipped: Tensor | None) -> Tensor:
        """Give spikes [T, B, ...]."""
        incoming = Spikes(value, constant=self.constant)
        other = None if skipped is None else Spikes(skipped, constant=self.skipped_constant)
        return MultiStepInterpreter.layer(self.interpreter, self.stage, incoming, other).value
