"""The time of inference: every method at every T, in turn."""

from pathlib import Path

import pandas as pd
import pytest
import torch

from snn2ann.evaluation import inference
from snn2ann.evaluation.inference import Contender, measure_inference
from snn2ann.runs.reading import read_inference
from snn2ann.study import load_parameters, resolve


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    spec = resolve(load_parameters(Path(__file__).parents[1] / "workflow/params.yaml"), "tiny").inference_spec
    assert spec is not None
    path = tmp_path_factory.mktemp("inference") / "inference.csv"
    measure_inference(spec, path, "cpu")
    return read_inference(path)


def test_every_method_is_timed_at_every_t_in_every_round(rows: pd.DataFrame) -> None:
    found = rows.groupby("method")["time_steps"].apply(lambda steps: steps.tolist()).to_dict()
    assert {name: steps for name, steps in found.items() if name != "ann"} == {
        name: [1, 2, 1, 2] for name in ("stbp", "conversion", "snn2ann")
    }
    assert rows.loc[rows["method"] == "ann", "time_steps"].isna().tolist() == [True, True]
    assert rows["round"].tolist() == [1] * 7 + [2] * 7  # in turn, the pass of warming up left out
    assert set(rows["batch_size"]) == {5} and (rows["seconds"] > 0).all()
    assert rows.loc[rows["method"] == "stbp", "library"].str.startswith("spikingjelly ").all()


def test_an_answer_is_that_of_the_last_step() -> None:
    spec = resolve(load_parameters(Path(__file__).parents[1] / "workflow/params.yaml"), "tiny").inference_spec
    assert spec is not None
    images = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    for method in spec["methods"]:
        contender: Contender = inference._contender(spec["places"][0], method, [3], images)
        with torch.no_grad():
            if method["name"] == "ann":
                expected = contender.model.ann_forward(images).argmax(1)
            else:
                expected = contender.model.spiking_forward(images, 3)[2].argmax(1)
            assert contender.answer(images, contender.time_steps[0]) == expected.tolist()
