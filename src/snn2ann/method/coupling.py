"""Both branches at once, stage by stage: the paper's training, and the evaluation of both."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from snn2ann.engine import events
from snn2ann.engine.autocast import autocast_type
from snn2ann.engine.counts import Counts, Number, counts_as_bytes, is_one, linear_of_sum
from snn2ann.engine.dropout import Dropout
from snn2ann.engine.firing import Sums, fire_densely, fire_on_image, fire_on_sums, sum_and_fire, sum_layer
from snn2ann.engine.interpreter import Interpreter, without_gradient
from snn2ann.engine.normalisation import Statistics, normalise
from snn2ann.engine.pooling import pool
from snn2ann.engine.processes import share_of_all
from snn2ann.engine.signals import Coupled, Observation, Observer, Spikes
from snn2ann.engine.stages import Apply, Drop, Fire, Layer, Pool, Stage, Weigh, firing
from snn2ann.engine.ways import Way
from snn2ann.method.mapping import map_spikes, noisy_spike_rate
from snn2ann.method.spiking import BatchStatistics, SpikingInterpreter, floats
from snn2ann.method.thresholds import adjust_threshold, learned_by
from snn2ann.network.operations import Shift
from snn2ann.network.plan import Plan
from snn2ann.network.refusals import refuse
from snn2ann.options import CouplingOptions


def check_coding(plan: Plan, options: CouplingOptions, time_steps: int) -> None:
    """Refuse what the image comes round neurons to, where the sum of its currents is not in proportion to the ANN's value.

    Raises:
        UserError: the image is whole at every step and biases are not, and both are added to what spikes charge.
    """
    if options.input_coding == "repeat" and time_steps > 1 and plan.bypassed:
        raise refuse(
            f"{label}: the image comes round neurons to it, and with input_coding 'repeat' it is charged {time_steps} times "
            "and its biases once; use input_coding 'direct' or 'divide'"
            for label in plan.bypassed
        )
    shifted = [
        each.label for each in plan.operations if isinstance(each.function, Shift) and each.name in plan.constant
    ]
    if options.input_coding == "repeat" and time_steps > 1 and shifted:
        raise refuse(
            f"{label}: a number is added to the image, which with input_coding 'repeat' comes {time_steps} times and the "
            "number once; use input_coding 'direct' or 'divide', or do it to the images before"
            for label in shifted
        )


class CoupledInterpreter(Interpreter[Coupled, tuple[Tensor, Tensor]]):
    """The ANN's activations are replaced by the SNN's spike counts.

    The ANN branch sees counts as if from `bias_steps` steps, so with T steps they are taken times bias_steps / T.

    Args:
        spiking: the SNN branch; if it is in training mode, so must be the network.
        adjust: whether thresholds are adjusted (ATA), each layer's after its neurons ran.
        observer: is shown every stage.
        progress: share of the training that is done, where spikes have a price or thresholds are learned; a scalar in a
            compiled network.
        neurons: of the whole network, on the mean of which a spike has its price; 0 for none.
        weight: what the batch weighs in the step, of which it may be a part.

    Attributes:
        price: what the batch's spikes cost, on the mean of its images: a scalar with gradient, or None.
    """

    def __init__(
        self,
        spiking: SpikingInterpreter,
        *,
        adjust: bool = False,
        observer: Observer | None = None,
        progress: Number = 0.0,
        neurons: int = 0,
        weight: float = 1.0,
    ) -> None:
        self.spiking = spiking
        self.options = spiking.options
        self.adjust = adjust
        self.observer = observer
        priced = neurons and self.options.spike_penalty
        self.penalty = self.options.penalty_at(progress) / neurons if priced else 0.0
        self.descent = self.options.descent_at(progress) * weight if self.options.threshold_descent else None
        self.price: Tensor | None = None
        self.share = spiking.bias_steps / spiking.time_steps
        # Of the neurons that ran last, for the observer: p after dropout, and their noisy-spike rate.
        self.last: tuple[Tensor | None, Tensor | None] = (None, None)

    def image(self, images: Tensor) -> Coupled:
        """Give the image to the ANN branch once, and to the SNN branch at every step; of frames, their sum and each."""
        if self.spiking.frames:
            return Coupled(images.sum(0), self.spiking.image(images), adds_up=True)
        return Coupled(images, self.spiking.image(images))

    # Whole layers.

    def layer(self, stage: Layer, incoming: Coupled, skipped: Coupled | None = None) -> Coupled:
        """Run one layer of both branches, and map the spike counts."""
        way = self.spiking.way(stage, incoming.spikes, skipped.spikes if skipped else None)
        value, dropout, spikes = self._branches(stage, incoming, skipped, way)
        return self._mapped(stage.fire, value, dropout, spikes, kernels=way is Way.TRITON)

    def _branches(
        self, stage: Layer, incoming: Coupled, skipped: Coupled | None, way: Way
    ) -> tuple[Tensor, Dropout | None, Spikes]:
        """Run the layer's ANN arithmetic up to its dropout, and its neurons.

        Running statistics are folded as they were before this batch changes them (demo behaviour). Where the neurons go
        first, the ANN's convolution of the counts is the sum over time of theirs, and is not done again.
        """
        spiking, before = self.spiking, incoming.spikes
        other = skipped.spikes if skipped else None
        feed = None if self._by_batch else spiking.feed(stage, before, other)
        dropout = self._draw_dropout(stage.fire, before.samples)
        sums_first = way is not Way.TORCH and not before.constant
        adds_up = sums_first and _known(incoming, skipped, stage, way)
        if feed and sums_first:
            spikes, sums = sum_and_fire(stage, feed, spiking.settings, way, add_up=adds_up)
            return self._pre_activation(stage, incoming, skipped, sums)[0], dropout, spikes
        sums = sum_layer(stage, before, other, way) if sums_first else None
        known = sums.over_time() if sums and adds_up else None
        value, statistics = self._pre_activation(stage, incoming, skipped, known)
        feed = feed or spiking.feed(stage, before, other, statistics)
        if sums:
            return value, dropout, fire_on_sums(stage, sums, feed, spiking.settings, way)
        if way is Way.TORCH:
            return value, dropout, fire_densely(stage, feed, spiking.settings)
        return value, dropout, fire_on_image(stage, feed, spiking.settings, way)

    def _pre_activation(
        self, stage: Layer, incoming: Coupled, skipped: Coupled | None, known: Sums | None
    ) -> tuple[Tensor, BatchStatistics]:
        """Run a layer's ANN arithmetic up to its dropout and ReLU; `known` sums are overwritten."""
        if known:
            _take_off(known.main, stage.main, incoming.unmapped)
            if known.side is not None and stage.side and skipped:
                _take_off(known.side, stage.side, skipped.unmapped)
        value, main = self._normalised(stage.main, _convolve(stage.main, incoming, known.main if known else None))
        side = None
        if skipped:
            if stage.side:
                convolved = _convolve(stage.side, skipped, known.side if known else None)
                addend, side = self._normalised(stage.side, convolved)
            else:
                addend = skipped.dense
            one, other = self._shares([incoming, skipped])
            value = (value if one == 1 else value * one) + (addend if other == 1 else addend * other)
        return value if stage.pool is None else pool(stage.pool, value), BatchStatistics(main, side)

    # Single operations.

    def weigh(self, stage: Weigh, incoming: Coupled) -> Coupled:
        """Run a convolution or linear layer and its BatchNorm in both branches."""
        spiking, before = self.spiking, incoming.spikes
        folded = None if self._by_batch else spiking.affine(stage, before)
        sums = _linear_sums(stage, incoming)
        value, statistics = self._normalised(stage, _run(stage.module, incoming, sums))
        scale, bias = folded or spiking.affine(stage, before, statistics)
        if sums is None:
            return Coupled(value, spiking.weigh_with(stage, before, scale, bias))
        return Coupled(value, Spikes(_scaled(sums, scale, bias)))

    def each(self, function: Callable[..., Tensor], *signals: Coupled) -> Coupled:
        """Run it in both branches."""
        given = self.spiking.each(function, *_spikes(signals))
        return Coupled(_ann(function, *self._totals(signals)), given)

    def apply(self, stage: Apply, *signals: Coupled) -> Coupled:
        """Run a function in both branches."""
        adds_up = not stage.adds and all(signal.adds_up for signal in signals)
        given = self.spiking.apply(stage, *_spikes(signals))
        return Coupled(_ann(stage.function, *self._totals(signals)), given, adds_up)

    def pool(self, stage: Pool, incoming: Coupled) -> Coupled:
        """Pool in both branches."""
        return Coupled(_ann(stage.run, incoming), self.spiking.pool(stage, incoming.spikes))

    def drop(self, stage: Drop, incoming: Coupled) -> Coupled:
        """Drop in both branches, the same at every step, and enlarge what is kept, as PyTorch does."""
        spikes = self.spiking.drop(stage, incoming.spikes)
        activation = incoming.activation
        like = activation.link if isinstance(activation, Counts) else activation
        dropout = Dropout.draw(stage.dropout, like.shape, like.detach())
        if dropout is None:
            return replace(incoming, spikes=spikes)
        return Coupled(dropout.apply(incoming.dense), spikes.dropped(dropout))

    def fire(self, stage: Fire, incoming: Coupled) -> Coupled:
        """Run a layer's neurons on the SNN branch's current, and map the spike counts."""
        dropout = self._draw_dropout(stage, incoming.spikes.samples)
        spikes = self.spiking.fire(stage, incoming.spikes)
        return self._mapped(stage, incoming.dense, dropout, spikes)

    # What both have in common.

    def _shares(self, signals: Sequence[Coupled]) -> list[int]:
        """What the ANN branch multiplies signals by that come together.

        A current of the image alone is whole at every step under "direct" coding, so where it meets what spikes charge,
        which is a sum over the steps, its own sum is T times the ANN's value.
        """
        constant = [signal.spikes.constant for signal in signals]
        whole = self.options.input_coding == "direct" and not all(constant)
        return [self.spiking.bias_steps if whole and each else 1 for each in constant]

    def _totals(self, signals: Sequence[Coupled]) -> list[Coupled]:
        shares = self._shares(signals)
        return [
            signal if share == 1 else replace(signal, activation=signal.dense * share)
            for signal, share in zip(signals, shares, strict=True)
        ]

    @property
    def _by_batch(self) -> bool:
        return self.options.statistics == "batch" and self.spiking.training

    def _normalised(self, stage: Weigh, value: Tensor) -> tuple[Tensor, Statistics | None]:
        return (value, None) if stage.norm is None else normalise(stage.norm, value, stage.label)

    def _draw_dropout(self, stage: Fire, samples: int) -> Dropout | None:
        # Before the neurons draw theirs, whichever branch goes first.
        threshold = stage.neurons.threshold
        return Dropout.draw(stage.dropout, (samples, *threshold.shape[1:]), threshold)

    def _mapped(
        self, stage: Fire, value: Tensor, dropout: Dropout | None, spikes: Spikes, *, kernels: bool = False
    ) -> Coupled:
        self._watch(stage, value, dropout, spikes, kernels)
        neurons, unit = stage.neurons, self.options.mapping_unit
        factor: Number = self.share if spikes.worth is None else self.share * spikes.worth
        # Where biases are whole at every step, a spike takes a T-th of its threshold off the ANN's value.
        taken = neurons.threshold if self.share == 1 else neurons.threshold * self.share
        window = (taken, self.spiking.time_steps) if self.options.gradient == "window" else None
        activation = map_spikes(
            value,
            spikes.count,
            unit,
            dropout=dropout,
            window=window,
            factor=factor,
            penalty=self.penalty,
            kernels=kernels,
            by_threshold=self._by_threshold(neurons.threshold),
        )
        if activation.price is not None:
            self.price = activation.price if self.price is None else self.price + activation.price
        return Coupled(activation, spikes, adds_up=unit == "stsu" and is_one(factor))

    def _by_threshold(self, threshold: Tensor) -> tuple[Tensor, int] | None:
        if self.descent is None or not (self.spiking.training and torch.is_grad_enabled()):
            return None
        return learned_by(threshold, self.descent), self.spiking.time_steps

    @without_gradient
    def _watch(self, stage: Fire, value: Tensor, dropout: Dropout | None, spikes: Spikes, kernels: bool) -> None:
        """Measure noisy spikes, and adjust the thresholds where there are too many (ATA)."""
        self.last = (None, None)
        if not (self.adjust or self.observer):
            return
        options, value = self.options, value.detach()
        dropped = dropout.apply(value) if dropout and (self.observer or not kernels) else value
        after = options.noisy_spikes == "after_dropout"
        if kernels:
            rate = noisy_spike_rate(value, spikes.count, dropout if after else None, kernels=True)
        else:
            rate = noisy_spike_rate(dropped if after else value, spikes.count)
        if self.adjust:
            rate = share_of_all(rate, spikes.samples)
        self.last = (dropped, rate)
        if self.adjust:
            threshold = stage.neurons.threshold
            step = options.ata_step if spikes.worth is None else options.ata_step * spikes.worth
            adjust_threshold(threshold, rate, options.ata_rate, step, options.ata_momentum)

    def observe(self, stage: Stage, incoming: list[Coupled], outgoing: Coupled) -> None:
        """Show a stage to the observer."""
        if self.observer:
            shown = self.last if firing(stage) else (None, None)
            self.observer(Observation(stage, _spikes(incoming), outgoing.spikes, *shown))

    def rate(self, signal: Coupled) -> Coupled:
        """Give counts / T, which is what is read out in both branches."""
        with torch.no_grad():
            rates = floats(signal.spikes.count) / self.spiking.time_steps
            rates = rates if signal.spikes.worth is None else rates * signal.spikes.worth
        return Coupled(signal.dense / self.spiking.bias_steps, Spikes(rates, constant=True))

    def result(self, signal: Coupled) -> tuple[Tensor, Tensor]:
        """Logits of the ANN branch, with gradient, and of the SNN branch after T steps: [B, classes] each."""
        return signal.dense, signal.spikes.value


