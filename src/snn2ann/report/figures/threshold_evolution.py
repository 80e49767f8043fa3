"""Thresholds of each layer over the epochs (paper, threshold figure)."""

from snn2ann.report.figures.by_epoch import LayerCurve, layers_by_epoch
from snn2ann.report.figures.style import Drawing
from snn2ann.report.study_data import StudyData


def threshold_evolution(study: StudyData) -> Drawing:
    """Mean over neurons and seeds; the band spans the least to the largest threshold of any neuron and seed."""
    return layers_by_epoch(study, LayerCurve("threshold_mean", "threshold_minimum", "threshold_maximum", "Threshold V"))
