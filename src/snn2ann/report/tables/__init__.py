"""The tables of a study, one file each; adding one means its file and an entry here."""

from pathlib import Path

from snn2ann.errors import UserError
from snn2ann.report.registry import Entry

TABLES = {
    "classification": Entry(
        "Classification accuracy",
        "snn2ann.report.tables.classification:classification",
        section="Classification",
        sources="results.csv",
        reading="Test accuracy of every method that this study ran, then rows that others published, each with its source, "
        "then the cells of the paper itself, which are not at hand. Read a row across: T is the number of time "
        "steps of the evaluation, brackets hold the 95 % interval over seeds. The epoch is what the recipe "
        "selects, such as the best on validation images; the last one stands beside it. Published rows have other "
        "networks and augmentations, so they orient and do not compare.",
    ),
    "by_class": Entry(
        "By class",
        "snn2ann.report.tables.by_class:by_class",
        section="Classification",
        sources="the evaluation of every run",
        reading="Which classes are recognised, and what the others are taken for. A class with few images has a wide "
        "margin, and one that is never recognised may not show in the accuracy at all. Balanced accuracy is the mean of "
        "this table's percentages over classes. The whole confusion matrix stands in the evaluation of each run.",
        only="own data",
    ),
    "training_efficiency": Entry(
        "Training efficiency",
        "snn2ann.report.tables.training_efficiency:training_efficiency",
        section="Training efficiency",
        sources="results.csv and results/measurements/",
        reading="What a training step costs, all methods taking turns in one process, then what an epoch of the study's own "
        "runs took. Read the ratios first: below 1 is cheaper than what the column names. Seconds are medians with "
        "their quartiles, and belong to this machine; ratios carry over better. Saved for backward is what a step "
        "keeps in memory until its gradients are there.",
    ),
    "inference_efficiency": Entry(
        "Inference efficiency",
        "snn2ann.report.tables.inference_efficiency:inference_efficiency",
        section="Inference efficiency",
        sources="results.csv and results/measurements/",
        reading="What an image costs in inference. Spikes, synaptic operations and energy are counted, not timed, so they "
        "hold on any machine; images per second are timed with nothing beside them, all methods taking turns, and "
        "belong to the machine that the note names, their ratios less so. Energy takes 4.6 pJ for a multiply- "
        "accumulate and 0.9 pJ for an accumulate (45 nm); the first layer sees the image itself and is counted in "
        "multiply-accumulates.",
    ),
    "ablation": Entry(
        "Ablation",
        "snn2ann.report.tables.ablation:ablation",
        section="Ablation",
        sources="results.csv",
        reading="One part of the method changed at a time. The first row of each network is the headline; Δ is the "
        "difference from it over paired seeds with its 95 % interval, and one that spans zero says that the part "
        "made no difference that these seeds can show.",
    ),
    "against_reference": Entry(
        "Against the reference",
        "snn2ann.report.tables.against_reference:against_reference",
        section="Ablation",
        sources="results.csv",
        reading="Every configuration beside spike-based BP at the T that the claims name. Read Δ with its interval: one "
        "that spans zero says that these seeds tell no difference. The last two columns are the worst of all seeds, not "
        "means: they say how far apart the two branches ever were.",
    ),
    "bars": Entry(
        "Relatives and their bars",
        "snn2ann.report.tables.bars:bars",
        section="Ablation",
        sources="results.csv",
        reading="A comparison is worth as much as those compared with are at their best. Each relative's own paper has it "
        "near spike-based BP, or near the ANN that it was converted from; how far below it lies here stands beside how "
        "far it may. One that misses its bar is not at its best in this study: read its other rows with that in mind.",
        only="bars",
    ),
    "aims": Entry(
        "Aims",
        "snn2ann.report.tables.aims:aims",
        section="Verdicts",
        sources="results.csv",
        reading="What this study is to show beyond the paper's claims, as `aims` of its `report` in params.yaml has it. An "
        "aim is judged for each network by the rules of the claims; one that is missed stays in the table. Where the limit "
        "is 0, met is above, and undecided that these seeds tell no difference.",
        only="aims",
    ),
    "provenance": Entry(
        "Provenance",
        "snn2ann.report.tables.provenance:provenance",
        section="Provenance",
        sources="study.json and training.json of every run",
        reading="What a reader needs to make this study again: seeds, commit, package versions, machine, and every "
        "parameter. Where runs were made in several ways there is a row for each, with the number of its runs.",
    ),
    "repeatability": Entry(
        "Repeatability of the verdicts",
        "snn2ann.report.tables.repeatability:repeatability",
        section="Verdicts",
        sources="results.csv and results/measurements/",
        reading="Would another machine say the same? The spread is that of one pair of runs, or rounds; the standard error "
        "is what is left of it in the mean. A verdict that is undecided here is so because the margin lies in the "
        "interval. Two machines contradict each other where one says that a claim holds and the other that it does not; "
        "the rules of the verdicts keep that rare wherever the truth lies.",
    ),
    "claims": Entry(
        "Claims of the paper",
        "snn2ann.report.tables.claims:claims",
        section="Verdicts",
        sources="results.csv and results/measurements/",
        reading="What the paper claims, what this study measured with its 95 % interval, and the verdict: holds, does "
        "not hold, undecided, or not measurable here, with the reason. Intervals are over paired seeds, or over "
        "paired rounds of the measurement of a training step; overall is the verdict of the least favourable network, "
        "with how many hold. Digits and "
        "other small images say what the method does, not what it does on the paper's own data sets.",
    ),
}


def make_table(name: str, study_folder: Path) -> None:
    """Write `tables/<name>.csv`, `.md`, `.tex` and `.html` in a study's folder.

    Raises:
        UserError: no such table; study.json or results.csv can't be read; or, after the table has been made from the
            rest, files of some runs are wrong.
    """
    from snn2ann.report.study_data import load_study
    from snn2ann.report.table_files import write_table

    if name not in TABLES:
        raise UserError(f"no table is called {name}; there are {', '.join(TABLES)}")
    study = load_study(study_folder)
    entry = TABLES[name]
    made = entry.made(f"table {name}", study.name)
    write_table(entry.load()(study), study_folder / "tables" / name, entry.reading, made)
    study.finish(f"table {name}")
