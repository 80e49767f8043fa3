"""The time of inference: every method and variant of a study on each network at each T, alternating in one process."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from snn2ann.evaluation.settling import settle
from snn2ann.files import write_csv
from snn2ann.methods import METHODS
from snn2ann.methods.build import build_model, placed
from snn2ann.methods.model import Model
from snn2ann.parameters.jobs import InferenceJob
from snn2ann.parameters.whole import part_of
from snn2ann.progress import progress
from snn2ann.runs.columns import INFERENCE
from snn2ann.runs.made_with import provenance
from snn2ann.runs.records import Values


@dataclass(frozen=True)
class Contender:
    """A method on a network, ready to answer; `time_steps` are those it is timed at, None where it knows no time."""

    method: str
    variant: str | None
    model: Model
    time_steps: list[int | None]

    @torch.no_grad()
    def answer(self, images: Tensor, time_steps: int | None) -> list[int]:
        """Class of each image after all time steps; reading it waits for the device."""
        if time_steps is None:
            return self.model.ann_forward(images).argmax(1).tolist()
        taken = images[:time_steps] if self.model.frames else images
        return self.model.spiking_forward(taken, time_steps)[-1].argmax(1).tolist()


def measure_inference(given: Mapping[str, Any], output: Path, device: str) -> None:
    """Time a batch of every method at every T and write a row a round.

    Weights are those before training and images are random; BatchNorms are settled, so that neurons fire as in training.

    Args:
        given: places (a data set's shape and classes with a resolved network), methods (resolved), time_steps,
            batch_size, rounds, warmup.
        output: the CSV file to write.
        device: a torch device.
    """
    spec = part_of(InferenceJob, given, "inference")
    rows: list[Values] = []
    with progress("inference", (spec.warmup + spec.rounds) * len(spec.places), "round") as advance:
        for place in spec.places:
            rows += _measure_place(place, spec, device, advance)
    write_csv(output, INFERENCE, rows)


def _measure_place(
    place: Mapping[str, Any], spec: InferenceJob, device: str, advance: Callable[[str], None]
) -> Iterator[Values]:
    generator = torch.Generator().manual_seed(0)
    frames = "frames" in place["dataset"]
    steps_of_frames = [max(spec.time_steps)] if frames else []
    images = torch.rand(*steps_of_frames, spec.batch_size, *place["dataset"]["shape"], generator=generator).to(device)
    able = [method for method in spec.methods if METHODS[method["name"]].frames or not frames]
    field = [_contender(place, method, spec.time_steps, images) for method in able]
    common = {
        "dataset": place["dataset"]["name"],
        "network": place["network"]["name"],
        "batch_size": spec.batch_size,
        "device": device,
        "threads": torch.get_num_threads(),
        "machine": provenance()["machine"]["processor"],
    }
    for number in range(1 - spec.warmup, spec.rounds + 1):
        for contender in field:
            library = METHODS[contender.method].library
            labels = {"method": contender.method, "variant": contender.variant, "round": number}
            labels["library"] = f"{library} {version(library)}"
            for steps in contender.time_steps:
                start = time.perf_counter()
                contender.answer(images, steps)
                seconds = time.perf_counter() - start
                if number > 0:
                    yield common | labels | {"time_steps": steps, "seconds": f"{seconds:.6f}"}
        advance(common["network"])


def _contender(place: Mapping[str, Any], method: Mapping[str, Any], time_steps: list[int], images: Tensor) -> Contender:
    torch.manual_seed(0)
    model = placed(build_model({**place, "method": method}), images.device)
    settled = images[: model.time_steps] if model.frames else images
    labels = torch.zeros(images.shape[int(model.frames)], dtype=torch.long, device=images.device)
    settle(model, settled, labels)
    return Contender(method["name"], method.get("variant"), model, [*time_steps] if model.spiking else [None])