def _spikes(signals: Iterable[Coupled]) -> list[Spikes]:
    return [signal.spikes for signal in signals]


def _ann(function: Callable[..., Tensor], *signals: Coupled) -> Tensor:
    """Run a function in the ANN branch; of counts, bytes are kept for backward."""
    with counts_as_bytes() as dense:
        return function(*[dense(signal.activation) for signal in signals])


def _known(incoming: Coupled, skipped: Coupled | None, stage: Layer, way: Way) -> bool:
    """Whether the neurons' sums over time are the ANN's convolutions, up to counts that were held back.

    Those are few, and follow their events; a GPU would convolve them like all.
    """
    taken = [incoming, skipped] if skipped and stage.side else [incoming]
    whole = way is Way.EVENTS or all(signal.unmapped is None for signal in taken)
    return whole and all(isinstance(signal.activation, Counts) for signal in taken)


def _convolve(stage: Weigh, incoming: Coupled, known: Tensor | None) -> Tensor:
    activation = incoming.activation
    if isinstance(activation, Counts):
        return activation.convolve(stage.convolution, known)
    return stage.convolution(activation)


def _run(module: nn.Module | None, incoming: Coupled, sums: Tensor | None) -> Tensor:
    if module is None:
        return incoming.dense
    if sums is not None and isinstance(module, nn.Linear):
        return linear_of_sum(module, incoming.dense, sums.sum(0))
    return _ann(module, incoming)


@torch.no_grad()
def _linear_sums(stage: Weigh, incoming: Coupled) -> Tensor | None:
    """A linear layer's sums of every step without bias, [T, B, ...], where their sum over time is the ANN's as well."""
    spikes = incoming.spikes
    low = autocast_type(spikes.value) is not None
    if not isinstance(stage.module, nn.Linear) or not incoming.adds_up or stage.readout or spikes.constant or low:
        return None
    return functional.linear(spikes.value.to(stage.module.weight.dtype), stage.module.weight)


def _scaled(sums: Tensor, scale: Tensor | None, bias: Tensor | None) -> Tensor:
    scaled = sums if scale is None else sums * scale
    return scaled if bias is None else scaled + bias


def _take_off(sums: Tensor, stage: Weigh, counts: Tensor | None) -> None:
    """Take the counts that the mapping unit held back, which are few, out of the neurons' sums."""
    if counts is not None:
        events.take_off(sums, counts, stage.convolution)
