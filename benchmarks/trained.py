"""Inference of trained networks on a CPU: the refined SNN at T = 3 beside the plain ANN, alternating, layer by layer.

python -m benchmarks.trained    # an hour of 2 cores; benchmarks/results/trained.csv, trained_layers.csv, docs/engine.md

The paper's networks on Fashion-MNIST (Debian package dataset-fashion-mnist), both methods from the same weights, by the same
recipe, for one pass over the images. Test images are read once, after training.
"""

import argparse
import statistics
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import snn2ann
from benchmarks import tables
from benchmarks.coupling import answer
from benchmarks.engine import CLASSES, network_named
from benchmarks.from_trained import Data, accuracy, backward, fashion_mnist, of_network
from snn2ann.evaluation.cost import timed
from snn2ann.evaluation.measure import Measurement, measure
from snn2ann.files import write_csv
from snn2ann.method.coupled_network import CoupledNetwork
from snn2ann.models.building import build_network
from snn2ann.runs.made_with import provenance

RESULTS = Path("benchmarks/results")
SHAPE = (1, 28, 28)
BATCH, RATE, TIMED_BATCH, COUNTED = 32, 1e-3, 16, 128
COLUMNS = ["network", "time_steps", "images", "epochs", "accuracy", "ann_accuracy", "firing_rate", "spikes_per_image"]
COLUMNS += ["synaptic_operations", "energy", "ann_energy", "images_per_second", "ann_images_per_second", "speed_to_ann"]
COLUMNS += ["rounds", "batch_size", "threads", "torch", "machine"]
LAYERS = ["network", "time_steps", "layer", "neurons", "firing_rate", "accumulates", "multiply_accumulates"]
LAYERS += ["ann_multiply_accumulates", "energy", "ann_energy"]


def train(model: nn.Module, images: Tensor, labels: Tensor, epochs: int) -> None:
    """Train by Adam with a one-cycle learning rate, from random batches."""
    torch.manual_seed(1)
    steps = epochs * (len(images) // BATCH)
    optimiser = torch.optim.Adam(model.parameters(), RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
    model.train()
    order = torch.cat([torch.randperm(len(images))[: steps // epochs * BATCH] for _ in range(epochs)])
    for number, batch in enumerate(order.split(BATCH)):
        optimiser.zero_grad()
        if isinstance(model, CoupledNetwork):
            model.progress = number / steps
        loss = backward(model, images[batch], labels[batch])
        optimiser.step()
        schedule.step()
        if number % 20 == 0:
            print(f"  {type(model).__name__}: step {number} of {steps}, loss {float(loss):.3f}", flush=True)
    model.eval()


def networks(name: str, shape: tuple[int, int, int], time_steps: int) -> tuple[nn.Module, CoupledNetwork]:
    """A network of params.yaml as a plain module, and the same weights coupled."""
    described = network_named(name, shape)
    both = []
    for _ in range(2):
        torch.manual_seed(0)
        both.append(build_network(described, shape, CLASSES))
    return both[0], snn2ann.couple(both[1], time_steps, variant="refined", image_shape=shape)


def compared(snn: nn.Module, ann: nn.Module, images: Tensor, time_steps: int, rounds: int) -> dict[str, Any]:
    """Images a second of both, in turn; the first round warms up."""
    device = torch.device("cpu")
    passes = partial(answer, snn, images, time_steps), partial(answer, ann, images)
    pairs = [tuple(timed(each, device) for each in passes) for _ in range(rounds + 1)][1:]
    mine, theirs = (len(images) / statistics.median(each) for each in zip(*pairs, strict=True))
    speed = statistics.median(other / one for one, other in pairs)
    found = {
        "images_per_second": f"{mine:.2f}",
        "ann_images_per_second": f"{theirs:.2f}",
        "speed_to_ann": f"{speed:.3f}",
    }
    return found | {"rounds": rounds, "batch_size": len(images)}


def rows(
    name: str, data: Data, time_steps: list[int], epochs: int, rounds: int
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Train both and measure them: a row each T, and one each layer at the T of training, which is the first."""
    images, labels, tested, answers = data
    ann, coupled = networks(name, tuple(images.shape[1:]), time_steps[0])  # type: ignore[arg-type]
    train(ann, images, labels, epochs)
    train(coupled, images, labels, epochs)
    snn, found, layers = coupled.spiking(), [], []
    plain = of_network(ann, data)
    for steps in time_steps:
        with torch.no_grad():
            logits = torch.cat([snn(part, steps) for part in tested.split(TIMED_BATCH)])
        cost = measure(coupled, tested[:COUNTED], steps)
        row = {"network": name, "time_steps": steps, "images": len(images), "epochs": epochs}
        row |= {"accuracy": round(accuracy(logits, answers), 3), "ann_accuracy": round(plain, 3)}
        total = cost.total
        row |= {"firing_rate": total.firing_rate, "spikes_per_image": total.spikes}
        row |= {"synaptic_operations": total.accumulates, "energy": total.energy, "ann_energy": total.ann_energy}
        row |= compared(snn, ann, tested[:TIMED_BATCH], steps, rounds)
        row |= {"threads": torch.get_num_threads(), "torch": torch.__version__}
        found.append(row | {"machine": provenance()["machine"]["processor"]})
        if steps == time_steps[0]:
            layers = list(_by_layer(name, steps, cost))
    return found, layers


def _by_layer(name: str, steps: int, cost: Measurement) -> Iterator[dict[str, Any]]:
    for each in cost.rows:
        values = {column: getattr(each, column) for column in LAYERS[3:]}
        yield {"network": name, "time_steps": steps, "layer": each.name} | values


def main() -> None:
    """Train, measure, and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=["vgg-13", "resnet-17"])
    parser.add_argument("--images", type=int, default=6000)
    parser.add_argument("--tested", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--data", type=Path, default=Path("/usr/share/datasets/fashion-mnist"))
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    torch.set_num_threads(min(2, torch.get_num_threads()))
    images, labels, tested, answers = fashion_mnist(options.data, options.images, options.tested)
    mean, std = images.mean(), images.std()
    data = (images - mean) / std, labels, (tested - mean) / std, answers
    found: list[dict[str, Any]] = []
    layers: list[dict[str, Any]] = []
    for name in options.networks:
        some, theirs = rows(name, data, [3, 5, 2], options.epochs, options.rounds)
        found, layers = found + some, layers + theirs
        write_csv(options.output / "trained.csv", COLUMNS, found)
        write_csv(options.output / "trained_layers.csv", LAYERS, layers)
    if options.output == RESULTS:
        tables.main()


if __name__ == "__main__":
    main()
