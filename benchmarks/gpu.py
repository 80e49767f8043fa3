"""What only a GPU can tell, in at most eight minutes: `make gpu`, into benchmarks/results/gpu-NAME, and docs/engine.md.

Kernels against plain PyTorch and the released method against its second writing, to rounding; no operation of a step that
waits for the host; time and the allocator's peak of steps; steps as one CUDA graph; inference; where a step's time goes.
What is not reached in time, or does not fit, is a row that says so. `--tiny --device cpu` runs it small, on any machine.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.profiler import ProfilerActivity, profile

from benchmarks.engine import CLASSES, SHAPE, answer, make, network_named
from snn2ann.evaluation.cost import Contender, memory_of, random_batch, timed
from snn2ann.evaluation.settling import settle
from snn2ann.files import write_csv, write_json
from snn2ann.methods.build import placed
from snn2ann.parameters import load_parameters
from snn2ann.parameters.recipe import Recipe
from snn2ann.parameters.whole import typed
from snn2ann.runs.made_with import provenance
from snn2ann.training.captured import WARM_UP_STEPS, CapturedStep
from snn2ann.training.precision import single_precision
from snn2ann.training.recipe import build_optimiser
from snn2ann.training.step import EagerStep, Step

RESULTS = Path(__file__).with_name("results")
SECONDS = 480.0
# Each is part of `make test` too, where it runs on a CPU; on a GPU it runs there.
CHECKED = {"kernels": "tests/method/test_fused.py", "released": "tests/method/test_released.py"}
CHECK_SECONDS = 75.0
STEPS = ["network", "method", "library", "time_steps", "precision", "batch_size", "rounds", "seconds", "saved_bytes"]
STEPS += ["peak_bytes", "ratio_to_ann", "ratio_to_bp_t8", "peak_to_bp_t8", "note"]
INFERENCE = ["network", "method", "time_steps", "precision", "batch_size", "images_per_second", "speed_to_ann", "note"]
WHERE = ["network", "method", "time_steps", "precision", "batch_size", "part", "seconds", "share"]
CAPTURED = ["network", "method", "time_steps", "precision", "batch_size", "seconds", "captured_seconds", "ratio"]
CAPTURED += ["loss", "captured_loss", "note"]
# What is compared, in the order in which it is measured: the claims' pair first.
METHODS: list[tuple[str, int | None]] = [("ann", None), ("snn2ann", 5), ("spikingjelly", 8), ("stbp", 8)]
METHODS += [("snn2ann refined", 5), ("snn2ann", 8), ("checkpointed", 8), ("spikingjelly", 5), ("snn2ann dense", 5)]
METHODS += [("snn2ann compiled", 5)]
ANSWERING: list[tuple[str, int | None]] = [("ann", None)]
ANSWERING += [(name, steps) for steps in (5, 8) for name in ("snn2ann", "snn2ann dense", "spikingjelly")]
CLAIMS = {"ratio_to_bp_t8": 0.377, "peak_to_bp_t8": 0.27}
KERNELS: list[tuple[str, str]] = [
    ("neurons", "_fire"),
    ("mapping", "_map"),
    ("convolutions", "conv|gemm|cudnn|cutlass|xmma|implicit"),
]
KERNELS += [("BatchNorm", "batch_norm|batchnorm|bn_"), ("random numbers", "random|distribution|bernoulli")]


@dataclass(frozen=True)
class Plan:
    """What is measured.

    Attributes:
        device: on which.
        networks: names in params.yaml.
        shape: (C, H, W).
        sizes: images of a batch.
        precisions: of which single precision without TF32 comes last, as the slowest.
        rounds: how often each is timed.
        deadline: by the clock of `time.monotonic`.
    """

    device: torch.device
    networks: Sequence[str]
    shape: tuple[int, int, int]
    sizes: Sequence[int]
    precisions: Sequence[str]
    rounds: int
    deadline: float

    @property
    def over(self) -> bool:
        """Whether there is no time left."""
        return time.monotonic() > self.deadline


def contender(plan: Plan, network: str, name: str, steps: int | None, precision: str) -> Contender:
    """Build a method on a network, on the device, channels last."""
    made = make(network_named(network, plan.shape), name, steps, plan.shape)
    placed(made.model, plan.device)
    return replace(made, precision=precision)


def training(plan: Plan) -> Iterator[dict[str, Any]]:
    """Steps of all methods, by network, precision and size of the batch."""
    for size in plan.sizes:
        for precision in plan.precisions:
            for network in plan.networks:
                with single_precision(precision):
                    yield from _steps(plan, network, precision, size)


def _batch(plan: Plan, size: int) -> tuple[Tensor, Tensor]:
    """Random images, channels last as in training, and labels."""
    images, labels = random_batch(size, plan.shape, CLASSES, plan.device)
    return images.contiguous(memory_format=torch.channels_last), labels


def _steps(plan: Plan, network: str, precision: str, size: int) -> Iterator[dict[str, Any]]:
    images, labels = _batch(plan, size)
    measured: dict[tuple[str, int | None], dict[str, Any]] = {}
    seconds: dict[tuple[str, int | None], list[float]] = {}
    for key in METHODS:
        # A compiler for a CPU takes longer than all the rest.
        if key[0].endswith("compiled") and plan.device.type == "cpu":
            continue
        row: dict[str, Any] = {"network": network, "method": key[0], "time_steps": key[1], "precision": precision}
        measured[key] = row | {"batch_size": size, "rounds": 0}
        # One after another, so that what one holds is not in another's way; each is warmed up by its memory's step.
        measured[key] |= _in_time(plan, partial(_one, plan, network, key, precision, (images, labels), seconds))
    ann, bp = (measured.get(key, {}) for key in (("ann", None), _faster(seconds)))
    for key, row in measured.items():
        for name, other in (("ratio_to_ann", ann), ("ratio_to_bp_t8", bp)):
            if row.get("seconds") and other.get("seconds"):
                row[name] = f"{row['seconds'] / other['seconds']:.4f}"
        if row.get("peak_bytes") and bp.get("peak_bytes"):
            row["peak_to_bp_t8"] = f"{row['peak_bytes'] / bp['peak_bytes']:.4f}"
        print(
            "  " + ", ".join(f"{value}" for value in (network, *key, precision, size, row.get("seconds"), row["note"]))
        )
        yield row


def _one(
    plan: Plan,
    network: str,
    key: tuple[str, int | None],
    precision: str,
    batch: tuple[Tensor, Tensor],
    seconds: dict[tuple[str, int | None], list[float]],
) -> dict[str, Any]:
    one = contender(plan, network, *key, precision)
    saved, peak = memory_of(one, *batch)
    taken = [timed(partial(one.step, *batch), plan.device) for _ in range(plan.rounds)]
    seconds[key] = taken
    row = {"library": one.library, "rounds": len(taken), "seconds": round(statistics.median(taken), 6)}
    return row | {"saved_bytes": saved, "peak_bytes": peak}


def _faster(seconds: dict[tuple[str, int | None], list[float]]) -> tuple[str, int | None]:
    """The faster of the two spike-based BPs at T = 8, which is what is compared with."""
    both: list[tuple[str, int | None]] = [("spikingjelly", 8), ("stbp", 8)]
    return min(both, key=lambda key: statistics.median(seconds.get(key, [float("inf")])))


def _in_time(plan: Plan, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What is measured, with a note that is empty; or a note alone that says why nothing is."""
    return {"note": "not reached in time"} if plan.over else {"note": ""} | _guarded(measure)


