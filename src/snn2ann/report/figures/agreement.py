"""Agreement of the ANN's activations with the spike counts, layer by layer (the activation consistency)."""

from collections.abc import Mapping
from typing import Any

from snn2ann.report.configurations import Configuration
from snn2ann.report.figures.by_layer import by_layer, layer_figure
from snn2ann.report.figures.style import Drawing
from snn2ann.report.study_data import StudyData


def agreement(study: StudyData) -> Drawing:
    """Pearson correlation over neurons and test images at the training T; bands are 95 % intervals over seeds."""
    return layer_figure(study, by_layer(study, _agreement, "agreement"), "Correlation of activation and count")


def _agreement(entry: Mapping[str, Any], layer: Mapping[str, Any], each: Configuration) -> float | None:
    return layer.get("agreement")
