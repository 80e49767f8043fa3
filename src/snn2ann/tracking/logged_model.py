"""A run's network in MLflow's list of models, with its final figures on its data set, by which a search ranks it."""

import re

from snn2ann.tracking.run_record import Record
from snn2ann.tracking.store import MODEL_ID, Store, TrackedRun


def enter_model(store: Store, experiment: str, record: Record, run: TrackedRun) -> None:
    """Enter a finished run's network among the models, and its figures that the list lacks.

    Weights are in the run's folder, and in the store as well where `tracking: models:` says so.

    Args:
        store: open.
        experiment: its id.
        record: of the run.
        run: the run in the store.
    """
    from mlflow.entities import LoggedModel, LoggedModelOutput, LoggedModelStatus

    client = store.client
    # One that a kill left without its run's tag.
    found: list[LoggedModel] = client.search_logged_models(
        [experiment], f"source_run_id = '{run.run_id}'", max_results=1
    )
    if found:
        model = found[0]
    else:
        tags = {key: value for key, value in record.tags.items() if not key.startswith("mlflow.")}
        # MLflow allows these characters in the name of a run and not in that of a model.
        name = re.sub("[/:.%\"']", "-", record.name)
        model = client.create_logged_model(experiment, name, run.run_id, tags, record.parameters, tags["method"])
    _log_figures(store, record, run, model.model_id)
    outputs = client.get_run(run.run_id).outputs
    if not (outputs and outputs.model_outputs):
        client.log_outputs(run.run_id, [LoggedModelOutput(model.model_id, 0)])
    client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
    client.set_tag(run.run_id, MODEL_ID, model.model_id)
    run.tags[MODEL_ID] = model.model_id


def _log_figures(store: Store, record: Record, run: TrackedRun, model: str) -> None:
    """Tie a run's final figures to its model and data set; what is logged twice is kept once."""
    from mlflow.entities import Metric

    name, digest = record.dataset
    figures = [
        Metric(point.name, point.value, record.time_of(point), point.step, model, name, digest, run.run_id)
        for point in record.points
        if point.final
    ]
    store.client.log_batch(run.run_id, metrics=figures, synchronous=True)