def _guarded(measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What is measured, or a note that it does not fit, or cannot be run here."""
    try:
        return measure()
    except torch.cuda.OutOfMemoryError:
        return {"note": "does not fit into memory"}
    except Exception as error:
        return {"note": f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"[:200]}
    finally:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def captured(plan: Plan) -> Iterator[dict[str, Any]]:
    """Whole steps with the optimiser, operation by operation and as one CUDA graph, and what the loss is after them."""
    size, precision = plan.sizes[0], plan.precisions[0]
    paper = typed(load_parameters(Path("params.yaml"))).typed.recipes["paper"]
    recipe = paper.model_copy(update={"precision": precision, "cuda_graph": True})
    for network in plan.networks:
        for key in METHODS[:3]:
            row: dict[str, Any] = {"network": network, "method": key[0], "time_steps": key[1], "precision": precision}
            with single_precision(precision):
                yield row | {"batch_size": size} | _in_time(plan, partial(_both_ways, plan, network, key, recipe, size))


def _both_ways(plan: Plan, network: str, key: tuple[str, int | None], recipe: Recipe, size: int) -> dict[str, Any]:
    batch = _batch(plan, size)
    seconds, losses = [], []
    for whole in (False, True):
        model = contender(plan, network, *key, recipe.precision).model
        optimiser = build_optimiser(model.parameters(), recipe)
        eager = EagerStep(model, recipe, optimiser, cross_entropy, lambda shown: None)
        step: Step = _captured(eager, plan.device) if whole else eager
        torch.manual_seed(0)
        for _ in range(WARM_UP_STEPS + 1):
            step(*batch, size, 0.0)
        seconds.append(
            statistics.median(timed(partial(step, *batch, size, 0.5), plan.device) for _ in range(plan.rounds))
        )
        losses.append(round(float(step(*batch, size, 1.0)[0]) / size, 6))
    row = {"seconds": round(seconds[0], 6), "captured_seconds": round(seconds[1], 6)}
    return row | {"ratio": round(seconds[1] / seconds[0], 4), "loss": losses[0], "captured_loss": losses[1]}


def _captured(eager: EagerStep, device: torch.device) -> CapturedStep:
    """Where there is no graph, its place is taken by the work itself."""
    return CapturedStep(eager) if device.type == "cuda" else CapturedStep(eager, lambda work: work, lambda work: work())


def inference(plan: Plan) -> Iterator[dict[str, Any]]:
    """Images a second of all methods, BatchNorms settled, so that neurons fire as in training."""
    size, precision = plan.sizes[-1], "fp32"
    for network in plan.networks:
        images, labels = random_batch(size, plan.shape, CLASSES, plan.device)
        plain = None
        for name, steps in ANSWERING:
            row: dict[str, Any] = {"network": network, "method": name, "time_steps": steps, "precision": precision}
            row |= {"batch_size": size}
            row |= _in_time(plan, partial(_answers, plan, network, (name, steps), images, labels))
            speed = row.get("images_per_second")
            plain = speed if steps is None else plain
            row["speed_to_ann"] = round(speed / plain, 4) if speed and plain else ""
            yield row


def _answers(plan: Plan, network: str, key: tuple[str, int | None], images: Tensor, labels: Tensor) -> dict[str, Any]:
    one = contender(plan, network, *key, "fp32")
    settle(one.model, images[:4], labels[:4])
    answer(one, images)
    taken = [timed(partial(answer, one, images), plan.device) for _ in range(plan.rounds)]
    return {"images_per_second": round(len(images) / statistics.median(taken), 1)}


def where(plan: Plan) -> Iterator[dict[str, Any]]:
    """Where the time of a step goes, by the device's kernels."""
    on_gpu = plan.device.type == "cuda"
    activity = ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU
    size, precision = plan.sizes[0], plan.precisions[0]
    for network in plan.networks:
        for key in METHODS[:3]:
            if plan.over:
                return
            images, labels = random_batch(size, plan.shape, CLASSES, plan.device)
            one = contender(plan, network, *key, precision)
            one.step(images, labels)
            with profile(activities=[activity]) as profiled:
                one.step(images, labels)
            found: Counter[str] = Counter()
            for each in profiled.key_averages():
                spent = each.self_device_time_total if on_gpu else each.self_cpu_time_total
                found[_part(each.key)] += spent / 1e6
            total = sum(found.values()) or 1.0
            row = {"network": network, "method": key[0], "time_steps": key[1], "precision": precision}
            for part, spent in found.most_common():
                yield row | {
                    "batch_size": size,
                    "part": part,
                    "seconds": f"{spent:.6f}",
                    "share": f"{spent / total:.4f}",
                }


def _part(kernel: str) -> str:
    return next((part for part, pattern in KERNELS if re.search(pattern, kernel, re.IGNORECASE)), "everything else")


def checks(plan: Plan) -> dict[str, Any]:
    """Hold kernels and the released method against their references, and see that a step waits for nothing."""
    found: dict[str, Any] = {name: _tests(plan, path) for name, path in CHECKED.items()}
    waits = _guarded(partial(_waits, plan))["note"]
    return found | {"no_wait": {"passed": not waits and plan.device.type == "cuda", "said": waits or "no wait"}}


def _tests(plan: Plan, path: str) -> dict[str, Any]:
    """Whether the tests of a file pass on the device."""
    environment = {
        key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET" or plan.device.type == "cpu"
    }
    words = [sys.executable, "-m", "pytest", "-q", "-x", "--no-header", path]
    try:
        made = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=CHECK_SECONDS)
    except subprocess.TimeoutExpired:
        return {"passed": False, "said": "not reached in time"}
    return {
        "passed": made.returncode == 0,
        "said": made.stdout.strip().splitlines()[-1] if made.stdout else made.stderr,
    }


