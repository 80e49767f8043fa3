"""What several phases need: the files of a run, and the study's marks."""

import fcntl
import json
import shlex
import subprocess
from collections import defaultdict

ARRAYS = [
    "images.npy",
    "labels.npy",
    "train_indices.npy",
    "validation_indices.npy",
    "test_indices.npy",
    "manifest.json",
]
TRAINED = [
    "run.yaml",
    "weights.safetensors",
    "thresholds.safetensors",
    "last/weights.safetensors",
    "last/thresholds.safetensors",
    "history.csv",
    "layers.csv",
    "training.json",
]
# Says for which runs, settings and code of the report a study's outputs were made. It stands in the place of time stamps,
# which a fresh clone, DVC's cache and a changed clock all falsify.
MARK = f"{FOLDER}/.made/{STUDY.digest}"
TRACKED = f"{FOLDER}/.made/tracked-{STUDY.digest}"
MADE = [
    ".made",
    "study.json",
    "results.csv",
    "tables",
    "figures",
    "claims.md",
    "claims.json",
    "metrics.json",
    "report.html",
]
EVALUATIONS = [f"results/runs/{run.name}/evaluation-{run.evaluation_digest}.json" for run in STUDY.runs]
MEASUREMENTS = [
    f"results/measurements/{name}-{digest}.csv"
    for name, digest in (("training_cost", STUDY.measurement_digest), ("inference", STUDY.inference_digest))
    if digest
]


def run_of(wildcards):
    """The run that a job is about."""
    if wildcards.run not in RUNS:
        raise WorkflowError(f"run {wildcards.run} is not in study {STUDY.name}; see snn2ann check")
    return RUNS[wildcards.run]


def data_of(wildcards):
    """The files of a run's data set."""
    return [ancient(f"data/{run_of(wildcards).dataset_folder}/{name}") for name in ARRAYS]


def training_inputs(wildcards):
    """The data and the run to start from.

    Nothing where the run is there: Snakemake would make it again because the data that it was made from are missing, as
    they are in a clone with copied results. The same holds for a calibration.
    """
    run = run_of(wildcards)
    if Path(f"results/runs/{run.name}/training.json").exists():
        return []
    sources = [ancient(f"results/runs/{run.source}/weights.safetensors")] if run.source else []
    return data_of(wildcards) + sources


def calibration_inputs(wildcards):
    """The data; nothing where the calibration is there."""
    run = run_of(wildcards)
    made = Path(f"results/runs/{run.name}/calibration-{run.calibration_digest}.json").exists()
    return [] if made else data_of(wildcards)


def source_option(wildcards):
    """The option that names the run to start from."""
    source = run_of(wildcards).source
    return f"--source results/runs/{source}" if source else ""


def calibration_files(wildcards):
    """The calibration whose thresholds are evaluated as well, where the run has one."""
    run = run_of(wildcards)
    if run.calibration_digest is None:
        return []
    names = (f"calibration-{run.calibration_digest}.json", f"thresholds-{run.calibration_digest}.safetensors")
    return [ancient(f"results/runs/{run.name}/{name}") for name in names]


def calibration_option(wildcards, input):
    """The option that names the calibration."""
    return f"--calibration {input.calibration[0]}" if input.calibration else ""


def section_of(entry):
    """The heading under which the HTML report shows a table or figure, numbered so that headings keep their order."""
    return f"{SECTIONS.index(entry.section) + 1}. {entry.section}"


def label_of(kind, name):
    """How the HTML report lists a table or figure: tables of a section first, then its figures."""
    section = (TABLES if kind == "table" else FIGURES)[name].section
    listed = [("table", each) for each, entry in TABLES.items() if entry.section == section]
    listed += [("figure", each) for each, entry in FIGURES.items() if entry.section == section]
    title = (TABLES if kind == "table" else FIGURES)[name].title
    return {"content": f"{listed.index((kind, name)) + 1}. {title} ({kind})"}


