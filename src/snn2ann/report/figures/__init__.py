"""The figures of a study, one file each; adding one means its file and a line here."""

from importlib import import_module
from pathlib import Path

from snn2ann.errors import UserError

FIGURES = {
    "convergence": "snn2ann.report.figures.convergence:convergence",
    "accuracy_over_time_steps": "snn2ann.report.figures.accuracy_over_time_steps:accuracy_over_time_steps",
    "noisy_spikes": "snn2ann.report.figures.noisy_spikes:noisy_spikes",
    "threshold_evolution": "snn2ann.report.figures.threshold_evolution:threshold_evolution",
    "training_cost": "snn2ann.report.figures.training_cost:training_cost",
    "agreement": "snn2ann.report.figures.agreement:agreement",
    "firing_rate": "snn2ann.report.figures.firing_rate:firing_rate",
    "accuracy_against_spikes": "snn2ann.report.figures.accuracy_against_spikes:accuracy_against_spikes",
}


def make_figure(name: str, study_folder: Path) -> None:
    """Write `figures/<name>.png`, `.svg`, `.pdf` and the data drawn, `.csv`, in a study's folder.

    Raises:
        UserError: no such figure; study.json or results.csv can't be read; or, after the figure has been made from the
            rest, files of some runs are wrong.
    """
    from snn2ann.report.figures.style import note_missing, save, theme
    from snn2ann.report.study_data import load_study

    if name not in FIGURES:
        raise UserError(f"no figure is called {name}; there are {', '.join(FIGURES)}")
    study = load_study(study_folder)
    module, function = FIGURES[name].split(":")
    with theme():
        drawing = getattr(import_module(module), function)(study)
        note_missing(drawing, study)
        save(drawing, study_folder / "figures" / name)
    study.finish(f"figure {name}")
