"""Accuracy, speed, spikes, operations and energy of inference (paper, evaluation section 3)."""

import pandas as pd

from snn2ann.report.configurations import method_name
from snn2ann.report.inference_speed import images_per_second, measured_words
from snn2ann.report.selection import comparison, find_cell
from snn2ann.report.statistics import EMPTY, amount_interval, interval_of, paired_ratio
from snn2ann.report.study_data import Cell, StudyData
from snn2ann.report.table import Table, estimate_columns, interval, plus_minus
from snn2ann.report.tables.cell_columns import accuracy_column, footnotes, identity, identity_columns, missing_notes
from snn2ann.runs.records import Values

MEASURES = (
    "accuracy",
    "spikes_per_image",
    "firing_rate",
    "synaptic_operations",
    "multiply_accumulates",
    "energy",
)


def inference_efficiency(study: StudyData) -> Table:
    """A row for each data set, network, configuration and reported T."""
    rows = [_row(study, cell) for cell in study.cells]
    note, below = footnotes(rows)
    columns = [
        *identity_columns(),
        accuracy_column("Accuracy (%)"),
        plus_minus("Spikes an image (k)", "spikes_per_image", 2, 1e-3),
        interval("Spikes / reference", "spikes_to_reference"),
        interval("Firing rate (spikes per neuron and step)", "firing_rate", 3),
        plus_minus("Synaptic operations (M)", "synaptic_operations", 3, 1e-6),
        plus_minus("MACs (M)", "multiply_accumulates", 3, 1e-6),
        plus_minus("Energy (µJ)", "energy", 3, 1e6),
        interval("Energy / ANN", "energy_to_ann", 3),
        interval("Images/s", "images_per_second", 0),
        interval("Speed / ANN", "speed_to_ann", 3),
        interval("Speed / reference", "speed_to_reference"),
        note,
    ]
    return Table(
        title="Inference efficiency",
        caption="Test images at the epoch that the recipe selects, mean ± half of the 95 % t-interval over seeds. Spikes "
        "of the hidden layers that feed another layer; energy at 4.6 pJ a multiply-accumulate and 0.9 pJ an "
        "accumulate (45 nm, Horowitz 2014), the first, analog-input layer in multiply-accumulates. Ratios: "
        f"geometric mean over paired seeds with its 95 % interval; the reference is {_reference_words(study)}. "
        "Images/s and speed: a measurement of their own, mean with its interval over rounds, ratios over "
        "paired rounds; they belong to the machine that the note names, and to a method or variant at its default options.",
        frame=pd.DataFrame(rows),
        columns=columns,
        notes=[*below, measured_words(study), *missing_notes(study)],
        group=lambda row: (row["dataset"], row["network"]),
    )


def _reference_words(study: StudyData) -> str:
    reference = comparison(study).reference
    return f"{method_name(reference['method'])} trained and run at T={reference['training_time_steps']}"


def _row(study: StudyData, cell: Cell) -> Values:
    row = identity(study, cell)
    for measure in MEASURES:
        row |= estimate_columns(measure, interval_of(measure, study.values(cell, measure)))
    place = (cell.dataset, cell.network)
    pairs = (
        ("spikes_to_reference", "spikes_per_image", comparison(study).reference),
        ("energy_to_ann", "energy", {"method": "ann"}),
    )
    for name, measure, wanted in pairs:
        other = find_cell(study, place, wanted)
        values = study.values(cell, measure)
        row |= estimate_columns(name, paired_ratio(values, study.values(other, measure)) if other else EMPTY)
    return row | _speed(study, cell)


def _speed(study: StudyData, cell: Cell) -> Values:
    reference = comparison(study).reference
    place = (cell.dataset, cell.network)
    configuration = cell.configuration
    own = images_per_second(study, place, configuration.method, cell.time_steps, configuration.variant)
    row = estimate_columns("images_per_second", amount_interval(own))
    theirs = (reference["method"], reference["training_time_steps"], reference.get("variant") or "")
    for name, wanted in (("ann", ("ann", None)), ("reference", theirs)):
        other = images_per_second(study, place, *wanted)
        row |= estimate_columns(f"speed_to_{name}", paired_ratio(own, other))
    return row
