"""A batch in parts, by several processes or in micro-batches, is the whole batch."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, distributed
from torch.multiprocessing.spawn import spawn
from torch.nn.functional import cross_entropy

from snn2ann.cli import processes as starting
from snn2ann.data import dataset_spec
from snn2ann.data.loading import batches, load
from snn2ann.data.prepare import fetch_and_prepare
from snn2ann.errors import UserError
from snn2ann.methods import METHODS
from snn2ann.methods.build import build_model
from snn2ann.options import VARIANTS
from snn2ann.runs.weights import load_tensors
from snn2ann.training import loop
from snn2ann.training.parts import parts_of
from tests.recipes import PLAIN

DATASET = dataset_spec("digits", {"train_images": 200})
COUPLED = [f"snn2ann {variant}" for variant in VARIANTS]
TRAINED = [name for name in METHODS if name not in ("snn2ann", "conversion", "authors")] + COUPLED
TRAINED += ["snn2ann refined learned", "snn2ann refined quantised"]  # thresholds; counts at first


def spec(name: str, **recipe: Any) -> dict[str, Any]:
    """A run of a method; nothing in it is dropped at random, and of the last batch a process has more than the other."""
    method, *words = name.split()
    variant, options = "".join(words[:1]), METHODS[method].defaults
    if variant:
        more = {"threshold_descent": 0.02} if "learned" in words else {}
        more |= {"quantised_share": 0.5} if "quantised" in words else {}
        options = asdict(VARIANTS[variant].with_options({"membrane_dropout": 0.0, "ata_rate": 0.00005, **more}))
    return {
        "dataset": DATASET,
        "network": {"name": "vgg", "kind": "vgg", "blocks": [[4], [6]], "pooled_blocks": [1, 2], "dropout": [0, 0]},
        "method": {
            "name": method,
            "revision": METHODS[method].revision,
            "time_steps": 3 if METHODS[method].time_steps else None,
            "variant": variant or None,
            "options": options,
        },
        "recipe": PLAIN
        | {
            "epochs": 1,
            "batch_size": 61,
            "optimizer": "sgd",
            "learning_rate": 0.05,
            "schedule": {"kind": "one-cycle", "warmup": 0.5},
            "augmentation": {"crop_padding": 1, "horizontal_flip": True},
            "select": "last",
            **recipe,
        },
        "seed": 0,
        "source": None,
    }


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("digits") / "prepared"
    fetch_and_prepare(DATASET, folder.parent / "raw", folder)
    return folder


def in_double(digits: Path, output: Path, names: list[str]) -> None:
    """Train in double precision, in which no spike turns on the order of a sum."""
    names_of_loop = vars(loop)
    single = names_of_loop["batches"]

    def double(*arguments: Any, **named: Any) -> Iterator[tuple[Tensor, Tensor]]:
        return ((images.double(), labels) for images, labels in single(*arguments, **named))

    names_of_loop["batches"] = double
    torch.set_default_dtype(torch.float64)
    try:
        for name in names:
            loop.train(spec(name), load(digits), output / name, "cpu")
    finally:
        torch.set_default_dtype(torch.float32)
        names_of_loop["batches"] = single


def one_of_two(rank: int, digits: Path, output: Path) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", f"file://{output}/meeting", rank=rank, world_size=2)
    in_double(digits, output, TRAINED)
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def by_two(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("by-two")
    spawn(one_of_two, (digits, folder), nprocs=2)
    return folder


@pytest.mark.parametrize("name", TRAINED)
def test_two_processes_train_as_one(name: str, digits: Path, by_two: Path, tmp_path: Path) -> None:
    in_double(digits, tmp_path, [name])
    alone, together = tmp_path / name, by_two / name
    for file in ("weights.safetensors", "thresholds.safetensors"):
        one, two = load_tensors(alone / file), load_tensors(together / file)
        assert one.keys() == two.keys()
        for key, value in one.items():
            assert value.dtype != torch.float32
            torch.testing.assert_close(two[key], value, rtol=1e-7, atol=1e-9, msg=key)
    told = [json.loads((folder / "training.json").read_text()) for folder in (alone, together)]
    assert "processes" not in told[0] and told[1]["processes"] == 2
    rows = [(folder / "history.csv").read_text().splitlines() for folder in (alone, together)]
    assert len(rows[0]) == len(rows[1]) == 2
    for header, own, theirs in zip(rows[0][0].split(","), *(row[1].split(",") for row in rows), strict=True):
        if own and header != "seconds":
            assert float(own) == pytest.approx(float(theirs), rel=1e-6), header


def test_thresholds_of_both_variants_moved(by_two: Path) -> None:
    for name in COUPLED:
        layers = (by_two / name / "layers.csv").read_text().splitlines()
        header = layers[0].split(",")
        rows = [dict(zip(header, row.split(","), strict=True)) for row in layers[1:]]
        assert any(
            first["layer"] == last["layer"] and float(last["threshold_mean"]) > float(first["threshold_mean"])
            for first in rows
            for last in rows
        )


def test_parts_of_a_batch() -> None:
    images, labels = torch.arange(10.0).view(10, 1), torch.arange(10)
    parts = list(parts_of(images, labels, whole=10, micro_batches=3, smallest=1))
    assert [len(theirs) for _, theirs, _ in parts] == [4, 3, 3] and sum(weight for *_, weight in parts) == 1
    assert torch.equal(torch.cat([some for some, *_ in parts]), images)
    # None is smaller than BatchNorm can take, and frames are split by samples.
    assert len(list(parts_of(images, labels, whole=10, micro_batches=9, smallest=2))) == 5
    frames = images.view(1, 10, 1).expand(4, 10, 1)
    assert next(parts_of(frames, labels, whole=10, micro_batches=2, smallest=1, batch_axis=1))[0].shape == (4, 5, 1)


@pytest.mark.parametrize("name", ["ann", "sltt", "snn2ann refined"])
def test_micro_batches_have_the_gradient_of_the_whole_batch(
    name: str, digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = spec(name, micro_batches=3, batch_size=1000)
    batch = batches(
        load(digits), "train", 1000, augmentation=wanted["recipe"]["augmentation"], shuffle=True, seed=0, epoch=1
    )
    images, labels = next(batch)
    captured: list[dict[str, Tensor]] = []

    class Noted(torch.optim.SGD):
        def step(self, closure: Any = None) -> None:  # type: ignore[override]
            captured.append({key: value.grad for key, value in trained.named_parameters() if value.grad is not None})

    torch.manual_seed(0)
    trained = build_model(wanted)
    monkeypatch.setattr(loop, "build_optimiser", lambda parameters, recipe: Noted(parameters))
    loop.Trainer(wanted, load(digits), trained, torch.device("cpu"))._pass(1)
    torch.manual_seed(0)
    fresh = build_model(wanted).train()
    for some, theirs in zip(images.tensor_split(3), labels.tensor_split(3), strict=True):
        fresh.loss_weight = len(theirs) / len(labels)
        (fresh.training_step(some, theirs, cross_entropy).loss * fresh.loss_weight).backward()
    assert len(captured) == 1
    for key, value in fresh.named_parameters():
        torch.testing.assert_close(captured[0][key], value.grad)


def command(*words: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-m", "snn2ann.cli", "train", *words], capture_output=True, text=True, env=environment
    )


def test_the_command_starts_processes(digits: Path, tmp_path: Path) -> None:
    file = tmp_path / "spec.json"
    file.write_text(json.dumps(spec("snn2ann refined")))
    words = ["--spec", str(file), "--data", str(digits), "--device", "cpu"]
    both = command(*words, "--output", str(tmp_path / "both"), "--processes", "2")
    assert both.returncode == 0, both.stderr
    # The first alone says how far it is, and nothing else is said.
    assert re.fullmatch(r"snn2ann: epoch 1/1, .*\n", both.stderr)
    alone = command(*words, "--output", str(tmp_path / "alone"))
    assert alone.returncode == 0, alone.stderr
    one, two = (load_tensors(tmp_path / name / "weights.safetensors") for name in ("alone", "both"))
    assert one.keys() == two.keys()
    assert sorted(path.name for path in (tmp_path / "alone").iterdir()) == sorted(
        path.name for path in (tmp_path / "both").iterdir()
    )


def test_what_cannot_be_split_is_refused(digits: Path, tmp_path: Path) -> None:
    words = ["--data", str(digits), "--device", "cpu", "--output", str(tmp_path / "run")]
    found = command("--spec", json.dumps(spec("conversion")), *words, "--processes", "2")
    assert found.returncode == 2 and "a run of conversion is not trained" in found.stderr
    assert found.stderr.count("error: ") == 1 and "Traceback" not in found.stderr
    found = command("--spec", json.dumps(spec("ann")), *words[:2], *words[4:], "--device", "cuda:0", "--processes", "2")
    assert found.returncode == 2 and "--device cuda:0: one device for 2 processes" in found.stderr
    found = command("--spec", json.dumps(spec("ann")), *words, "--processes", "0")
    assert found.returncode == 2 and "--processes: 0 is not allowed" in found.stderr


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({"batch_size": 4}, "a batch of 4 images is too small for 8 processes"),
        ({"cuda_graph": True}, r"recipe\.cuda_graph: true is a recipe for one process"),
    ],
)
@pytest.mark.parametrize("started", [False, True], ids=["here", "by-torchrun"])
def test_what_several_cannot_train_is_refused_before_one_starts(
    recipe: dict[str, Any], message: str, started: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starting, "_launch", lambda _: pytest.fail("started"))
    if started:
        monkeypatch.setenv("WORLD_SIZE", "8")
    with pytest.raises(UserError, match=f"--processes: {message}"):
        starting.start_processes(1 if started else 8, "cpu", spec("ann", **recipe))
    assert not starting.start_processes(1, "cpu", spec("ann")), "goes on in this process"
