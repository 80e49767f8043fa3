"""Where a training step's time goes: `python -m benchmarks.where`, a minute; benchmarks/results/where_time_goes.csv."""

import argparse
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile, record_function

from benchmarks.engine import CLASSES, SHAPE, make, network_named
from snn2ann.engine import events
from snn2ann.evaluation.cost import random_batch
from snn2ann.files import write_csv

COLUMNS = ["network", "method", "time_steps", "batch_size", "threads", "part", "seconds", "share"]
EVENTS = "neurons and their convolutions, spike by spike"
PARTS = {
    EVENTS: EVENTS,
    "aten::convolution_backward": "gradients of convolutions",
    "aten::mkldnn_convolution": "dense convolutions",
    "aten::native_batch_norm": "BatchNorm",
    "aten::native_batch_norm_backward": "BatchNorm",
    "aten::random_": "random numbers of the dropouts",
    "aten::bernoulli_": "random numbers of the dropouts",
}


def watch_events() -> None:
    """Give the compiled loops a name in the profile."""
    for name in ("fire", "convolve", "integrate"):
        plain = getattr(events, name)

        def named(*arguments: Any, plain: Any = plain, **options: Any) -> Any:
            with record_function(EVENTS):
                return plain(*arguments, **options)

        setattr(events, name, named)


def parts(network: dict[str, Any], method: str, steps: int | None, size: int) -> list[dict[str, Any]]:
    """Profile one step after one to warm up."""
    contender = make(network, method, steps)
    images, labels = random_batch(size, SHAPE, CLASSES, "cpu")
    contender.step(images, labels)
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        contender.step(images, labels)
    found: Counter[str] = Counter()
    for each in profiled.key_averages():
        found[PARTS.get(each.key, "everything else")] += each.self_cpu_time_total / 1e6
    total = sum(found.values())
    common = {"network": network["name"], "method": method, "time_steps": steps, "batch_size": size}
    common["threads"] = torch.get_num_threads()
    return [
        common | {"part": part, "seconds": f"{seconds:.4f}", "share": f"{seconds / total:.4f}"}
        for part, seconds in found.most_common()
    ]


def main() -> None:
    """Profile SNN2ANN at T = 5 and the plain ANN."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/where_time_goes.csv"))
    options = parser.parse_args()
    torch.set_num_threads(min(2, torch.get_num_threads()))
    watch_events()
    rows = []
    for name in ("vgg-13", "resnet-17"):
        network = network_named(name)
        for method, steps in (("snn2ann", 5), ("ann", None)):
            rows += parts(network, method, steps, options.batch)
    write_csv(options.output, COLUMNS, rows)


if __name__ == "__main__":
    main()
