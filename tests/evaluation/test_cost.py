"""The cost of a training step: what is saved for backward, and what the table holds. No time is asserted."""

import csv
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from snn2ann.evaluation.cost import measure
from snn2ann.evaluation.memory import saved_for_backward
from snn2ann.methods import METHODS
from snn2ann.options import RELEASED


def method(name: str, time_steps: int | None) -> dict[str, Any]:
    options = asdict(RELEASED) | {"mapping_unit": "stsu"} if name == "snn2ann" else METHODS[name].defaults
    return {"name": name, "time_steps": time_steps, "options": options}


MEASUREMENT: dict[str, Any] = {
    "networks": [
        {"name": "small", "kind": "vgg", "blocks": [[8, 8]], "pooled_blocks": [1], "dropout": [0]},
    ],
    "image_shape": [3, 16, 16],
    "classes": 10,
    "methods": [method("ann", None), *(method(name, steps) for name in ("stbp", "snn2ann") for steps in (4, 8))],
    "batch_size": 2,
    "rounds": 2,
    "warmup": 1,
    "precision": "fp32",
}


def test_saved_bytes_count_each_storage_once_and_no_parameter() -> None:
    layer = nn.Linear(10, 20)
    value = torch.randn(5, 10)

    def forward() -> torch.Tensor:
        # Saved: the linear layer's input, and exp's output once for exp and for the product.
        result = layer(value).exp()
        return result * result

    model: Any = layer
    assert saved_for_backward(model, forward) == 4 * (5 * 10 + 5 * 20)


def test_memory_is_flat_in_t_for_the_method_and_grows_for_backpropagation_through_time(tmp_path: Path) -> None:
    output = tmp_path / "cost.csv"
    measure(MEASUREMENT, output, "cpu")
    with output.open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 5 * 2
    saved = {(row["method"], row["time_steps"]): int(row["saved_bytes"]) for row in rows}
    assert saved["snn2ann", "4"] == saved["snn2ann", "8"]
    assert saved["stbp", "8"] > 1.5 * saved["stbp", "4"]
    assert saved["snn2ann", "8"] < 0.5 * saved["stbp", "8"]
    assert all(float(row["seconds"]) > 0 for row in rows)
    assert {row["round"] for row in rows} == {"1", "2"}
    assert {row["library"].split()[0] for row in rows if row["method"] == "stbp"} == {"spikingjelly"}


def test_measuring_changes_no_gradient() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(3, 2)
    value, labels = torch.randn(4, 3), torch.tensor([0, 1, 0, 1])
    model: Any = layer
    saved_for_backward(model, lambda: cross_entropy(layer(value), labels))
    assert layer.weight.grad is None
