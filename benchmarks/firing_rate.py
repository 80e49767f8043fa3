"""A layer run spike by spike against the same layer run densely, over the share of neurons that fire.

python -m benchmarks.firing_rate    # a minute; benchmarks/results/firing_rate.csv
"""

import argparse
import statistics
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from snn2ann.engine.firing import Feed, NeuronSettings, fire_densely, sum_and_fire
from snn2ann.engine.signals import Spikes
from snn2ann.engine.stages import Fire, Layer, Neurons, Weigh
from snn2ann.engine.ways import Way
from snn2ann.evaluation.cost import timed
from snn2ann.files import write_csv
from snn2ann.runs.made_with import provenance

COLUMNS = ["channels", "size", "batch_size", "time_steps", "firing_rate", "rounds", "seconds", "dense_seconds"]
COLUMNS += ["speed", "threads", "machine"]
LAYERS = ((64, 32), (256, 32), (512, 16), (512, 8))
RATES = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8)
BATCH, STEPS = 4, 5


def row(channels: int, size: int, rate: float, rounds: int) -> dict[str, Any]:
    """Time one layer at one rate; both ways alternate."""
    torch.manual_seed(0)
    neurons = Neurons("layer", torch.empty(0))
    neurons.make((1, channels, size, size), "uniform")
    weights = Weigh(nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels))
    layer = Layer(weights, Fire(neurons))
    spikes = torch.rand(STEPS, BATCH, channels, size, size) < rate
    unit: tuple[Tensor, Tensor] = (torch.ones(channels), torch.zeros(channels))
    settings = NeuronSettings(STEPS, "zero", 0.0, 0.0, "spikes")
    # Each as the layer before it would hand it on: bytes with channels last, floats with channels first.
    held = spikes.byte().permute(1, 0, 3, 4, 2).contiguous().permute(1, 0, 4, 2, 3)
    by_events = partial(
        sum_and_fire, layer, Feed(Spikes(held, binary=True), None, unit, None), settings, Way.EVENTS, add_up=False
    )
    densely = partial(fire_densely, layer, Feed(Spikes(spikes.float(), binary=True), None, unit, None), settings)
    device = torch.device("cpu")
    pairs = [(timed(by_events, device), timed(densely, device)) for _ in range(rounds + 1)][1:]
    ours, dense = (statistics.median(each) for each in zip(*pairs, strict=True))
    found = {"channels": channels, "size": size, "batch_size": BATCH, "time_steps": STEPS, "firing_rate": rate}
    found |= {"rounds": rounds, "seconds": f"{ours:.6f}", "dense_seconds": f"{dense:.6f}"}
    found |= {"speed": f"{statistics.median(b / a for a, b in pairs):.3f}", "threads": torch.get_num_threads()}
    return found | {"machine": provenance()["machine"]["processor"]}


def main() -> None:
    """Measure all layers and rates."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/firing_rate.csv"))
    options = parser.parse_args()
    torch.set_num_threads(min(2, torch.get_num_threads()))
    rows = [row(channels, size, rate, options.rounds) for channels, size in LAYERS for rate in RATES]
    write_csv(options.output, COLUMNS, rows)


if __name__ == "__main__":
    main()
