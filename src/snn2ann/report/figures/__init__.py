"""The figures of a study, one file each; adding one means its file and an entry here."""

from pathlib import Path

from snn2ann.errors import UserError
from snn2ann.report.registry import Entry

FIGURES = {
    "accuracy_over_time_steps": Entry(
        "Accuracy over time steps",
        "snn2ann.report.figures.accuracy_over_time_steps:accuracy_over_time_steps",
        section="Classification",
        sources="results.csv",
        reading="Test accuracy at each number of time steps in inference. The T of training is marked: left of it a network "
        "answers early, right of it it runs longer than it was trained for. Bands span the seeds. In the panels "
        "after calibration the methods that can't be calibrated stay for comparison.",
    ),
    "confusion": Entry(
        "What each class is taken for",
        "snn2ann.report.figures.confusion:confusion_matrices",
        section="Classification",
        sources="the evaluation of every run",
        reading="Test images by their class (rows) and by the answer (columns), as shares of the class over all seeds. "
        "Shown are the two sides that the claims compare, or the study's first configurations; all of them are in the "
        "CSV file. What is right lies on the marked diagonal.",
        only="own data",
    ),
    "convergence": Entry(
        "Convergence",
        "snn2ann.report.figures.convergence:convergence",
        section="Training efficiency",
        sources="history.csv of every run",
        reading="Training loss, then validation accuracy, each by epoch and by training time: a line a method (mean over "
        "seeds), its band from the least to the largest seed. Panels over epochs ask which method needs fewer of "
        "them, panels over time which one is done sooner. A spiking method's accuracy is that of the spiking "
        "network at its training T. Runs may have shared the machine with others; the training efficiency table has "
        "times that did not.",
    ),
    "training_cost": Entry(
        "Cost of a training step",
        "snn2ann.report.figures.training_cost:training_cost",
        section="Training efficiency",
        sources="results/measurements/",
        reading="Time and memory of a training step over T, all methods taking turns in one process. Grey: the law of a "
        "cost that grows with T, of one that doesn't, and what counting forward passes predicts. A plain ANN has no "
        "T and is a point at the left end.",
    ),
    "accuracy_against_spikes": Entry(
        "Accuracy against spikes and energy",
        "snn2ann.report.figures.accuracy_against_spikes:accuracy_against_spikes",
        section="Inference efficiency",
        sources="results.csv",
        reading="Test accuracy against spikes per image (left) and energy per image (right). A line joins one network's T "
        "from 1 up, the training T is marked. Up and to the left is better; the grey line is the best accuracy that "
        "anything shown reaches for its cost. The method stands here as its verdicts judge it; its other configurations "
        "are in the ablation.",
    ),
    "firing_rate": Entry(
        "Firing rate of each layer",
        "snn2ann.report.figures.firing_rate:firing_rate",
        section="Inference efficiency",
        sources="the evaluation of every run",
        reading="Spikes per neuron and step on the test images, layer by layer. Lower means sparser, so less energy. "
        "The layers' names are in the CSV file.",
    ),
    "ablation_effects": Entry(
        "Effect of each part",
        "snn2ann.report.figures.ablation_effects:ablation_effects",
        section="Ablation",
        sources="results.csv",
        reading="Each row is the method with something changed; its point is the mean difference from the headline over "
        "paired seeds, its line the 95 % interval. A line that crosses zero says that the part made no difference that "
        "these seeds can show; a point without a line has fewer than three pairs. Hollow markers are calibrated networks.",
    ),
    "noisy_spikes": Entry(
        "Noisy spikes before and after calibration",
        "snn2ann.report.figures.noisy_spikes:noisy_spikes",
        section="Ablation",
        sources="layers.csv, the evaluation and the calibration of every run",
        reading="Share of neurons that fire although their ANN activation is zero. Left: layer by layer on the test images; "
        "full markers are as trained, hollow ones after calibration, and the dashed line is what calibration aims "
        "at. Right: mean over layers by epoch. Bands are 95 % intervals over seeds. Lower is better; the layers' "
        "names are in the CSV file.",
    ),
    "noisy_spike_evolution": Entry(
        "Noisy spikes over epochs",
        "snn2ann.report.figures.noisy_spike_evolution:noisy_spike_evolution",
        section="Ablation",
        sources="layers.csv of every run",
        reading="Noisy-spike rate of each layer by epoch of training, dark for the first layer and light for the last: the "
        "line is the mean over seeds, thin lines and band span the seeds. With adjustment in training a layer's "
        "rate should fall towards the rate above which thresholds rise.",
    ),
    "threshold_evolution": Entry(
        "Thresholds over epochs",
        "snn2ann.report.figures.threshold_evolution:threshold_evolution",
        section="Ablation",
        sources="layers.csv of every run",
        reading="Firing thresholds by epoch, dark for the first layer and light for the last: the line is the mean, the "
        "band spans the least to the largest threshold over neurons and seeds. Rising lines show adjustment at "
        "work; without it they are flat.",
    ),
    "agreement": Entry(
        "Agreement of the two branches",
        "snn2ann.report.figures.agreement:agreement",
        section="Ablation",
        sources="the evaluation of every run",
        reading="Pearson correlation of ANN activation and spike count over neurons and test images at the training T, "
        "layer by layer: 1 would be perfect activation consistency. Hollow markers are calibrated networks.",
    ),
}


def make_figure(name: str, study_folder: Path) -> None:
    """Write `figures/<name>.png`, `.svg`, `.pdf`, a page `.html` and the data drawn, `.csv`, in a study's folder.

    Raises:
        UserError: no such figure; study.json or results.csv can't be read; or, after the figure has been made from the
            rest, files of some runs are wrong.
    """
    from snn2ann.files import write_text
    from snn2ann.report.figures.style import note_missing, save, theme
    from snn2ann.report.page import image_html, page
    from snn2ann.report.study_data import load_study

    if name not in FIGURES:
        raise UserError(f"no figure is called {name}; there are {', '.join(FIGURES)}")
    study = load_study(study_folder)
    entry = FIGURES[name]
    stem = study_folder / "figures" / name
    with theme():
        drawing = entry.load()(study)
        note_missing(drawing, study)
        save(drawing, stem)
    image = image_html(stem.with_suffix(".png").read_bytes(), entry.title)
    made = f"{entry.made(f'figure {name}', study.name)} What is drawn is in {name}.csv."
    write_text(stem.with_suffix(".html"), page(entry.title, [entry.reading], image, [made]))
    study.finish(f"figure {name}")
