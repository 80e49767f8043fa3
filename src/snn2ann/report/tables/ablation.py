"""What each part of the method does (paper, evaluation section 4): differences from the headline configuration."""

import pandas as pd

from snn2ann.report.selection import comparison, find_cell, one_cell_each
from snn2ann.report.statistics import interval_of, paired_difference
from snn2ann.report.study_data import Cell, StudyData
from snn2ann.report.table import Table, estimate_columns, interval, plus_minus, text
from snn2ann.report.tables.cell_columns import accuracy_column, footnotes, identity, identity_columns, missing_notes
from snn2ann.runs.records import Values

MEASURES = (
    "accuracy",
    "noisy_spike_rate",
    "noisy_spike_rate_maximum",
    "agreement",
    "spikes_per_image",
)
DIFFERENCES = ("accuracy", "noisy_spike_rate", "spikes_per_image")


def ablation(study: StudyData) -> Table:
    """The headline configuration first, its method's other ones, then every other method for orientation."""
    rows = [row for place in study.places for row in _rows_of_place(study, place)]
    note, below = footnotes(rows)
    columns = [
        text("group"),
        *identity_columns(),
        accuracy_column("Accuracy (%)"),
        interval("Δ accuracy (points)", "accuracy_difference", 2, 100, sign=True),
        interval("Noisy spikes (%)", "noisy_spike_rate", 2, 100),
        interval("Δ noisy spikes (points)", "noisy_spike_rate_difference", 2, 100, sign=True),
        interval("Worst layer (%)", "noisy_spike_rate_maximum", 2, 100),
        interval("Agreement", "agreement", 3),
        plus_minus("Spikes an image (k)", "spikes_per_image", 2, 1e-3),
        interval("Δ spikes (k)", "spikes_per_image_difference", 2, 1e-3, sign=True),
        note,
    ]
    return Table(
        title="Ablation",
        caption="Test images at the epoch that the recipe selects and the training T; mean over seeds with its 95 % "
        "interval. Δ: mean difference from the first row of the same data set and network, with the 95 % "
        "t-interval over paired seeds. Noisy spikes: mean over layers of the rate of neurons that fire where "
        "the ANN is not active. Agreement: Pearson correlation of ANN activation and spike count, mean over "
        "layers.",
        frame=pd.DataFrame(rows),
        columns=columns,
        notes=[*below, *missing_notes(study)],
        group=lambda row: (row["dataset"], row["network"], row["group"]),
    )


def _rows_of_place(study: StudyData, place: tuple[str, str]) -> list[Values]:
    here = one_cell_each(study, place)
    first = find_cell(study, place, comparison(study).headline)
    cells = sorted(here, key=lambda cell: _rank(study, cell, first))
    return [_row(study, cell, cells[0]) for cell in cells]


def _rank(study: StudyData, cell: Cell, first: Cell | None) -> int:
    if first is not None and cell.configuration == first.configuration:
        return 0
    return 1 if cell.configuration.method == comparison(study).headline["method"] else 2


def _row(study: StudyData, cell: Cell, first: Cell) -> Values:
    own = cell.configuration.method == comparison(study).headline["method"]
    row = {"group": "ablation" if own else "other methods"} | identity(study, cell)
    for measure in MEASURES:
        row |= estimate_columns(measure, interval_of(measure, study.values(cell, measure)))
    for measure in DIFFERENCES:
        difference = paired_difference(study.values(cell, measure), study.values(first, measure))
        row |= estimate_columns(f"{measure}_difference", difference)
    return row
