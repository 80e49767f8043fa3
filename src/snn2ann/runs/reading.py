"""Reading and checking the files of one run; whatever is wrong with a file is said by a UserError that names it."""

from pathlib import Path
from typing import Any, cast

import pandas as pd

from snn2ann.errors import UserError
from snn2ann.files import read_json
from snn2ann.runs.columns import HISTORY, INFERENCE, LAYERS, TRAINING_COST
from snn2ann.runs.records import EvaluationEntry, TrainingRecord

ENTRY_KEYS = {"checkpoint", "thresholds", "split", "ann_accuracy", "time_steps", "layers"}
ENTRY_LISTS = ("accuracy", "spikes_per_image", "firing_rate", "synaptic_operations", "energy")


def read_history(path: Path) -> pd.DataFrame:
    """The curves of a run, one row an epoch.

    Raises:
        UserError: missing, not CSV, or a column is missing or not numeric.
    """
    return _read_csv(path, HISTORY, text=())


def read_layers(path: Path) -> pd.DataFrame:
    """The curves of a run's layers, one row an epoch and layer.

    Raises:
        UserError: missing, not CSV, or a column is missing or not numeric.
    """
    return _read_csv(path, LAYERS, text=("layer",))


def read_cost(path: Path) -> pd.DataFrame:
    """A training_cost csv, one row a network, method, variant, T and round.

    Raises:
        UserError: missing, not CSV, or a column is missing or not numeric.
    """
    text = ("network", "method", "variant", "library", "precision", "device", "machine")
    return _read_csv(path, TRAINING_COST, text)


def read_inference(path: Path) -> pd.DataFrame:
    """An inference csv, one row a data set, network, method, variant, T and round.

    Raises:
        UserError: missing, not CSV, or a column is missing or not numeric.
    """
    return _read_csv(path, INFERENCE, ("dataset", "network", "method", "variant", "library", "device", "machine"))


def read_training(path: Path) -> TrainingRecord:
    """What a run's training came to.

    Raises:
        UserError: missing, not JSON, or without `parameters`, `seconds` or `epochs`.
    """
    return cast(TrainingRecord, _require(path, read_json(path), {"parameters", "seconds", "epochs"}))


def read_calibration(path: Path) -> dict[str, Any]:
    """A calibration JSON.

    Raises:
        UserError: missing, not JSON, or without `passes` or `target`.
    """
    return _require(path, read_json(path), {"target", "passes"})


def read_evaluation(path: Path) -> list[EvaluationEntry]:
    """The entries of an evaluation JSON.

    Raises:
        UserError: missing, not JSON, a key is missing, or a list is not as long as `time_steps`.
    """
    entries = _require(path, read_json(path), {"entries"})["entries"]
    if not isinstance(entries, list) or not entries:
        raise UserError(f"{path}: `entries` should be a list with entries; {_AGAIN}")
    for number, entry in enumerate(entries):
        _check_entry(path, number, entry)
    return entries


_AGAIN = "remove the file and make it again"


def _check_entry(path: Path, number: int, entry: Any) -> None:
    _require(path, entry, ENTRY_KEYS | set(ENTRY_LISTS), where=f" in entry {number}")
    for key in ENTRY_LISTS:
        if len(entry[key]) != len(entry["time_steps"]):
            found, expected = len(entry[key]), len(entry["time_steps"])
            raise UserError(f"{path}: entry {number}: `{key}` has {found} values for {expected} time steps; {_AGAIN}")


def _require(path: Path, content: Any, keys: set[str], where: str = "") -> dict[str, Any]:
    if not isinstance(content, dict):
        raise UserError(f"{path}: an object was expected{where}; {_AGAIN}")
    missing = sorted(keys - content.keys())
    if missing:
        raise UserError(f"{path}: `{'`, `'.join(missing)}` missing{where}; {_AGAIN}")
    return content


def _read_csv(path: Path, columns: tuple[str, ...], text: tuple[str, ...]) -> pd.DataFrame:
    types = {column: "str" if column in text else "float64" for column in columns}
    try:
        frame = pd.read_csv(path, dtype=types)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); make it again") from error
    except ValueError as error:
        raise UserError(f"{path}: not the expected CSV ({error}); {_AGAIN}") from error
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise UserError(f"{path}: column {', '.join(missing)} missing; {_AGAIN}")
    return frame
