"""What MLflow shows of a study first, by its interface and, where there is a browser, by clicks from its start page."""

import asyncio
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from snn2ann.files import write_json, write_text
from snn2ann.tracking.pages import LOCAL, Pages
from snn2ann.tracking.track import track_study
from tests.browser import browser, opened
from tests.tracking.hand_made import NAMES, client, entry, tracked, write_run
from tests.tracking.server import free_port, mlflow_at

# A table is shown in a frame of its own.
SHOWN = "[...document.querySelectorAll('iframe')].some(each => (each.srcdoc || each.src).length)"


@pytest.fixture
def judged(study: Path) -> Path:
    """The study with verdicts and their figures."""
    judged = {"name": "released", "measured": "0.375", "verdict": "holds", "networks": "2 of 2 networks hold"}
    row = {"claim": "0.625× time steps", "claimed": "0.625", "judged": [judged]}
    write_json(study / "claims.json", {"verdicts": [row]})
    write_text(study / "tables/claims.html", "<p>All of them hold</p>")
    accuracies = {"headline": {"digits vgg": 0.5, "digits resnet": 0.75}, "reference": {"digits vgg": None}}
    write_json(study / "metrics.json", {"accuracy": accuracies, "measured": {"time steps": 0.375}})
    return study


def test_the_studys_own_run_says_where_it_comes_from_and_what_came_of_it(judged: Path) -> None:
    track_study(judged)
    run = tracked(judged)["small"]
    assert run.data.tags["mlflow.source.name"] == "snakemake" and run.data.tags["mlflow.source.git.commit"]
    assert run.inputs is not None
    assert [(each.dataset.name, each.dataset.digest) for each in run.inputs.dataset_inputs] == [("digits", "0123abcd")]
    assert run.data.metrics["test_accuracy"] == 0.625 and run.data.metrics["measured.time steps"] == 0.375
    (*_, verdict) = run.data.tags["mlflow.note.content"].splitlines()
    assert [cell.strip() for cell in verdict.strip("|").split("|")] == [
        "0.625× time steps",
        "0.625",
        "0.375: **holds** (2 of 2 networks hold)",
    ]


def test_the_view_of_a_study_names_columns_that_its_runs_have(study: Path) -> None:
    track_study(study)
    experiment = client(study).get_experiment_by_name("small")
    assert experiment is not None
    view = json.loads(experiment.tags["mlflow.sharedViewState.study"])
    state = json.loads(view["state"])
    run = tracked(study)[NAMES[1]].data
    known = {"metrics": set(run.metrics), "tags": set(run.tags), "attributes": {"Source"}}
    for column in state["selectedColumns"]:
        kind, name = column.rstrip("`").split(".`")
        assert name in known[kind], column
    found = client(study).search_runs(
        [experiment.experiment_id], state["searchFilter"], order_by=[f"{state['orderByKey']} DESC"]
    )
    assert [run.info.run_name for run in found] == [*NAMES, "small"]


def models(study: Path, **search: Any) -> list[Any]:
    """The study's models, best first."""
    experiment = client(study).get_experiment_by_name("small")
    assert experiment is not None
    order = [{"field_name": "metrics.test_accuracy", "ascending": False, "dataset_name": "digits"}]
    return list(client(study).search_logged_models([experiment.experiment_id], order_by=order, **search))


def test_a_search_of_models_ranks_them_by_their_accuracy_on_a_data_set(study: Path) -> None:
    track_study(study)
    best = models(study)
    assert [(model.name, model.model_type) for model in best] == list(zip(NAMES, ("ann", "snn2ann"), strict=True))
    assert [model.source_run_id for model in best] == [tracked(study)[name].info.run_id for name in NAMES]
    data = [{"dataset_name": "digits", "dataset_digest": "0123abcd"}]
    good = models(study, filter_string="metrics.test_accuracy > 0.7", datasets=data)
    assert [model.name for model in good] == [NAMES[0]]
    assert models(study, filter_string="metrics.test_accuracy > 0", datasets=[{"dataset_name": "another"}]) == []
    assert best[1].params["recipe.schedule.kind"] == "multi-step" and best[1].tags["network"] == "vgg"
    # A second time adds none, and one whose tag a kill has lost is found again.
    client(study).delete_tag(tracked(study)[NAMES[0]].info.run_id, "model_id")
    track_study(study)
    assert [model.model_id for model in models(study)] == [model.model_id for model in best]
    write_run(study.parent / "runs" / NAMES[1], "snn2ann", [entry("test", "trained", [0.125, 0.875])])
    track_study(study)
    assert [model.name for model in models(study)] == [NAMES[1], NAMES[0]]


def test_links_lead_to_the_server_that_has_the_study(judged: Path, tmp_path: Path, empty_store: Path) -> None:
    pages = track_study(judged)
    run = tracked(judged)["small"].info
    assert pages.server == "mlflow ui" and pages.runs.startswith(f"{LOCAL}/#/experiments/{run.experiment_id}/runs?")
    assert f"/runs/{run.run_id}/artifactPath/tables/claims.html?" in pages.tables
    shutil.copy(empty_store, tmp_path / "other.db")
    assert (
        track_study(judged, f"sqlite:///{tmp_path}/other.db").server
        == f"mlflow ui --backend-store-uri sqlite:///{tmp_path}/other.db"
    )


@pytest.fixture
def renamed(judged: Path) -> Iterator[tuple[str, Pages]]:
    """`mlflow ui` in the folder of a project that was renamed after it had been recorded."""
    browser()
    pages = track_study(judged)
    project = judged.parents[1].rename(judged.parents[2] / "renamed")
    with mlflow_at(free_port(), project, "ui") as address:
        yield address, pages


@pytest.mark.slow
def test_a_first_visitor_comes_to_the_runs_and_the_tables_by_clicks(renamed: tuple[str, Pages], tmp_path: Path) -> None:
    asyncio.run(visit(*renamed, tmp_path))


async def visit(address: str, pages: Pages, folder: Path) -> None:
    """Click from the start page to the runs and on to a table, then follow the links."""
    async with opened(address, folder / "first") as page:
        await page.shows("“Model training”, top left")
        await page.click("Model training")
        await page.click("small")
        await page.shows("3 matching runs", "snakemake")
        await page.click("Views")
        await page.click("Study")
        await page.shows(*NAMES, "test_spikes_per_image", "snn2ann train")
        await page.click("small")
        await page.shows("0.625× time steps", "measured.time steps", "digits (0123abcd)")
        await page.click("Artifacts")
        await page.click("tables")
        await page.click("claims.html")
        await page.wait_for(SHOWN)
    async with opened(pages.runs.replace(LOCAL, address), folder / "second") as page:
        await page.shows("Study", "test_accuracy", "test_spikes_per_image", *NAMES, "snakemake")
        assert await page.evaluate("location.hash.includes('in_study')")
    async with opened(pages.tables.replace(LOCAL, address), folder / "third") as page:
        await page.wait_for(SHOWN)
