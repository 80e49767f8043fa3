"""Time and memory of a training step, and the speed of inference, beside peers: `make benchmark`.

All alternate in one process, from equal weights, on the paper's networks at 32×32. Those that the reach is measured by take
`--rounds` rounds, the other peers one. Rows of batch sizes and networks that are not measured now are kept.

    python -m benchmarks.engine            # about 20 minutes on 2 cores
    python -m benchmarks.engine --quick    # 3 minutes, into benchmarks/results/quick
    python -m benchmarks.engine --batch 64 --rounds 1 --only ann snn2ann:5 stbp:8    # 14 GB of memory
"""

import argparse
import csv
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.peers import PEERS
from snn2ann.engine.network import Network
from snn2ann.engine.stages import firing
from snn2ann.evaluation.cost import Contender, memory_of, random_batch, timed
from snn2ann.evaluation.settling import settle
from snn2ann.files import write_csv
from snn2ann.methods import METHODS
from snn2ann.methods.build import build_model
from snn2ann.methods.coupled import CoupledModel
from snn2ann.methods.model import Model
from snn2ann.models.building import build_network
from snn2ann.options import REFINED, RELEASED
from snn2ann.parameters import load_parameters
from snn2ann.runs.made_with import provenance
from snn2ann.study import network_spec

SHAPE, CLASSES, SIDE = (3, 32, 32), 10, 32
COMMON = ["network", "method", "library", "time_steps", "batch_size", "precision", "device", "threads"]
ENDS = ["rounds", "seconds", "seconds_low", "seconds_high"]
TRAINING = [*COMMON, *ENDS, "saved_bytes", "peak_bytes", "ratio_to_ann", "ratio_to_bp_t8", "ratio_to_bp_equal_t"]
TRAINING += ["saved_to_ann", "saved_to_bp_t8", "peak_to_bp_t8", "torch", "machine"]
INFERENCE = [*COMMON, *ENDS, "images_per_second", "firing_rate", "speed_to_spikingjelly", "torch", "machine"]

# (method, T): those whose ratios are to be reached, and the other peers.
REACH: list[tuple[str, int | None]] = [("ann", None), ("snn2ann", 5), ("stbp", 5), ("stbp", 8)]
REACH += [("spikingjelly", 8)]
OTHERS: list[tuple[str, int | None]] = [("snn2ann", 4), ("snn2ann", 8), ("snn2ann", 16)]
OTHERS += [("spikingjelly", 5), ("sltt", 8), ("checkpointed", 8), ("snntorch", 8)]
ANSWERING: list[tuple[str, int | None]] = [("ann", None)]
ANSWERING += [(name, steps) for steps in (5, 8) for name in ("snn2ann", "snn2ann dense", "spikingjelly")]


def network_named(name: str, shape: Sequence[int] = SHAPE) -> dict[str, Any]:
    """A network of params.yaml for images of a shape."""
    return network_spec(load_parameters(Path("params.yaml")), name, list(shape), f"networks.{name}")


def make(network: dict[str, Any], name: str, time_steps: int | None, shape: tuple[int, int, int] = SHAPE) -> Contender:
    """Build a method or a peer on a network, from weights that the seed gives.

    Args:
        network: resolved.
        name: of the method; of the coupled one, also "snn2ann dense", "snn2ann compiled" or "snn2ann refined".
        time_steps: T.
        shape: (C, H, W).
    """
    torch.manual_seed(0)
    method, _, how = name.partition(" ")
    if method in PEERS:
        kind, library = PEERS[method]
        model: Model = kind(
            Network(build_network(network, shape, CLASSES), shape), time_steps or 1, METHODS["stbp"].defaults
        )
    else:
        coupled = asdict(REFINED if how == "refined" else RELEASED) | {"mapping_unit": "stsu"}
        options = coupled if method == "snn2ann" else METHODS[method].defaults
        spec = {"name": method, "time_steps": time_steps, "options": options}
        dataset = {"shape": shape, "classes": CLASSES}
        model = build_model({"dataset": dataset, "network": network, "method": spec})
        library = f"{METHODS[method].library} {version(METHODS[method].library)}"
    if how == "dense":
        assert isinstance(model, CoupledModel)
        model.event_driven = False
    if how == "compiled":
        model.training_step = torch.compile(model.training_step)  # type: ignore[method-assign]
    return Contender(network["name"], name, None, time_steps, library, model.train())


@dataclass
class Series:
    """What was measured of a contender."""

    contender: Contender
    seconds: list[float]
    saved: int = 0
    peak: int | None = None
    firing_rate: float | None = None

    @property
    def median(self) -> float:
        """Median of the seconds."""
        return statistics.median(self.seconds)

    def row(self, size: int, device: torch.device) -> dict[str, Any]:
        """The columns that every file has."""
        one = self.contender
        low, high = min(self.seconds), max(self.seconds)
        row: dict[str, Any] = {"network": one.network, "method": one.method, "library": one.library}
        row |= {"time_steps": one.time_steps, "batch_size": size, "precision": "fp32", "device": str(device)}
        row |= {"threads": torch.get_num_threads(), "rounds": len(self.seconds), "seconds": f"{self.median:.6f}"}
        row |= {"seconds_low": f"{low:.6f}", "seconds_high": f"{high:.6f}", "torch": torch.__version__}
        return row | {"machine": provenance()["machine"]["processor"]}


def ratio(one: Series | None, other: Series | None) -> str:
    """Median over the rounds that both took part in of the ratio of their seconds."""
    if one is None or other is None:
        return ""
    return f"{statistics.median(a / b for a, b in zip(one.seconds, other.seconds, strict=False)):.4f}"


