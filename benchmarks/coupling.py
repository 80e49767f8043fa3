"""Networks through `snn2ann.couple`: beside the plain network, beside themselves with an option, and by an earlier engine.

python -m benchmarks.coupling --before COMMIT    # ten minutes; benchmarks/results/coupling.csv

The earlier package is taken out of git and imported under another name, so that both alternate in one process.
"""

import argparse
import csv
import importlib
import re
import statistics
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import snn2ann
from snn2ann.evaluation.cost import random_batch, timed
from snn2ann.files import write_csv
from snn2ann.models.building import build_network
from snn2ann.options import VARIANTS
from snn2ann.parameters import load_parameters
from snn2ann.runs.made_with import provenance
from snn2ann.study import network_spec

SHAPE, CLASSES, STEPS = (3, 32, 32), 10, 5
COLUMNS = ["network", "variant", "pass", "time_steps", "batch_size", "beside", "seconds", "beside_seconds", "ratio"]
COLUMNS += ["rounds", "threads", "torch", "machine"]
BEFORE = "snn2ann_before"
Pass = Callable[[], Any]


def import_before(commit: str) -> Any:
    """Import the `build_model` of an earlier commit's package, under another name."""
    archive = subprocess.run(["git", "archive", commit, "src/snn2ann"], capture_output=True, check=True).stdout
    folder = Path(tempfile.mkdtemp(prefix="snn2ann-before-"))
    with tarfile.open(fileobj=BytesIO(archive)) as files:
        files.extractall(folder, filter="data")
    package = (folder / "src" / "snn2ann").rename(folder / BEFORE)
    for file in package.rglob("*.py"):
        text = re.sub(r"\bsnn2ann\.", f"{BEFORE}.", file.read_text())
        file.write_text(re.sub(r"\b(from|import) snn2ann\b", rf"\1 {BEFORE}", text))
    sys.path.insert(0, str(folder))
    room = "methods" if (package / "methods" / "build.py").exists() else "baselines"
    return importlib.import_module(f"{BEFORE}.{room}.build").build_model


def settled(model: nn.Module, step: Pass) -> None:
    """Let BatchNorms take the statistics of three steps; thresholds stay."""
    kept = {name: value.clone() for name, value in model.named_buffers() if name.endswith("threshold")}
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = 1.0
    for _ in range(3):
        step()
    for norm in norms:
        norm.momentum = 0.1
    for name, value in model.named_buffers():
        if name in kept:
            value.copy_(kept[name])


def compare(ours: Pass, other: Pass, rounds: int) -> dict[str, Any]:
    """Time both in turn; the first round warms up."""
    device = torch.device("cpu")
    pairs = [(timed(ours, device), timed(other, device)) for _ in range(rounds + 1)][1:]
    mine, theirs = (statistics.median(each) for each in zip(*pairs, strict=True))
    ratio = statistics.median(one / two for one, two in pairs)
    return {"seconds": f"{mine:.4f}", "beside_seconds": f"{theirs:.4f}", "ratio": f"{ratio:.3f}", "rounds": rounds}


def step(model: nn.Module, images: Tensor, labels: Tensor) -> None:
    """A step of a module that gives logits."""
    model.zero_grad(set_to_none=True)
    cross_entropy(model(images), labels).backward()


def rig_step(model: Any, images: Tensor, labels: Tensor) -> None:
    """A step of the earlier rig."""
    model.zero_grad(set_to_none=True)
    model.training_step(images, labels, cross_entropy).loss.backward()


@torch.no_grad()
def answer(function: Callable[..., Tensor], *arguments: Any) -> None:
    """Logits of a batch."""
    function(*arguments)


