"""Trained networks' inference, tiny: what stands in a row is what its layers add up to, and both networks have learnt."""

import csv
import sys
from pathlib import Path

import pytest
import torch

from benchmarks import tables, trained
from benchmarks.from_trained import digits


def test_rows_add_up_and_both_have_learnt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images, labels, tested, answers = digits()
    monkeypatch.setattr(trained, "fashion_mnist", lambda *_: (images, labels, tested, answers))
    monkeypatch.setattr(trained, "RATE", 0.01)
    words = ["trained", "--networks", "vgg-tiny", "--epochs", "2", "--rounds", "1", "--output", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", words)
    trained.main()
    rows, layers = (list(csv.DictReader((tmp_path / name).open())) for name in ("trained.csv", "trained_layers.csv"))
    assert [row["time_steps"] for row in rows] == ["3", "5", "2"]
    assert all(float(row["speed_to_ann"]) > 0 for row in rows)
    assert float(rows[0]["ann_accuracy"]) > 60 and float(rows[0]["accuracy"]) > 60, "10 by chance"
    for measure in ("energy", "ann_energy"):
        assert sum(float(row[measure]) for row in layers) == pytest.approx(float(rows[0][measure]))
    assert sum(float(row["accumulates"]) for row in layers) == pytest.approx(float(rows[0]["synaptic_operations"]))
    monkeypatch.setitem(tables.NETWORKS, "vgg-tiny", "VGG (tiny)")
    assert [line.split("|")[2].strip() for line in tables.trained(tmp_path).splitlines()[2:]] == ["2", "3", "5"]
    assert len(tables.trained_layers(tmp_path).splitlines()) == 2 + len(layers)


def test_both_start_from_the_same_weights() -> None:
    ann, coupled = trained.networks("vgg-tiny", (1, 8, 8), 3)
    pairs = list(zip(ann.parameters(), coupled.parameters(), strict=True))
    assert len(pairs) > 10
    assert all(torch.equal(one, other) and one is not other for one, other in pairs)