def training(network: dict[str, Any], options: argparse.Namespace, device: torch.device) -> Iterator[dict[str, Any]]:
    """Measure training steps on one network; the faster of the two spike-based BPs is what is compared with."""
    images, labels = random_batch(options.batch, SHAPE, CLASSES, device)
    chosen = [(key, options.rounds) for key in options.reach] + [(key, 1) for key in options.others]
    field: dict[tuple[str, int | None], tuple[Series, int]] = {}
    for key, rounds in chosen:
        contender = make(network, *key)
        contender.model.to(device)
        series = Series(contender, [])
        series.saved, series.peak = memory_of(contender, images, labels)
        field[key] = series, rounds
        print(f"  {network['name']} {key}: {series.saved / 2**20:.0f} MiB saved", flush=True)
    for number in range(options.rounds):
        for series, rounds in field.values():
            if number < rounds:
                series.seconds.append(timed(partial(series.contender.step, images, labels), device))
                series.contender.model.zero_grad(set_to_none=True)
        print(f"  {network['name']} round {number + 1} of {options.rounds}", flush=True)
    measured = {key: series for key, (series, _) in field.items()}
    for (_, steps), series in measured.items():
        row = series.row(options.batch, device) | {"saved_bytes": series.saved, "peak_bytes": series.peak}
        ann, eight, equal = measured["ann", None], _faster(measured, 8), _faster(measured, steps)
        row |= {"ratio_to_ann": ratio(series, ann), "ratio_to_bp_t8": ratio(series, eight)}
        row |= {"ratio_to_bp_equal_t": ratio(series, equal), "saved_to_ann": f"{series.saved / ann.saved:.4f}"}
        if eight is not None:
            row["saved_to_bp_t8"] = f"{series.saved / eight.saved:.4f}"
            row["peak_to_bp_t8"] = f"{series.peak / eight.peak:.4f}" if series.peak and eight.peak else ""
        yield row


def _faster(measured: dict[tuple[str, int | None], Series], steps: int | None) -> Series | None:
    both = [measured[name, steps] for name in ("stbp", "spikingjelly") if (name, steps) in measured]
    return min(both, key=lambda series: series.median, default=None)


def inference(network: dict[str, Any], options: argparse.Namespace, device: torch.device) -> Iterator[dict[str, Any]]:
    """Measure inference on one network, whose neurons fire as in training."""
    images, labels = random_batch(options.batch, SHAPE, CLASSES, device)
    field = {}
    for key in ANSWERING:
        contender = make(network, *key)
        contender.model.to(device)
        settle(contender.model, images[:4], labels[:4])
        field[key] = Series(contender, [])
        if contender.model.spiking:
            field[key].firing_rate = firing_rate(contender.model, images, contender.time_steps or 1)
    for number in range(options.rounds + 1):
        for series in field.values():
            seconds = timed(partial(answer, series.contender, images), device)
            if number:
                series.seconds.append(seconds)
    for (_, steps), series in field.items():
        speed = {"images_per_second": f"{options.batch / series.median:.2f}", "firing_rate": series.firing_rate}
        peer = ratio(field.get(("spikingjelly", steps)), series)
        yield series.row(options.batch, device) | speed | {"speed_to_spikingjelly": peer}


@torch.no_grad()
def answer(contender: Contender, images: Tensor) -> Tensor:
    """Logits of a batch."""
    if contender.time_steps is None:
        return contender.model.ann_forward(images)
    return contender.model.spiking_forward(images, contender.time_steps)


def firing_rate(model: Model, images: Tensor, time_steps: int) -> float | None:
    """Spikes a neuron and step, over all layers."""
    spikes, places = [], []

    def observe(seen: Any) -> None:
        if firing(seen.stage):
            spikes.append(float(seen.outgoing.value.float().sum()))
            places.append(seen.outgoing.value.numel())

    model.spiking_forward(images, time_steps, observe)
    # A peer may show nothing.
    return round(sum(spikes) / sum(places), 4) if places else None


def keep_others(path: Path, rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> None:
    """Write rows beside those of other networks and batch sizes that the file has."""
    mine = {(row["network"], str(row["batch_size"])) for row in rows}
    old = list(csv.DictReader(path.open())) if path.exists() else []
    kept = [row for row in old if (row["network"], row["batch_size"]) not in mine]
    write_csv(path, columns, [*kept, *rows])


def named(text: str) -> tuple[str, int | None]:
    """A method and its T from `method:T`."""
    method, _, steps = text.partition(":")
    return method, int(steps) if steps else None


def main() -> None:
    """Measure and write both files, network by network."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--networks", nargs="+", default=["vgg-13", "resnet-17"])
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", type=named, help="method or method:T, instead of all; no inference")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results"))
    options = parser.parse_args()
    options.reach, options.others = (options.only, []) if options.only else (REACH, OTHERS)
    if options.quick:
        options.batch, options.rounds, options.output = 2, 2, options.output / "quick"
        options.others = [key for key in options.others if key[0] in ("snn2ann", "sltt")]
    torch.set_num_threads(min(2, torch.get_num_threads()))
    device = torch.device(options.device)
    for name in options.networks:
        network = network_named(name)
        if not options.only:
            keep_others(options.output / "inference.csv", list(inference(network, options, device)), INFERENCE)
        keep_others(options.output / "training_step.csv", list(training(network, options, device)), TRAINING)


if __name__ == "__main__":
    main()