def verdict_rows():
    """The verdicts for the front page of the HTML report: header and rows; none before they are made."""
    path = Path(f"{FOLDER}/claims.md")
    lines = verdicts(path).splitlines() if path.exists() else []
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return cells[:1] + cells[2:]


def as_json(spec):
    """A spec as one word of a command line."""
    return json.dumps(spec, sort_keys=True, separators=(",", ":"))


def mark_of(wildcards):
    """The study's mark; without it, whatever is there was made for something else.

    Snakemake looks for a missing input only where an output is missing too. `snakemake claims` after a change of
    parameters would find old files and nothing to do, so the rule is forced.
    """
    if not Path(MARK).exists():
        workflow.dag.forcerules.add(workflow.get_rule("mark"))
    return ancient(MARK)


def claim_folder():
    """Refuse to run beside another Snakemake in this folder.

    Snakemake's own lock outlives a killed process and then stops the next one; this one ends with its process.
    """
    global folder_lock
    folder_lock = Path(".snakemake/in_use").open("w")
    try:
        fcntl.flock(folder_lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise WorkflowError("another snakemake is at work in this folder; wait for it or stop it") from None


def store_option():
    """The option that names MLflow's store, where the parameters name one."""
    store = PARAMETERS["tracking"]["store"]
    return f"--store {shlex.quote(store)}" if store else ""


watching = None


def start_watch():
    """Show curves in MLflow while they grow, where anything is to be trained.

    A process of its own, so that no job waits for MLflow. Its warnings go to the terminal, what MLflow says to its log.
    """
    global watching
    if PARAMETERS["tracking"]["live"] and any(job.rule.name == "train" for job in workflow.dag.needrun_jobs()):
        log = Path(f"logs/watch/{STUDY.name}.log")
        log.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "snn2ann.cli", "watch", "--study", STUDY.name]
        with log.open("w") as file:
            # A session of its own: it ends when told to, or with this process, not by a Ctrl-C that is meant for the jobs.
            watching = subprocess.Popen(command, stdout=sys.stderr.fileno(), stderr=file, start_new_session=True)


def end_watch():
    """Let the watching process log what it has still to log; a store that keeps it waiting is left to the next recording."""
    if watching is None:
        return
    watching.terminate()
    try:
        watching.wait(20)
    except subprocess.TimeoutExpired:
        watching.kill()


def not_tracked():
    """Why MLflow's store lacks the study, and nothing where it has it; the next `snakemake` then records it."""
    mark = Path(TRACKED)
    reason = mark.read_text().strip() if mark.exists() else ""
    if reason:
        mark.unlink()
    return reason


def summary(failed=False):
    """What ran, how long it took, and where to look."""
    seconds = defaultdict(list)
    for path in Path("logs/benchmarks").glob("*/*.tsv"):
        if path.stat().st_mtime >= STARTED:
            header, values = path.read_text().splitlines()[:2]
            seconds[path.parent.name].append(float(values.split("\t")[header.split("\t").index("s")]))
    state = "NOT complete, the failed jobs' logs are above; the same command goes on" if failed else "done"
    lines = [f"Study {STUDY.name}: {len(RUNS)} runs, {state}, {time.time() - STARTED:.0f} s"]
    lines += [
        f"  {rule:<10} {len(times):>4} jobs {sum(times):>9.1f} s, the longest {max(times):.1f} s"
        for rule, times in seconds.items()
    ]
    if reason := not_tracked():
        lines.append(f"  not in MLflow: {reason}")
    places = {
        f"{FOLDER}/claims.md": f"  verdicts    {FOLDER}/claims.md",
        f"{FOLDER}/results.csv": f"  tables      {FOLDER}/tables/   figures {FOLDER}/figures/   results {FOLDER}/results.csv",
        f"{FOLDER}/study.json": f"  report      {report_place()}",
        "mlflow.db": "  curves      mlflow ui",
    }
    return "\n".join([*lines, *(line for path, line in places.items() if Path(path).exists())])


def report_place():
    """Where the report is, or what makes it."""
    page = f"{FOLDER}/report.html"
    return page if Path(page).exists() else f"snakemake --report {page}"
