"""Spike-based backpropagation with checkpoints: layers are run again for backward, and their input spikes kept as bits.

SpikingJelly's own checkpointing (`memopt`). The gradients are those of `stbp`; it trades time for memory.
"""

from spikingjelly.activation_based import memopt
from torch import Tensor, nn

from snn2ann.method.signals import Observer
from snn2ann.methods.multi_step import MultiStepView
from snn2ann.methods.stbp import SpikeBasedBackpropagation


class CheckpointedBackpropagation(SpikeBasedBackpropagation):
    """`SpikeBasedBackpropagation`, every layer of which is run again in backward; options as there."""

    def make_view(self, time_steps: int, observer: Observer | None) -> MultiStepView:
        """Checkpoint the layers in training; a checkpoint of what needs no gradient would be wasted."""
        view = _CheckpointedView if self.training else MultiStepView
        return view(self.neurons, time_steps, observer)


class _CheckpointedView(MultiStepView):
    def run(self, block: nn.Module, value: Tensor, skipped: Tensor | None) -> Tensor:
        # Bits hold spikes only: the image, an analog value, is kept as it is.
        compressor = memopt.BitSpikeCompressor() if value.dim() == 5 else None
        return memopt.checkpoint_module(block, compressor=compressor)(value, skipped)
