"""A report for a network of one's own: spikes, firing rate, operations and energy, layer by layer."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd
import torch
from tabulate import tabulate

from snn2ann.engine.network import Network, Shapes, floats_of
from snn2ann.engine.signals import Observation
from snn2ann.engine.stages import Layer, Stage, Weigh, firing
from snn2ann.errors import UserError
from snn2ann.evaluation.arithmetic import JOULE_PER_ACCUMULATE, JOULE_PER_MAC, multiply_accumulates
from snn2ann.evaluation.census import SpikeCensus
from snn2ann.method.calibration import Batches, batches_of
from snn2ann.method.coupled_network import CoupledNetwork
from snn2ann.method.spiking import SpikingInterpreter
from snn2ann.method.spiking_network import check_steps


@dataclass(frozen=True)
class LayerCost:
    """What a layer does for one image, on the mean; a sum's accumulates are those of spikes that it adds.

    Attributes:
        name: of the module whose ReLU the neurons stand for; of weights without neurons, theirs or their BatchNorm's.
        neurons: how many; 0 of weights alone.
        spikes: of its neurons, over all steps.
        firing_rate: spikes a neuron and step, 0 to 1; 1 minus it is the activation sparsity. None without neurons.
        accumulates: synaptic operations: weights that incoming spikes meet, over all steps, borders exact.
        multiply_accumulates: of what the image alone decides, done once whatever T; and of values that are not spikes.
        ann_multiply_accumulates: of the ANN.
        energy: of the accumulates and multiply-accumulates, in joules (45 nm, 32-bit: Horowitz 2014).
        ann_energy: of the ANN, in joules.
    """

    name: str
    neurons: int
    spikes: float
    firing_rate: float | None
    accumulates: float
    multiply_accumulates: float
    ann_multiply_accumulates: int
    energy: float
    ann_energy: float


@dataclass(frozen=True)
class Measurement:
    """What a network does for one image, on the mean over images.

    Attributes:
        rows: by layer, in the order in which they run.
        time_steps: T.
        images: how many it is the mean of.
    """

    rows: list[LayerCost]
    time_steps: int
    images: int

    @property
    def total(self) -> LayerCost:
        """All layers together."""
        neurons, spikes = sum(row.neurons for row in self.rows), sum(row.spikes for row in self.rows)
        return LayerCost(
            "total",
            neurons,
            spikes,
            spikes / neurons / self.time_steps,
            sum(row.accumulates for row in self.rows),
            sum(row.multiply_accumulates for row in self.rows),
            sum(row.ann_multiply_accumulates for row in self.rows),
            sum(row.energy for row in self.rows),
            sum(row.ann_energy for row in self.rows),
        )

    def frame(self) -> pd.DataFrame:
        """Give the rows, without the total, a column an attribute."""
        return pd.DataFrame([asdict(row) for row in self.rows])

    def table(self) -> str:
        """Write the rows and the total as a table in Markdown; operations in thousands, energy in nanojoules."""
        head = ["Layer", "Neurons", "Spikes", "Firing rate", "AC (k)", "MAC (k)", "ANN MAC (k)", "nJ", "ANN nJ"]
        shown = [
            [
                row.name,
                row.neurons,
                f"{row.spikes:.1f}",
                "–" if row.firing_rate is None else f"{row.firing_rate:.3f}",
                *(f"{count / 1e3:.1f}" for count in (row.accumulates, row.multiply_accumulates)),
                f"{row.ann_multiply_accumulates / 1e3:.1f}",
                *(f"{joules * 1e9:.2f}" for joules in (row.energy, row.ann_energy)),
            ]
            for row in [*self.rows, self.total]
        ]
        return tabulate(shown, head, tablefmt="github", disable_numparse=True)

    def draw(self, path: str | Path) -> None:
        """Draw firing rates and energies by layer into a file, whose ending says the format: png, pdf or svg."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(8, 2 + 0.3 * len(self.rows)), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True)
        places = range(len(self.rows))
        left.barh(places, [row.firing_rate or 0 for row in self.rows], color="#0072B2")
        left.set(xlabel=f"spikes a neuron and step (T = {self.time_steps})", yticks=places)
        left.set_yticklabels([row.name for row in self.rows])
        left.invert_yaxis()
        for shift, name, label, colour in ((-0.2, "energy", "SNN", "#0072B2"), (0.2, "ann_energy", "ANN", "#999999")):
            heights = [getattr(row, name) * 1e9 for row in self.rows]
            right.barh([place + shift for place in places], heights, 0.4, label=label, color=colour)
        right.set(xlabel="energy an image (nJ)")
        right.legend()
        figure.savefig(path, dpi=150)


