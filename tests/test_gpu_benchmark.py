"""`make gpu`, tiny, on a CPU: all of it runs, so that nothing but the device is new on a machine that has one."""

import csv
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks import gpu, tables


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.open()))


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results") / "gpu-cpu"
    passing = folder.with_name("test_passing.py")
    passing.write_text("def test_it(): pass\n")
    with pytest.MonkeyPatch.context() as patched:
        words = ["gpu", "--tiny", "--device", "cpu", "--output", str(folder)]
        patched.setattr(sys, "argv", words)
        patched.setattr(gpu, "CHECKED", {"kernels": str(passing), "released": "tests/no_such_test.py"})
        gpu.main()
    return folder


def test_every_cell_is_a_figure_or_says_why_not(measured: Path) -> None:
    steps = rows(measured / "steps.csv")
    methods = [key for key in gpu.METHODS if not key[0].endswith("compiled")]
    assert len(steps) == len(methods) * 2 * 2
    assert all(float(row["seconds"]) > 0 and int(row["saved_bytes"]) > 0 and not row["note"] for row in steps)
    assert all(float(row["ratio_to_bp_t8"]) > 0 and float(row["ratio_to_ann"]) > 0 for row in steps)
    answers = rows(measured / "inference.csv")
    assert len(answers) == 2 * len(gpu.ANSWERING) and all(float(row["images_per_second"]) > 0 for row in answers)
    for network in ("vgg-tiny", "resnet-tiny"):
        for method, _ in gpu.METHODS[:3]:
            shares = [
                float(row["share"])
                for row in rows(measured / "where.csv")
                if (row["network"], row["method"]) == (network, method)
            ]
            assert sum(shares) == pytest.approx(1, abs=0.01)
    both = rows(measured / "captured.csv")
    assert len(both) == 2 * 3
    # The same steps from the same weights, where a graph is the work itself.
    assert all(row["loss"] == row["captured_loss"] and float(row["ratio"]) > 0 and not row["note"] for row in both)
    assert (measured / "steps.png").stat().st_size > 10_000


def test_the_page_has_a_row_for_each_verdict(measured: Path) -> None:
    facts = json.loads((measured / "facts.json").read_text())
    assert len(facts["verdicts"]) == 2 * 2 * 2
    assert facts["checks"]["kernels"]["passed"], facts["checks"]
    assert not facts["checks"]["released"]["passed"]
    assert not facts["checks"]["no_wait"]["passed"], "a CPU proves nothing of it"
    table = tables.on_gpus(measured.parent).splitlines()
    assert len(table) == 2 + len(facts["verdicts"])
    assert "| yes " in table[2] and "no: " in table[2]
    graphs = tables.as_graphs(measured.parent).splitlines()
    assert len(graphs) == 2 + 2 * 3 and graphs[2].startswith("| cpu")
    assert tables.on_gpus(measured) == tables.as_graphs(measured) == "Not run on any GPU yet."


def test_what_there_is_no_time_for_or_no_room_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = gpu.Plan(torch.device("cpu"), ["vgg-tiny"], (1, 8, 8), [4], ["fp32"], 1, deadline=0.0)
    assert {row["note"] for row in (*gpu.training(plan), *gpu.captured(plan))} == {"not reached in time"}

    def full() -> dict[str, object]:
        raise torch.cuda.OutOfMemoryError

    assert gpu._guarded(full) == {"note": "does not fit into memory"}
    monkeypatch.setattr(gpu, "_answers", lambda *_: full())
    later = replace(plan, deadline=float("inf"))
    assert {row["note"] for row in gpu.inference(later)} == {"does not fit into memory"}


def test_without_a_gpu_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu"])
    with pytest.raises(SystemExit, match="no CUDA device is there"):
        gpu.main()
