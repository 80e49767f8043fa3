"""Frames of an event camera through the rig: loaded, trained on and evaluated; refused by name where a method cannot."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from snn2ann.data.loading import load
from snn2ann.data.prepare import fetch_and_prepare
from snn2ann.errors import UserError
from snn2ann.evaluation.evaluate import evaluate
from snn2ann.evaluation.inference import measure_inference
from snn2ann.files import read_json
from snn2ann.methods.build import build_model
from snn2ann.parameters import merge
from snn2ann.runs.folder import RunFolder
from snn2ann.study import Run, Study, load_parameters, resolve
from snn2ann.tracking.recorded_model import deployed
from snn2ann.training.loop import plain_batches, train
from tests.method.test_frames import moving_bars

STEPS = 5
ROOT = Path(__file__).parents[2]
METHODS: list[dict[str, Any]] = [
    {"method": "ann"},
    {"method": "stbp", "time_steps": STEPS},
    {"method": "tandem", "time_steps": STEPS},
    {"method": "snn2ann", "variant": "refined", "time_steps": STEPS},
    {"method": "snn2ann", "variant": "released", "time_steps": STEPS},
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with 1,200 moving bars."""
    folder = tmp_path_factory.mktemp("bars")
    frames, directions = moving_bars(1200, seed=1)
    np.savez(folder / "bars.npz", frames=frames.swapaxes(0, 1).to(torch.uint8).numpy(), labels=directions.numpy())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        yield folder


def study_of(place: Path, runs: list[dict[str, Any]]) -> Study:
    parameters = load_parameters(ROOT / "params.yaml")
    recipe = parameters["recipes"]["digits"] | {"epochs": 6, "batch_size": 50, "learning_rate": 0.01}
    section = {
        "title": "Bars",
        "datasets": ["bars"],
        "networks": ["tiny"],
        "seeds": [0],
        "recipe": "bars",
        "runs": runs,
    }
    network = {
        "kind": "vgg",
        "blocks": [[12], [16]],
        "pooled_blocks": [1],
        "dropout": [0, 0],
        "initialisation": "default",
    }
    changes = {
        "datasets": {"bars": {"kind": "frames", "path": str(place / "bars.npz")}},
        "networks": {"tiny": network},
        "recipes": {"bars": recipe},
        "studies": {"bars": section},
    }
    return resolve(merge(parameters, changes), "bars")


@pytest.mark.parametrize("entry", METHODS, ids=lambda entry: f"{entry['method']}-{entry.get('variant')}")
def test_directions_of_moving_bars_are_learnt(place: Path, entry: dict[str, Any]) -> None:
    (run,) = study_of(place, [entry]).runs
    found = made(run, place)
    selected = next(each for each in found if each["checkpoint"] == "selected" and each["split"] == "test")
    accuracy = (selected["accuracy"] or [selected["ann_accuracy"]])[-1]
    assert accuracy > 0.8  # by chance 0.25
    assert np.trace(selected["confusion"]) / selected["images"] == pytest.approx(accuracy)
    if entry["method"] != "ann":
        assert selected["time_steps"] == [1, 2, 3, 4, 5]
        # The first layer multiplies at each step what is there, and nothing is done once.
        assert selected["multiply_accumulates"] == 0
        assert 0 < selected["energy"][0] < selected["energy"][-1]

    # As MLflow keeps it: a batch comes first, then its frames.
    network = deployed(run.spec, place / "runs" / run.name, STEPS)
    images, labels = next(iter(plain_batches(load(place / "data" / run.dataset_folder), "test", 10**4, None, "cpu")))
    images = images.transpose(0, 1)
    exported = torch.export.export(network, (images,)).module()
    with torch.no_grad():
        for each in (network, exported):
            assert float((each(images).argmax(1) == labels).double().mean()) == pytest.approx(accuracy)


def made(run: Run, place: Path) -> list[dict[str, Any]]:
    data = place / "data" / run.dataset_folder
    dataset_spec = run.spec["dataset"] | {"path": str(place / "bars.npz")}
    fetch_and_prepare(dataset_spec, place / "raw", data)
    folder = place / "runs" / run.name
    train(run.spec, load(data), folder, "cpu")
    output = RunFolder(folder).evaluation(run.evaluation_digest)
    evaluate(run.spec, run.evaluation_spec, load(data), folder, output, "cpu")
    return list(read_json(output)["entries"])


def test_equal_frames_are_an_image_to_spike_based_bp(place: Path) -> None:
    spec = study_of(place, [METHODS[1]]).runs[0].spec
    of_images = spec | {"dataset": {key: value for key, value in spec["dataset"].items() if key != "frames"}}
    images = torch.rand(4, 2, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    given = []
    for each, batch in ((spec, images.expand(STEPS, *images.shape)), (of_images, images)):
        torch.manual_seed(0)
        given.append(build_model(each).double().eval().spiking_forward(batch, STEPS))
    torch.testing.assert_close(given[0], given[1])
    assert given[0].std() > 0.01


@pytest.mark.parametrize(
    ("entry", "cause"),
    [
        (
            {"method": "sltt", "time_steps": STEPS},
            r"runs\[0\].method: sltt is not allowed with data set bars, which is of 5 frames",
        ),
        ({"method": "qcfs"}, "expected one of snn2ann, ann, tandem, stbp"),
        ({"method": "snn2ann", "time_steps": 4}, r"runs\[0\].time_steps: 4 is not allowed .* expected 5"),
        ({"method": "snn2ann", "time_steps": STEPS, "calibrate": True}, r"runs\[0\].calibrate: true is not allowed"),
    ],
)
def test_what_takes_no_frames_is_refused_by_name(place: Path, entry: dict[str, Any], cause: str) -> None:
    with pytest.raises(UserError, match=cause):
        study_of(place, [entry])


def test_inference_on_frames_is_timed(place: Path, tmp_path: Path) -> None:
    spec = study_of(place, METHODS).inference_spec
    assert spec is not None
    small = spec | {"time_steps": [1, 3], "batch_size": 2, "rounds": 1, "warmup": 0}
    measure_inference(small, tmp_path / "inference.csv", "cpu")
    rows = (tmp_path / "inference.csv").read_text().splitlines()[1:]
    assert len(rows) == 1 + 2 * 4
