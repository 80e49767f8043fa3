"""The cost of a training step: time, bytes saved for backward, peak memory; methods alternating in one process."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from snn2ann.evaluation.memory import peak_growth, saved_for_backward
from snn2ann.files import write_csv
from snn2ann.methods import METHODS
from snn2ann.methods.build import build_model, placed
from snn2ann.methods.model import Model
from snn2ann.parameters.jobs import MeasurementJob
from snn2ann.parameters.whole import part_of
from snn2ann.progress import progress
from snn2ann.runs.columns import TRAINING_COST
from snn2ann.runs.made_with import provenance
from snn2ann.runs.records import Values
from snn2ann.training.precision import arithmetic, single_precision


@dataclass
class Contender:
    """A method on a network, ready to take steps.

    Attributes:
        network: its name.
        method: its name.
        variant: of the method, None where it has none.
        time_steps: T, None for a method without time.
        library: name and version of what runs the neurons.
        model: on its device, in training mode.
        precision: "fp32", "tf32" or "bf16".
    """

    network: str
    method: str
    variant: str | None
    time_steps: int | None
    library: str
    model: Model
    precision: str = "fp32"

    def step(self, images: Tensor, labels: Tensor) -> None:
        """Run one training step, forward and backward, without the optimiser (the same for every method)."""
        self.model.zero_grad(set_to_none=True)
        with arithmetic(self.precision, images.device):
            step = self.model.training_step(images, labels, cross_entropy)
        step.loss.backward()


def contenders(network: Mapping[str, Any], measurement: MeasurementJob, device: str) -> Iterator[Contender]:
    """Build every method of the measurement on a network, from equal weights."""
    dataset = {"shape": measurement.image_shape, "classes": measurement.classes}
    for method in measurement.methods:
        torch.manual_seed(0)
        model = build_model({"dataset": dataset, "network": network, "method": method})
        library = METHODS[method["name"]].library
        yield Contender(
            network["name"],
            method["name"],
            method.get("variant"),
            method["time_steps"],
            f"{library} {version(library)}",
            placed(model, device).train(),
            measurement.precision,
        )


def measure(spec: Mapping[str, Any], output: Path, device: str) -> None:
    """Measure every contender on every network and write a row a round.

    Args:
        spec: networks and methods (resolved), image_shape, classes, batch_size, rounds, warmup, precision.
        output: the CSV file to write.
        device: a torch device.
    """
    measurement = part_of(MeasurementJob, spec, "measurement")
    rows: list[Values] = []
    rounds = measurement.warmup + measurement.rounds
    with progress("measure", rounds * len(measurement.networks), "round") as advance:
        for network in measurement.networks:
            field = list(contenders(network, measurement, device))
            with single_precision(measurement.precision):
                rows += _measure_network(field, measurement, device, advance)
    write_csv(output, TRAINING_COST, rows)


def _measure_network(
    field: list[Contender], measurement: MeasurementJob, device: str, advance: Callable[[str], None]
) -> Iterator[Values]:
    size = measurement.batch_size
    images, labels = random_batch(size, measurement.image_shape, measurement.classes, device)
    memory = [memory_of(contender, images, labels) for contender in field]
    for number in range(-measurement.warmup, measurement.rounds):
        for contender, (saved, peak) in zip(field, memory, strict=True):
            seconds = timed(partial(contender.step, images, labels), images.device)
            if number >= 0:
                yield _row(contender, measurement, device, number, seconds, saved, peak)
        advance(field[0].network)


def random_batch(size: int, shape: Sequence[int], classes: int, device: torch.device | str) -> tuple[Tensor, Tensor]:
    """Random images [B, C, H, W] and labels [B], the same every time."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(size, *shape, generator=generator).to(device)
    return images, torch.randint(classes, (size,), generator=generator).to(device)


def memory_of(contender: Contender, images: Tensor, labels: Tensor) -> tuple[int, int | None]:
    """Bytes saved for backward in a step, and the growth of memory while it runs."""
    # What is compiled or loaded at the first use is no memory of a step. One image may be too few for a BatchNorm.
    contender.step(images[:2], labels[:2])
    saved: list[int] = []

    def step() -> None:
        saved.append(saved_for_backward(contender.model, partial(contender.step, images, labels)))

    peak = peak_growth(step, images.device)
    return saved[0], peak


def timed(step: Callable[[], Any], device: torch.device) -> float:
    """Seconds that a step takes."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def _row(
    contender: Contender,
    measurement: MeasurementJob,
    device: str,
    number: int,
    seconds: float,
    saved: int,
    peak: int | None,
) -> Values:
    return {
        "network": contender.network,
        "method": contender.method,
        "variant": contender.variant,
        "library": contender.library,
        "time_steps": contender.time_steps,
        "batch_size": measurement.batch_size,
        "precision": measurement.precision,
        "device": device,
        "threads": torch.get_num_threads(),
        "round": number + 1,
        "seconds": f"{seconds:.6f}",
        "saved_bytes": saved,
        "peak_bytes": peak,
        "machine": provenance()["machine"]["processor"],
    }
