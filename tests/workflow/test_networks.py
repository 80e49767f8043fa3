"""A network of one's own in the real workflow: refused before the first job, or run by every phase."""

import json
from pathlib import Path

from tests.workflow.project import Project

MODULE = """
from torch import nn


def make_network(image_shape, classes, activation):
    channels, height, width = image_shape
    layers = [nn.Conv2d(channels, 6, 3, padding=1), nn.BatchNorm2d(6), nn.{activation}(), nn.AvgPool2d(2), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(6 * (height // 2) * (width // 2), classes))
"""


def write_module(project: Project, activation: str) -> None:
    (project.folder / "my_network.py").write_text(MODULE.replace("{activation}", activation))
    network = {"kind": "module", "path": "my_network:make_network", "activation": activation}
    project.edit("networks", "vgg-tiny", value=network)


def test_a_network_that_cannot_be_coupled_is_refused_before_the_first_job_and_a_mended_one_runs(
    finished: Project, tmp_path: Path
) -> None:
    project = finished.copy(tmp_path / "p")
    write_module(project, "GELU")
    before = project.contents("results/**/*")
    printed = project.snakemake(fails=True)
    assert "networks.vgg-tiny: the network cannot be coupled:" in printed and "2 (GELU): only a ReLU's" in printed
    assert "Traceback" not in printed and project.contents("results/**/*") == before
    checked = project.run("snn2ann", "check", fails=True)
    assert "networks.vgg-tiny: the network cannot be coupled:" in checked and "Traceback" not in checked
    write_module(project, "ReLU")
    runs = [{"method": "ann"}, {"method": "snn2ann", "time_steps": 2, "mapping_unit": "stsu", "calibrate": True}]
    project.edit("studies", "tiny", "runs", value=runs)
    project.edit("measurement", value=None)
    project.edit("inference", value=None)
    project.snakemake("results/tiny/tables/classification.md")
    study = json.loads((project.folder / "results/tiny/study.json").read_text())
    for run in study["runs"]:
        folder = project.folder / "results/runs" / run["name"]
        layers = json.loads((folder / run["evaluation"]).read_text())["entries"][0]["layers"]
        assert [layer["name"] for layer in layers] == ([] if run["method"] == "ann" else ["2"])
    assert "VGG (tiny)" in (project.folder / "results/tiny/tables/classification.md").read_text()
