"""The files of a run that is over."""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from snn2ann.files import write_csv, write_json, write_text
from snn2ann.runs.columns import HISTORY, LAYERS
from snn2ann.runs.folder import RunFolder
from snn2ann.runs.weights import State, save_state

Rows = Sequence[Mapping[str, Any]]


def write_run(
    run: RunFolder,
    spec: Mapping[str, Any],
    *,
    selected: tuple[State, State],
    last: tuple[State, State],
    facts: Mapping[str, Any],
    history: Rows = (),
    layers: Rows = (),
) -> None:
    """Write a run's folder.

    Args:
        run: its folder.
        spec: its specification.
        selected: weights and thresholds of the selected epoch.
        last: those of the last epoch.
        facts: what training came to and was made with; written last.
        history: a row an epoch.
        layers: a row an epoch and layer.
    """
    write_text(run.spec, yaml.safe_dump(dict(spec), sort_keys=True))
    save_state(run, *selected)
    save_state(run.last, *last)
    write_csv(run.history, HISTORY, history)
    write_csv(run.layers, LAYERS, layers)
    write_json(run.training, facts)
