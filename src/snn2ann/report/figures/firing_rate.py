"""Firing rate of each layer at the training T."""

from collections.abc import Mapping
from typing import Any

from snn2ann.report.configurations import Configuration
from snn2ann.report.figures.by_layer import by_layer, layer_figure
from snn2ann.report.figures.style import Drawing
from snn2ann.report.selection import comparison, without_ablation
from snn2ann.report.study_data import StudyData


def firing_rate(study: StudyData) -> Drawing:
    """Spikes per neuron and step on the test images; a method without a training T is shown at the headline's."""
    study = without_ablation(study)
    otherwise = int(comparison(study).headline["training_time_steps"])

    def rate(entry: Mapping[str, Any], layer: Mapping[str, Any], each: Configuration) -> float | None:
        steps = each.training_time_steps or otherwise
        if steps not in entry["time_steps"] or not layer.get("neurons"):
            return None
        spikes = layer["spikes_per_image"][entry["time_steps"].index(steps)]
        return float(spikes) / (int(layer["neurons"]) * steps)

    drawing = layer_figure(study, by_layer(study, rate, "firing_rate"), "Spikes per neuron and step (%)", 100)
    for axes in drawing.figure.axes:
        axes.set_ylim(bottom=0)
    return drawing