def beside_before(build: Any, commit: str, images: Tensor, labels: Tensor, rounds: int) -> Iterator[dict[str, Any]]:
    """The paper's networks, coupled as plain modules, beside the earlier rig's."""
    parameters = load_parameters(Path("params.yaml"))
    for name in ("vgg-13", "resnet-17"):
        network = network_spec(parameters, name, list(SHAPE), f"networks.{name}")
        for variant in VARIANTS:
            options = asdict(VARIANTS[variant]) | {"mapping_unit": "stsu"}
            method = {"name": "snn2ann", "time_steps": STEPS, "options": options}
            torch.manual_seed(0)
            before = build({"dataset": {"shape": SHAPE, "classes": CLASSES}, "network": network, "method": method})
            before.train()
            torch.manual_seed(0)
            plain = build_network(network, SHAPE, CLASSES)
            coupled = snn2ann.couple(plain, STEPS, image_shape=SHAPE, variant=variant, **options).train()
            common = {"network": name, "variant": variant, "beside": f"the engine of {commit}"}
            ours, theirs = partial(step, coupled, images, labels), partial(rig_step, before, images, labels)
            yield common | {"pass": "step"} | compare(ours, theirs, rounds)
            settled(coupled, ours)
            settled(before, theirs)
            coupled.eval()
            before.eval()
            ours, theirs = partial(answer, coupled, images), partial(answer, before.spiking_forward, images, STEPS)
            yield common | {"pass": "inference"} | compare(ours, theirs, rounds)


def beside_plain(images: Tensor, labels: Tensor, rounds: int) -> Iterator[dict[str, Any]]:
    """Torchvision's VGG-11, coupled, beside itself as an ANN."""
    for variant in VARIANTS:
        torch.manual_seed(0)
        plain = torchvision.models.vgg11_bn(num_classes=CLASSES).train()
        torch.manual_seed(0)
        network = torchvision.models.vgg11_bn(num_classes=CLASSES)
        coupled = snn2ann.couple(network, STEPS, image_shape=SHAPE, variant=variant).train()
        common = {"network": "vgg11_bn", "variant": variant, "beside": "the plain network", "pass": "step"}
        yield common | compare(partial(step, coupled, images, labels), partial(step, plain, images, labels), rounds)


def beside_presets(
    options: dict[str, Any], beside: str, images: Tensor, labels: Tensor, rounds: int
) -> Iterator[dict[str, Any]]:
    """The paper's networks, refined, at the start of a training with more options, beside themselves without."""
    parameters = load_parameters(Path("params.yaml"))
    for name in ("vgg-13", "resnet-17"):
        network = network_spec(parameters, name, list(SHAPE), f"networks.{name}")
        changed, plain = (
            snn2ann.couple(build_network(network, SHAPE, CLASSES), STEPS, image_shape=SHAPE, **more).train()
            for more in (options, {})
        )
        changed.progress = plain.progress = 0.0
        common = {"network": name, "variant": "refined", "beside": beside, "pass": "step"}
        yield common | compare(partial(step, changed, images, labels), partial(step, plain, images, labels), rounds)


PARTS: dict[str, Callable[..., Iterator[dict[str, Any]]]] = {
    "plain": beside_plain,
    "learned": partial(beside_presets, {"threshold_descent": 0.01}, "without learned thresholds"),
    "quantised": partial(beside_presets, {"quantised_share": 1.0}, "with spikes, not a quantiser's counts"),
}


def main() -> None:
    """Measure and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--before", metavar="COMMIT", help="whose engine to compare with as well")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="some of what is always measured")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/coupling.csv"))
    options = parser.parse_args()
    torch.set_num_threads(min(2, torch.get_num_threads()))
    images, labels = random_batch(options.batch, SHAPE, CLASSES, "cpu")
    measured = [row for part in options.only for row in PARTS[part](images, labels, options.rounds)]
    if options.before:
        build = import_before(options.before)
        measured += beside_before(build, options.before, images, labels, options.rounds)
    common = {"time_steps": STEPS, "batch_size": options.batch, "threads": torch.get_num_threads()}
    common |= {"torch": torch.__version__, "machine": provenance()["machine"]["processor"]}
    rows = [row | common for row in measured]
    mine = {row["beside"] for row in rows}
    old = list(csv.DictReader(options.output.open())) if options.output.exists() else []
    write_csv(options.output, COLUMNS, [*rows, *(row for row in old if row["beside"] not in mine)])


if __name__ == "__main__":
    main()
