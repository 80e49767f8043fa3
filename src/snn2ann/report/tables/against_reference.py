"""Every configuration beside the reference, spike-based BP: what the paper's claims compare, for each T and variant."""

import pandas as pd

from snn2ann.report.selection import comparison, find_cell, one_cell_each
from snn2ann.report.statistics import EMPTY, mean_interval, paired_difference, paired_ratio, share_interval
from snn2ann.report.study_data import Cell, StudyData
from snn2ann.report.table import Table, estimate_columns, interval
from snn2ann.report.tables.cell_columns import accuracy_column, footnotes, identity, identity_columns, missing_notes
from snn2ann.runs.records import Values


def against_reference(study: StudyData) -> Table:
    """Differences and ratios over paired seeds, each at the T of its training, else at the headline's."""
    rows = [row for place in study.places for row in _rows_of_place(study, place)]
    note, below = footnotes(rows)
    columns = [
        *identity_columns(),
        accuracy_column("Accuracy (%)"),
        interval("Δ accuracy (points)", "accuracy_difference", 2, 100, sign=True),
        interval("Spikes / reference's", "spikes_ratio", 3),
        interval("Noisiest layer, any seed (%)", "largest_noise", 2, 100),
        interval("ANN − SNN branch, furthest seed (points)", "largest_gap", 2, 100, sign=True),
        note,
    ]
    return Table(
        title="Against the reference",
        caption="Test images at the epoch that the recipe selects. Δ: mean difference from the reference on the same data "
        "set and network, with the 95 % t-interval over paired seeds; spikes: geometric mean of the ratio. A network "
        "that is trained without time steps runs at the headline's T. Noisiest "
        "layer: the largest rate over layers and seeds of neurons that fire where the ANN is not active. ANN − SNN "
        "branch: the difference of their accuracies that is furthest from zero; of a conversion that was trained for it, "
        "that from its own ANN.",
        frame=pd.DataFrame(rows),
        columns=columns,
        notes=[*below, *missing_notes(study)],
        group=lambda row: (row["dataset"], row["network"]),
    )


def _rows_of_place(study: StudyData, place: tuple[str, str]) -> list[Values]:
    reference = find_cell(study, place, comparison(study).reference)
    cells = sorted(one_cell_each(study, place), key=lambda cell: cell != reference)
    return [_row(study, cell, reference) for cell in cells]


def _row(study: StudyData, cell: Cell, reference: Cell | None) -> Values:
    accuracy, spikes = study.values(cell, "accuracy"), study.values(cell, "spikes_per_image")
    noise, gap = study.values(cell, "noisy_spike_rate_maximum"), study.values(cell, "ann_branch_accuracy") - accuracy
    difference = ratio = EMPTY
    if reference is not None:
        difference = paired_difference(accuracy, study.values(reference, "accuracy"))
        ratio = paired_ratio(spikes, study.values(reference, "spikes_per_image"))
    return {
        **identity(study, cell),
        **estimate_columns("accuracy", share_interval(accuracy)),
        **estimate_columns("accuracy_difference", difference),
        **estimate_columns("spikes_ratio", ratio),
        **estimate_columns("largest_noise", mean_interval([_furthest(noise)])),
        **estimate_columns("largest_gap", mean_interval([_furthest(gap)])),
    }


def _furthest(values: pd.Series) -> float:
    """The value furthest from zero."""
    return max(values.dropna().tolist(), key=abs, default=float("nan"))
