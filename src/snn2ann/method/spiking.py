"""The spiking branch, deployable: no gradient and no ANN arithmetic."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from snn2ann.engine import events
from snn2ann.engine.firing import (
    Affine,
    Feed,
    NeuronSettings,
    fire_densely,
    fire_on_current,
    fire_on_image,
    pool_current,
    shortcut,
    sum_and_fire,
)
from snn2ann.engine.interpreter import Interpreter, without_gradient
from snn2ann.engine.normalisation import Statistics, affine, weigh
from snn2ann.engine.signals import Observation, Observer, Spikes
from snn2ann.engine.stages import Apply, Drop, Fire, Layer, Pool, Stage, Weigh
from snn2ann.engine.ways import Way, way_of
from snn2ann.options import CouplingOptions


@dataclass(frozen=True)
class BatchStatistics:
    """Those that a layer's BatchNorms took of a training batch, in the place of the running ones."""

    main: Statistics | None
    side: Statistics | None = None


class SpikingInterpreter(Interpreter[Spikes, Tensor]):
    """The network as a spiking network.

    Args:
        time_steps: T, how many steps to run.
        bias_steps: T of training, over which biases are spread (and the image, with "divide" coding). A deployed network
            keeps it whatever T it runs for, so that its first t steps are those of a run of T = t.
        options: reset, input coding, shortcut, membrane start and dropout.
        training: whether membranes are dropped.
        observer: is shown every stage.
        event_driven: whether layers are run in the way that suits them; else all are run densely. See `ways.way_of`.
        frames: whether every step has an image of its own: [T, B, ...].
    """

    def __init__(
        self,
        time_steps: int,
        bias_steps: int,
        options: CouplingOptions,
        *,
        training: bool = False,
        observer: Observer | None = None,
        event_driven: bool = True,
        frames: bool = False,
    ) -> None:
        self.time_steps = time_steps
        self.bias_steps = bias_steps
        self.options = options
        self.training = training
        self.observer = observer
        self.event_driven = event_driven
        self.frames = frames
        self.settings = NeuronSettings(
            time_steps,
            options.reset,
            options.membrane_start,
            options.membrane_dropout if training else 0.0,
            options.shortcut,
            options.pooling,
        )

    def image(self, images: Tensor) -> Spikes:
        """Direct coding: the image, or its share, is the input of every step; or each has its own frame."""
        if self.frames:
            return Spikes(images)
        divide = self.options.input_coding == "divide"
        return Spikes(images / self.bias_steps if divide else images, constant=True)

    @without_gradient
    def layer(self, stage: Layer, incoming: Spikes, skipped: Spikes | None = None) -> Spikes:
        """Run one layer over all steps."""
        feed, way = self.feed(stage, incoming, skipped), self.way(stage, incoming, skipped)
        if way is Way.TORCH:
            return fire_densely(stage, feed, self.settings)
        if incoming.constant:
            return fire_on_image(stage, feed, self.settings, way)
        return sum_and_fire(stage, feed, self.settings, way, add_up=False)[0]

    def way(self, stage: Layer, incoming: Spikes, skipped: Spikes | None) -> Way:
        """Pick how a layer is run; its neurons are told, and why."""
        neurons, convolution = stage.fire.neurons, stage.main.convolution
        way, neurons.way = way_of(stage, incoming, skipped, self.time_steps, event_driven=self.event_driven)
        if way is Way.EVENTS and (stage.pool is None or stage.halves):
            size = events.output_size(convolution, list(incoming.value.shape[-2:]))
            neurons.check(stage.fed_by((convolution.out_channels, *size)))
        return way

    def feed(
        self, stage: Layer, incoming: Spikes, skipped: Spikes | None, batch: BatchStatistics | None = None
    ) -> Feed:
        """Give what feeds a layer's neurons, by the running statistics or those of the batch."""
        main = self._pair(stage.main, incoming, batch.main if batch else None)
        side = None
        if stage.side is not None and skipped is not None:
            side = self._pair(stage.side, skipped, batch.side if batch else None)
        return Feed(incoming, skipped, main, side)

    def affine(
        self, stage: Weigh, incoming: Spikes, statistics: Statistics | None = None
    ) -> tuple[Tensor | None, Tensor | None]:
        """Give a and b' of weights; None for 1 and for 0."""
        spread = 1 if stage.readout else self.options.bias_spread(self.bias_steps, incoming.constant)
        return affine(stage.module, stage.norm, spread, statistics)

    def _pair(self, stage: Weigh, incoming: Spikes, statistics: Statistics | None) -> Affine:
        scale, bias = self.affine(stage, incoming, statistics)
        weight = stage.convolution.weight
        scale = weight.new_ones(len(weight)) if scale is None else scale
        bias = weight.new_zeros(len(weight)) if bias is None else bias
        scale = scale.detach()
        worth = incoming.worth
        return scale if worth is None or worth.dim() else scale * worth, bias.detach()

    @without_gradient
    def each(self, function: Callable[..., Tensor], *signals: Spikes) -> Spikes:
        """Run it at every step, T folded into the batch."""
        return _at_every_step(function, [signal.amount() for signal in signals], signals)

    @without_gradient
    def weigh(self, stage: Weigh, incoming: Spikes) -> Spikes:
        """Run weights at every step, folded with their BatchNorm."""
        return self.weigh_with(stage, incoming, *self.affine(stage, incoming))

    @without_gradient
    def weigh_with(self, stage: Weigh, incoming: Spikes, scale: Tensor | None, bias: Tensor | None) -> Spikes:
        """Run weights at every step under a scale and a bias of a step."""
        value, worth = incoming.taken_by(stage.module)
        return _at_every_step(lambda value: weigh(stage.module, value, scale, bias, worth), [value], [incoming])

    @without_gradient
    def apply(self, stage: Apply, *signals: Spikes) -> Spikes:
        """Run a function at every step; rearranged spikes are spikes."""
        first, function = signals[0], stage.function
        by_channel = first.worth_by_channel
        same = all(signal.binary and signal.worth is first.worth for signal in signals)
        if same and (isinstance(function, nn.Flatten) if by_channel is not None else stage.rearranges):
            given = _at_every_step(function, [signal.value for signal in signals], signals)
            worth = first.worth if by_channel is None else function(by_channel.expand(1, *first.value.shape[2:]))
            return replace(given, binary=True, worth=worth)
        if stage.adds and not all(signal.binary for signal in signals):
            # Added to a current, spikes are an identity shortcut.
            return _at_every_step(stage.function, [shortcut(each, self.settings) for each in signals], signals)
        return self.each(stage.function, *signals)

    @without_gradient
    def pool(self, stage: Pool, incoming: Spikes) -> Spikes:
        """Pool currents, by the maximum of each step or of the charge so far."""
        # What is read out are rates, each step's own.
        if stage.readout or self.options.pooling == "step" or incoming.constant:
            return self.each(stage.run, incoming)
        return Spikes(pool_current(stage.function, floats(incoming.amount()), self.settings))

    def drop(self, stage: Drop, incoming: Spikes) -> Spikes:
        """Nothing is dropped in a deployed network; what fed the neurons goes no further than they do."""
        return incoming if incoming.current is None else replace(incoming, current=None)

    @without_gradient
    def fire(self, stage: Fire, incoming: Spikes) -> Spikes:
        """Run a layer's neurons on its current."""
        stage.neurons.way = "densely: single operations feed it"
        return fire_on_current(stage, incoming.amount(), self.settings)

    @without_gradient
    def rate(self, signal: Spikes) -> Spikes:
        """Give the counts so far over the steps so far, at every step: [T, B, ...]."""
        # Low precision could not tell the rates apart.
        value = floats(signal.value)
        counts = value.to(torch.promote_types(value.dtype, torch.float32)).cumsum(0)
        steps = torch.arange(1, len(counts) + 1, device=counts.device, dtype=counts.dtype)
        rates = counts / steps.view(-1, *[1] * (counts.dim() - 1))
        return Spikes(rates if signal.worth is None else rates * signal.worth, rates=True)

    def result(self, signal: Spikes) -> Tensor:
        """Logits after every step: [T, B, classes]."""
        return signal.value

    def observe(self, stage: Stage, incoming: list[Spikes], outgoing: Spikes) -> None:
        """Show a stage to the observer."""
        if self.observer:
            self.observer(Observation(stage, incoming, outgoing))


def floats(value: Tensor) -> Tensor:
    """Spikes may be bytes, and arithmetic is not."""
    return value if value.is_floating_point() else value.to(torch.get_default_dtype())


def _at_every_step(function: Callable[..., Tensor], values: Sequence[Tensor], signals: Sequence[Spikes]) -> Spikes:
    """Run a function on the values [T, B, ...] or [1, B, ...] of signals, T folded into the batch."""
    steps = max(len(value) for value in values)
    merged = [floats(value).expand(steps, *value.shape[1:]).flatten(0, 1) for value in values]
    value = function(*merged).unflatten(0, (steps, -1))
    constant = all(signal.constant for signal in signals)
    return Spikes(value[0] if constant else value, constant=constant, rates=signals[0].rates)