def _waits(plan: Plan) -> dict[str, Any]:
    """Run a step under the debug mode in which whatever waits for the device is an error."""
    batch = random_batch(plan.sizes[0], plan.shape, CLASSES, plan.device)
    for key in METHODS[:2]:
        one = contender(plan, plan.networks[0], *key, plan.precisions[0])
        one.step(*batch)
        if plan.device.type == "cuda":
            torch.cuda.set_sync_debug_mode("error")
        try:
            one.step(*batch)
        finally:
            if plan.device.type == "cuda":
                torch.cuda.set_sync_debug_mode("default")
    return {"note": "" if plan.device.type == "cuda" else "no device to wait for"}


def verdicts(steps: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The paper's ratios of time and memory, per network, precision and batch."""
    rows = [row for row in steps if (row["method"], row["time_steps"]) == ("snn2ann", 5)]
    found = []
    for row in rows:
        for measure, claimed in CLAIMS.items():
            value = float(row[measure]) if row.get(measure) else None
            place = {name: row[name] for name in ("network", "precision", "batch_size")}
            holds = None if value is None else value <= claimed
            found.append(place | {"measure": measure, "claimed": claimed, "measured": value, "holds": holds})
    return found


def main() -> None:
    """Measure what there is time for, and write all of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true", help="tiny networks and batches, to try it")
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--output", type=Path, help="else benchmarks/results/gpu-NAME")
    options = parser.parse_args()
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        sys.exit("no CUDA device is there; --tiny --device cpu tries all of this without one")
    begun = time.monotonic()
    plan = Plan(
        device, ["vgg-13", "resnet-17"], SHAPE, [128, 512], ["bf16", "tf32", "fp32"], 5, begun + options.seconds
    )
    if options.tiny:
        plan = replace(
            plan,
            networks=["vgg-tiny", "resnet-tiny"],
            shape=(1, 8, 8),
            sizes=[4],
            precisions=["bf16", "fp32"],
            rounds=1,
        )
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    folder = options.output or RESULTS / f"gpu-{re.sub('[^a-z0-9]+', '-', name.lower())}"
    found = checks(plan)
    steps = list(training(plan))
    write_csv(folder / "steps.csv", STEPS, steps)
    write_csv(folder / "captured.csv", CAPTURED, captured(plan))
    write_csv(folder / "inference.csv", INFERENCE, inference(plan))
    write_csv(folder / "where.csv", WHERE, where(plan))
    facts: dict[str, Any] = {
        "device": name,
        "torch": torch.__version__,
        "commit": provenance()["commit"],
        "seconds": None,
    }
    facts |= {"checks": found, "verdicts": verdicts(steps)}
    facts["seconds"] = round(time.monotonic() - begun, 1)
    write_json(folder / "facts.json", facts)
    print(json.dumps(facts["checks"], indent=1))
    draw(folder)
    print(f"{folder}: {facts['seconds']} s")


def draw(folder: Path) -> None:
    """Draw time and memory of a step over the batch, a panel a network and measure."""
    import matplotlib as mpl
    import matplotlib.pyplot as plt
    import pandas as pd

    from benchmarks.draw import plain

    mpl.use("Agg")
    data = pd.read_csv(folder / "steps.csv")
    data = data[data["seconds"].notna()]
    data["name"] = data["method"] + data["time_steps"].map(lambda steps: "" if pd.isna(steps) else f", T = {steps:.0f}")
    networks = list(dict.fromkeys(data["network"]))
    figure, grid = plt.subplots(len(networks), 2, figsize=(9, 3.2 * len(networks)), layout="constrained", squeeze=False)
    for line, network in zip(grid, networks, strict=True):
        for axes, (measure, words) in zip(
            line, (("seconds", "Seconds a step"), ("peak_bytes", "Peak bytes")), strict=True
        ):
            here = data[(data["network"] == network) & (data["batch_size"] == data["batch_size"].max())]
            table = here.pivot_table(index="name", columns="precision", values=measure, sort=False)
            if table.empty:
                continue
            table.plot.bar(ax=axes, legend=measure == "seconds", rot=40)
            axes.set(xlabel="", ylabel=words, yscale="log", title=f"{network}, batch {data['batch_size'].max()}")
            plain(axes)
    figure.savefig(folder / "steps.png", dpi=150)


if __name__ == "__main__":
    main()
