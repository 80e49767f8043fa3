"""Accuracy, speed, spikes, operations and energy of inference (paper, evaluation section 3)."""

from typing import Any

import pandas as pd

from snn2ann.report.selection import comparison, find_cell
from snn2ann.report.statistics import EMPTY, mean_interval, paired_ratio
from snn2ann.report.study_data import Cell, StudyData
from snn2ann.report.table import Table, estimate_columns, interval, plus_minus, text
from snn2ann.report.tables.cell_columns import identity, identity_columns, missing_notes

MEASURES = (
    "accuracy",
    "spikes_per_image",
    "firing_rate",
    "synaptic_operations",
    "multiply_accumulates",
    "energy",
    "images_per_second",
)


def inference_efficiency(study: StudyData) -> Table:
    """A row for each data set, network, configuration and reported T."""
    columns = [
        *identity_columns(),
        plus_minus("Accuracy (%)", "accuracy", 2, 100),
        plus_minus("Spikes an image (k)", "spikes_per_image", 2, 1e-3),
        interval("Spikes / reference", "spikes_to_reference"),
        plus_minus("Firing rate (spikes per neuron and step)", "firing_rate", 3),
        plus_minus("Synaptic operations (M)", "synaptic_operations", 3, 1e-6),
        plus_minus("MACs (M)", "multiply_accumulates", 3, 1e-6),
        plus_minus("Energy (µJ)", "energy", 3, 1e6),
        interval("Energy / ANN", "energy_to_ann", 3),
        plus_minus("Images/s", "images_per_second", 0),
        text("note", "p"),
    ]
    return Table(
        title="Inference efficiency",
        caption="Test images at the validation-selected epoch, mean ± half of the 95 % t-interval over seeds. Spikes "
        "of the hidden layers that feed another layer; energy at 4.6 pJ a multiply-accumulate and 0.9 pJ an "
        "accumulate (45 nm, Horowitz 2014), the first, analog-input layer in multiply-accumulates. Ratios: "
        "geometric mean over paired seeds with its 95 % interval; the reference of spikes is "
        f"{_reference_words(study)}. Images/s: one pass through all the T evaluated, on the machine at hand.",
        frame=pd.DataFrame([_row(study, cell) for cell in study.cells]),
        columns=columns,
        notes=missing_notes(study),
        group=lambda row: (row["dataset"], row["network"]),
    )


def _reference_words(study: StudyData) -> str:
    reference = comparison(study).reference
    return f"{reference['method']} trained and run at T={reference['training_time_steps']}"


def _row(study: StudyData, cell: Cell) -> dict[str, Any]:
    row = identity(study, cell)
    for measure in MEASURES:
        row |= estimate_columns(measure, mean_interval(study.values(cell, measure)))
    place = (cell.dataset, cell.network)
    pairs = (
        ("spikes_to_reference", "spikes_per_image", comparison(study).reference),
        ("energy_to_ann", "energy", {"method": "ann"}),
    )
    for name, measure, wanted in pairs:
        other = find_cell(study, place, wanted)
        values = study.values(cell, measure)
        row |= estimate_columns(name, paired_ratio(values, study.values(other, measure)) if other else EMPTY)
    return row
