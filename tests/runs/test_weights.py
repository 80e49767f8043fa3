"""A network's state in files: by the network's own names, and files of earlier versions."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from snn2ann.errors import UserError
from snn2ann.methods import METHODS
from snn2ann.methods.build import build_model, placed
from snn2ann.methods.model import Model
from snn2ann.runs.folder import RunFolder
from snn2ann.runs.weights import load_state, load_tensors, save_state, save_tensors, split_state

NETWORK: dict[str, Any] = {
    "kind": "resnet",
    "channels": [4, 4, 6],
    "strides": [1, 1, 2],
    "blocks_per_stage": 1,
    "dropout": 0,
}


def build(name: str, seed: int = 0, width: int = 4) -> Model:
    torch.manual_seed(seed)
    method = {"name": name, "time_steps": 4 if METHODS[name].time_steps else None, "options": METHODS[name].defaults}
    network = NETWORK | {"channels": [width, width, 6]}
    return build_model({"dataset": {"shape": (2, 8, 8), "classes": 3}, "network": network, "method": method})


@pytest.mark.parametrize("name", ["stbp", "qcfs", "conversion"])
def test_a_state_that_is_loaded_is_the_one_that_was_saved(name: str, tmp_path: Path) -> None:
    run, images = RunFolder(tmp_path), torch.rand(6, 2, 8, 8)
    model, other = build(name), build(name, seed=1)
    if not model.trains:
        model.convert([images])
    save_state(run, *split_state(model.eval()))
    load_state(other, run.weights, run.thresholds)
    assert torch.equal(other.eval().spiking_forward(images, 5), model.spiking_forward(images, 5))
    names = set(load_tensors(run.weights))
    assert "blocks.stage2_1.second.shortcut.convolution.weight" in names
    assert ("stem.ceiling" in names) == (name == "qcfs")
    kinds = {"threshold", "worth"} if name == "conversion" else {"threshold"}
    assert {each.rpartition(".")[2] for each in load_tensors(run.thresholds)} == kinds


def with_scales(weights: dict[str, Tensor], scale: float) -> dict[str, Tensor]:
    """As files of earlier versions are: an identity shortcut had a scale."""
    return weights | {"blocks.stage1_1.second.shortcut.scale": torch.tensor(scale)}


def test_an_earlier_versions_file_is_loaded_where_its_shortcuts_are_not_scaled(tmp_path: Path) -> None:
    run, model, other = RunFolder(tmp_path), build("stbp"), build("stbp", seed=1)
    weights, thresholds = split_state(model)
    save_state(run, with_scales(weights, 1.0), thresholds)
    load_state(other, run.weights, run.thresholds)
    assert all(torch.equal(value, split_state(other)[0][name]) for name, value in weights.items())
    save_tensors(run.weights, with_scales(weights, 0.5))
    with pytest.raises(UserError, match=r"shortcut\.scale is not the network's"):
        load_state(other, run.weights, run.thresholds)


def test_what_differs_is_named_and_nothing_is_loaded(tmp_path: Path) -> None:
    run, model = RunFolder(tmp_path), build("stbp")
    save_state(run, *split_state(build("stbp", width=5)))
    before = split_state(model)
    with pytest.raises(
        UserError, match=r"weights\.safetensors: holds another network .*\[5, 2, 3, 3\], not \[4, 2, 3, 3\]"
    ):
        load_state(model, run.weights, run.thresholds)
    for old, new in zip(before, split_state(model), strict=True):
        assert all(torch.equal(old[name], new[name]) for name in old)


def test_weights_that_are_channels_last_as_on_a_gpu_are_the_same_file(tmp_path: Path) -> None:
    model = build("snn2ann")
    save_state(RunFolder(tmp_path / "one"), *split_state(model))
    model = model.to(memory_format=torch.channels_last)
    assert not all(value.is_contiguous() for value in model.state_dict().values())
    save_state(RunFolder(tmp_path / "two"), *split_state(model))
    one, two = (RunFolder(tmp_path / name) for name in ("one", "two"))
    assert one.weights.read_bytes() == two.weights.read_bytes()
    load_state(model, one.weights, one.thresholds)
    assert placed(model, "cpu") is model
