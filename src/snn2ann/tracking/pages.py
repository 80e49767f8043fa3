"""What MLflow's pages show of a study first: its description, the columns that matter, and links that lead there."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow.entities import Experiment

    from snn2ann.tracking.store import Store

# The address of `mlflow ui` that was told none.
LOCAL = "http://127.0.0.1:5000"
# Else pages show an experiment as one of prompts and traces: older versions go by the tag, newer ones by the link, or by the
# switch at the top left that the browser remembers.
KIND = ("mlflow.experimentKind", "custom_model_development")
WORKFLOW = "workflowType=machine_learning"
# Views that were saved are tags of an experiment; a link names one by its key, the list "Views" by its name.
VIEW_TAG, VIEW_KEY, VIEW_NAME = "mlflow.sharedViewState.", "study", "Study"
DESCRIPTION_TAG = "mlflow.note.content"
# The metric whose chart is the first.
PRIMARY_TAG, PRIMARY = "mlflow.experiment.primaryMetric.name", "test_accuracy"
COLUMNS = (
    *(
        ("tags", name)
        for name in ("dataset", "network", "method", "variant", "mapping_unit", "training_time_steps", "seed")
    ),
    *(("metrics", name) for name in (PRIMARY, "test_spikes_per_image", "test_energy", "training_seconds")),
    ("attributes", "Source"),
)


@dataclass(frozen=True)
class Pages:
    """Where a study is to be seen.

    Attributes:
        server: what has to be started to see it; "" for a server that runs already.
        runs: address of the table of its runs, with the columns that matter.
        tables: address of its verdicts and tables.
    """

    server: str
    runs: str
    tables: str

    @classmethod
    def of(cls, store: "Store", experiment: str, parent: str, table: str | None) -> "Pages":
        """The pages of a study, by the ids of its experiment and its own run, and the table to show first."""
        uri = store.uri.rstrip("/")
        if store.home is not None:
            server, address = "mlflow ui", LOCAL
        elif uri.startswith("http"):
            server, address = "", uri
        else:
            server, address = f"mlflow ui --backend-store-uri {uri}", LOCAL
        tables = tables_page(experiment, parent, table)
        return cls(server, f"{address}/{runs_page(experiment)}", f"{address}/{tables}")

    def lines(self) -> list[str]:
        """How a terminal says it."""
        first = f"{self.server}, then " if self.server else ""
        return [f"  curves      {first}{self.runs}", f"              verdicts and tables there: {self.tables}"]


def runs_page(experiment: str) -> str:
    """The part of an address that leads to an experiment's runs."""
    return f"#/experiments/{experiment}/runs?{WORKFLOW}&viewStateShareKey={VIEW_KEY}"


def tables_page(experiment: str, run: str, table: str | None) -> str:
    """The part of an address that leads to a table that a run has kept, with the others beside it."""
    place = f"artifactPath/{table}" if table else "artifacts"
    return f"#/experiments/{experiment}/runs/{run}/{place}?{WORKFLOW}"


def describe_experiment(store: "Store", experiment: str, title: str) -> None:
    """Let the start page say what an experiment is and how to get to its runs, and save the view of them."""
    with store.lock:
        found = store.client.get_experiment(experiment)
        for key, value in _shown(found, title).items():
            # Two that set a tag for the first time at once are an error of MLflow's.
            if found.tags.get(key) != value:
                store.client.set_experiment_tag(experiment, key, value)


def _shown(found: "Experiment", title: str) -> dict[str, str]:
    """The tags by which MLflow's pages show an experiment."""
    state: dict[str, Any] = {
        "selectedColumns": [f"{kind}.`{name}`" for kind, name in COLUMNS],
        "searchFilter": "tags.in_study = 'true'",
        "orderByKey": f"metrics.`{PRIMARY}`",
        "orderByAsc": False,
    }
    view = {"name": VIEW_NAME, "createdAt": found.creation_time, "state": json.dumps(state)}
    return {
        KIND[0]: KIND[1],
        PRIMARY_TAG: PRIMARY,
        VIEW_TAG + VIEW_KEY: json.dumps(view),
        # Lists show its first words, pages the link.
        DESCRIPTION_TAG: f"“Model training”, top left, shows [the runs]({runs_page(found.experiment_id)}). {title}",
    }
