"""Both branches at once, layer by layer: the paper's training, and the evaluation of both."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from snn2ann.engine import events
from snn2ann.engine.counts import Counts
from snn2ann.engine.dropout import Dropout
from snn2ann.method.firing import (
    Feed,
    Sums,
    fire_by_events,
    fire_densely,
    fire_on_image,
    fire_on_sums,
    sum_events,
)
from snn2ann.method.layers import ConvolutionShortcut, SpikingLayer
from snn2ann.method.mapping import map_spikes, noisy_spike_rate
from snn2ann.method.signals import Coupled, Observation, Observer, Spikes
from snn2ann.method.thresholds import adjust_threshold
from snn2ann.method.views import PreActivation, SpikingView, pre_activation


class CoupledView:
    """The ANN's activations are replaced by the SNN's spike counts.

    The ANN branch sees counts as if from `bias_steps` steps, so with T steps they are taken times bias_steps / T.

    Args:
        spiking: the SNN branch; if it is in training mode, so must be the network.
        adjust: whether thresholds are adjusted (ATA), each layer's after its neurons ran.
        observer: is shown every layer.
        penalty: what each spike of an image adds to the loss.
    """

    def __init__(
        self,
        spiking: SpikingView,
        *,
        adjust: bool = False,
        observer: Observer | None = None,
        penalty: float = 0.0,
    ) -> None:
        self.spiking = spiking
        self.options = spiking.options
        self.adjust = adjust
        self.observer = observer
        self.penalty = penalty
        self.share = spiking.bias_steps / spiking.time_steps

    def encode(self, images: Tensor) -> Coupled:
        """Give the image to the ANN branch once, and to the SNN branch at every step."""
        return Coupled(images, self.spiking.encode(images))

    def layer(self, layer: SpikingLayer, incoming: Coupled, skipped: Coupled | None = None) -> Coupled:
        """Run one layer of both branches, and map the spike counts."""
        ann, dropout, spikes = self._branches(layer, incoming, skipped)
        self._watch(Observation(layer, incoming.spikes, skipped.spikes if skipped else None, spikes), ann, dropout)
        window = (layer.threshold, self.spiking.bias_steps) if self.options.gradient == "window" else None
        activation = map_spikes(
            ann.value,
            spikes.count,
            self.options.mapping_unit,
            dropout=dropout,
            window=window,
            factor=self.share,
            penalty=self.penalty,
        )
        return Coupled(activation, spikes)

    def _branches(
        self, layer: SpikingLayer, incoming: Coupled, skipped: Coupled | None
    ) -> tuple[PreActivation, Dropout | None, Spikes]:
        """Run the layer's ANN arithmetic and its neurons.

        Running statistics are folded as they were before this batch changes them (demo behaviour). Where the neurons go
        first, the ANN's convolution of the counts is the sum over time of theirs, and is not done again.
        """
        spiking, before = self.spiking, incoming.spikes
        by_batch = self.options.statistics == "batch" and spiking.training
        affine = None if by_batch else spiking.affine(layer, before)
        dropout = self._draw_dropout(layer, incoming)
        other = skipped.spikes if skipped else None
        by_events = spiking.runs_by_events(layer)
        if by_events and affine and not before.constant:
            spikes, known = fire_by_events(layer, Feed(before, other, *affine), spiking.settings, add_up=True)
            return self._ann(layer, incoming, skipped, known), dropout, spikes
        sums = sum_events(layer, before, other) if by_events and not before.constant else None
        ann = self._ann(layer, incoming, skipped, sums.over_time() if sums else None)
        feed = Feed(before, other, *(affine or spiking.affine(layer, before, ann)))
        if sums:
            return ann, dropout, fire_on_sums(layer, sums, feed, spiking.settings)
        fire = fire_on_image if by_events else fire_densely
        return ann, dropout, fire(layer, feed, spiking.settings)

    def _draw_dropout(self, layer: SpikingLayer, incoming: Coupled) -> Dropout | None:
        # Before the neurons draw theirs, whichever branch goes first.
        if not (layer.dropout and layer.training):
            return None
        shape = torch.Size((incoming.spikes.samples, *layer.threshold.shape[1:]))
        return Dropout.draw(shape, layer.dropout, layer.threshold)

    def _ann(
        self, layer: SpikingLayer, incoming: Coupled, skipped: Coupled | None, known: Sums | None
    ) -> PreActivation:
        if known:
            side = layer.shortcut.convolution if isinstance(layer.shortcut, ConvolutionShortcut) else None
            _take_off(known.main, layer.convolution, incoming.unmapped)
            if side and skipped:
                assert known.side is not None
                _take_off(known.side, side, skipped.unmapped)
        return pre_activation(layer, incoming.activation, skipped.activation if skipped else None, known)

    @torch.no_grad()
    def _watch(self, seen: Observation, ann: PreActivation, dropout: Dropout | None) -> None:
        if not (self.adjust or self.observer):
            return
        options = self.options
        value = ann.value.detach()
        dropped = dropout.apply(value) if dropout else value
        rate = noisy_spike_rate(dropped if options.noisy_spikes == "after_dropout" else value, seen.outgoing.count)
        if self.observer:
            self.observer(replace(seen, pre_activation=dropped, noisy_spike_rate=rate))
        if self.adjust:
            adjust_threshold(seen.layer.threshold, rate, options.ata_rate, options.ata_step, options.ata_momentum)

    def readout(self, classifier: nn.Linear, signal: Coupled) -> tuple[Tensor, Tensor]:
        """Give the logits of the ANN branch, with gradient, and of the SNN branch after T steps: [B, classes] each."""
        assert isinstance(signal.activation, Counts)
        ann = classifier(signal.activation.dense().flatten(1) / self.spiking.bias_steps)
        with torch.no_grad():
            counts = signal.spikes.count.flatten(1).to(classifier.weight.dtype)
            snn = classifier(counts / self.spiking.time_steps)
        return ann, snn


def _take_off(sums: Tensor, convolution: nn.Conv2d, counts: Tensor | None) -> None:
    """Take the counts that the mapping unit held back, which are few, out of the neurons' sums."""
    if counts is not None and bool(counts.any()):
        sums.sub_(events.convolve(counts[None], convolution, repeat=True)[0])
