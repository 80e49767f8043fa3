"""Noisy spikes of each layer over the epochs (paper, noisy-spike figure)."""

from snn2ann.report.figures.by_epoch import LayerCurve, layers_by_epoch
from snn2ann.report.figures.style import Drawing
from snn2ann.report.study_data import StudyData


def noisy_spike_evolution(study: StudyData) -> Drawing:
    """Mean over an epoch's training batches and over seeds; the band spans the seeds."""
    rate = "noisy_spike_rate"
    return layers_by_epoch(study, LayerCurve(rate, rate, rate, "Noisy-spike rate (%)", 100))