@torch.no_grad()
def measure(coupled: CoupledNetwork, batches: Batches, time_steps: int | None = None) -> Measurement:
    """Count what a coupled network does as a spiking network; nothing of it changes.

    Spikes and operations are counted on the images themselves; energies are theirs times what an operation takes at 45 nm
    (Horowitz 2014).

    Args:
        coupled: its spiking branch is run, which is what `coupled.spiking()` gives.
        batches: images [N, C, H, W], or batches of images, or of (images, labels); all are looked at. Frames, one a step,
            are [T, N, C, H, W]; what they feed is done at every step, where they are not zero.
        time_steps: T to run for; that of training if not said. Frames are as many as in training.

    Raises:
        UserError: there are no images, or of another size, or not finite; or frames are not as many as steps; or it is no
            coupled network.
    """
    if not isinstance(coupled, CoupledNetwork):
        raise UserError(f"measure: {type(coupled).__name__} is not allowed; expected what `snn2ann.couple` gives")
    steps = coupled.time_steps if time_steps is None else time_steps
    if not isinstance(steps, int) or steps < 1:
        raise UserError(f"time_steps: {steps!r} is not allowed; expected a whole number from 1")
    images = 0
    census: list[SpikeCensus] = []
    for batch in batches_of(batches, floats_of(coupled.model), "measure"):
        coupled.check(batch)
        frames = coupled.are_frames(batch)
        if frames:
            check_steps(batch, steps)
        census = census or [SpikeCensus(steps) for _ in coupled.stages()]
        waiting = iter(census)

        def observe(seen: Observation, waiting: Iterator[SpikeCensus] = waiting) -> None:
            next(waiting).observe(seen)

        spiking = SpikingInterpreter(steps, coupled.bias_steps, coupled.options, observer=observe, frames=frames)
        coupled.run_by(spiking, batch)
        images += batch.shape[int(frames)]
    rows = _rows(coupled, census, batch[0][:1] if frames else batch[:1], steps, images, at_once=not frames)
    return Measurement([row for row in rows if row.neurons or row.energy], steps, images)


def _rows(
    network: Network, census: list[SpikeCensus], image: torch.Tensor, steps: int, images: int, *, at_once: bool
) -> Iterator[LayerCost]:
    shapes = Shapes()
    network.run_by(shapes, torch.zeros_like(image))
    weighed = iter(shapes.weighed)
    for stage, counted in zip(network.stages(), census, strict=True):
        ann = once = 0
        for _ in _weights(stage):
            weights, shape = next(weighed)
            count = multiply_accumulates(weights.module, shape[1:]) if weights.module else 0
            ann, once = ann + count, once + count * (weights.constant and at_once)
        fire = firing(stage)
        neurons = fire.neurons.threshold.numel() if fire else 0
        spikes = sum(float(value.sum()) for value in counted.spikes.values()) / images
        added, products = float(counted.operations.sum()) / images, once + float(counted.products.sum()) / images
        yield LayerCost(
            _name(stage),
            neurons,
            spikes,
            spikes / neurons / steps if neurons else None,
            added,
            products,
            ann,
            added * JOULE_PER_ACCUMULATE + products * JOULE_PER_MAC,
            ann * JOULE_PER_MAC,
        )


def _weights(stage: Stage) -> list[Weigh]:
    if isinstance(stage, Layer):
        return [stage.main, stage.side] if stage.side else [stage.main]
    return [stage] if isinstance(stage, Weigh) else []


def _name(stage: Stage) -> str:
    fire = firing(stage)
    if fire:
        return fire.neurons.label
    return stage.label if isinstance(stage, Weigh) else "sum"
