"""Pictures of MLflow while a study trains: `python -m website.screenshots`, with Chromium; some minutes.

The study is made in a temporary copy of the project: three methods on digits, one seed. Three times on the way headless
Chromium opens the page that compares the validation accuracy of runs, and the three charts are put under one another.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import urlopen

import yaml
from mlflow import MlflowClient
from PIL import Image

from snn2ann.study import load_parameters, resolve
from tests.workflow.project import ROOT, Project, new_project

PICTURE = ROOT / "docs" / "images" / "mlflow-growing.png"
STUDY = {
    "title": "Curves",
    "datasets": ["digits"],
    "networks": ["vgg-tiny"],
    "seeds": [0],
    "recipe": "digits",
    "runs": [
        {"method": "ann"},
        {"method": "stbp", "time_steps": 8},
        {"method": "snn2ann", "variant": "released", "time_steps": 5},
    ],
}
METRIC = "validation_accuracy"
WINDOW = 1900, 620
# The page in that window, without MLflow's own menus; and how wide the picture is to be.
CHART = 200, 15, 1410, 480
WIDTH = 900
# Shares of all epochs after which a picture is taken.
MOMENTS = 0.25, 0.6, 1.0


def main() -> None:
    """Make the study and the picture."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        sys.exit("Chromium is needed: apt-get install chromium")
    # What was started is stopped then as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    with tempfile.TemporaryDirectory() as temporary:
        project = project_of(Path(temporary) / "project")
        with running(project, "mlflow", "ui", "--port", str(port := free_port())):
            wait_for_server(port)
            # Training alone: nothing is measured or evaluated.
            trained = [
                f"results/runs/{run.name}/training.json" for run in resolve(parameters_of(project), "curves").runs
            ]
            with running(project, "snakemake", "--cores", "2", *trained, "--config", "study=curves") as study:
                charts = [chart(browser, port, share, project, study, Path(temporary)) for share in MOMENTS]
    stacked(charts).save(PICTURE, optimize=True)
    print(PICTURE)


def project_of(folder: Path) -> Project:
    """A copy of the project, with this study."""
    project = new_project(folder)
    parameters = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    parameters["studies"]["curves"] = STUDY
    (folder / "params.yaml").write_text(yaml.safe_dump(parameters, sort_keys=False), encoding="utf-8")
    return project


def parameters_of(project: Project) -> dict[str, Any]:
    """What the study is made of."""
    return load_parameters(project.folder / "params.yaml")


@contextmanager
def running(project: Project, *command: str) -> "Iterator[subprocess.Popen[bytes]]":
    """A command that is stopped in the end, with all that it started."""
    log = subprocess.DEVNULL
    process = subprocess.Popen(
        command, cwd=project.folder, env=project.environment, stdout=log, stderr=log, start_new_session=True
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def free_port() -> int:
    """A port that nobody has."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def wait_for_server(port: int) -> None:
    """Wait until it answers."""
    for _ in range(300):
        try:
            urlopen(f"http://127.0.0.1:{port}/health").close()
        except OSError:
            time.sleep(1)
        else:
            return
    sys.exit("mlflow ui did not start")


def chart(
    browser: str, port: int, share: float, project: Project, study: "subprocess.Popen[bytes]", folder: Path
) -> Image.Image:
    """The chart once a share of all epochs is there, or the study has ended."""
    client = MlflowClient(f"http://127.0.0.1:{port}")
    epochs = parameters_of(project)["recipes"]["digits"]["epochs"]
    while True:
        ended = study.poll() is not None
        found = client.get_experiment_by_name("curves")
        runs = client.search_runs([found.experiment_id]) if found else []
        curves = {run.info.run_id: client.get_metric_history(run.info.run_id, METRIC) for run in runs}
        curves = {run: points for run, points in curves.items() if points}
        if ended or sum(map(len, curves.values())) >= share * epochs * len(STUDY["runs"]):
            break
        time.sleep(1)
    assert found is not None, "the study has shown nothing"
    picture = folder / f"{share}.png"
    photograph(browser, page(port, found.experiment_id, sorted(curves)), picture)
    return Image.open(picture).convert("RGB").crop(CHART)


def page(port: int, experiment: str, runs: list[str]) -> str:
    """Address of MLflow's page of a metric of runs."""
    asked = {
        "runs": runs,
        "metric": METRIC,
        "experiments": [experiment],
        "plot_metric_keys": [METRIC],
        "plot_layout": {},
    }
    query = [f"{key}={quote(json.dumps(value))}" for key, value in asked.items()]
    return f"http://127.0.0.1:{port}/#/metric?{'&'.join(query)}&x_axis=step&y_axis_scale=linear&line_smoothness=1&show_point=true"


def photograph(browser: str, address: str, picture: Path) -> None:
    """Let the browser draw a page into a file."""
    with tempfile.TemporaryDirectory() as profile:
        command = [browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        command += [f"--user-data-dir={profile}", "--window-size={},{}".format(*WINDOW), f"--screenshot={picture}"]
        subprocess.run([*command, "--virtual-time-budget=20000", address], check=True, capture_output=True, timeout=300)


def stacked(charts: list[Image.Image]) -> Image.Image:
    """Pictures under one another."""
    charts = [each.resize((WIDTH, WIDTH * each.height // each.width), Image.Resampling.LANCZOS) for each in charts]
    whole = Image.new("RGB", (charts[0].width, sum(each.height for each in charts)), "white")
    for number, each in enumerate(charts):
        whole.paste(each, (0, number * each.height))
    return whole.quantize(256, Image.Quantize.FASTOCTREE)


if __name__ == "__main__":
    main()
