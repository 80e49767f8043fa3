"""The figures of a study, one file each; adding one means its file and a line here."""

from pathlib import Path

from snn2ann.errors import UserError
from snn2ann.report.registry import Entry

FIGURES = {
    name: Entry(f"snn2ann.report.figures.{name}:{name}", section)
    for name, section in (
        ("accuracy_over_time_steps", "Classification"),
        ("convergence", "Training efficiency"),
        ("training_cost", "Training efficiency"),
        ("accuracy_against_spikes", "Inference efficiency"),
        ("firing_rate", "Inference efficiency"),
        ("noisy_spikes", "Ablation"),
        ("noisy_spike_evolution", "Ablation"),
        ("threshold_evolution", "Ablation"),
        ("agreement", "Ablation"),
    )
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
    with theme():
        drawing = FIGURES[name].load()(study)
        note_missing(drawing, study)
        save(drawing, study_folder / "figures" / name)
    study.finish(f"figure {name}")
