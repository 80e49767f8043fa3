"""What several phases need: the files of a run, and the study's marks."""

import atexit
import json
from base64 import b64encode

from snakemake.logging import logger

from snn2ann.state import evaluated
from snn2ann.study_progress import StudyProgress, runs_to_count

ARRAYS = [
    "images.npy",
    "labels.npy",
    "train_indices.npy",
    "validation_indices.npy",
    "test_indices.npy",
    "manifest.json",
]
RUN = RunFolder(Path("results/runs/{run}"))
# Says for which runs, settings and code of the report a study's outputs were made. It stands in the place of time stamps,
# which a fresh clone, DVC's cache and a changed clock all falsify.
MARK = f"{FOLDER}/.made/{STUDY.digest}"
# Says in which store, too: another one lacks the study.
STORE = pipeline.StorePlace.of(PARAMETERS["tracking"]["store"])
TRACKED = f"{FOLDER}/.made/tracked-{STUDY.digest}{STORE.suffix}"
MADE = [
    ".made",
    "study.json",
    "results.csv",
    "tables",
    "figures",
    "claims.md",
    "claims.json",
    "agreement.json",
    "metrics.json",
    "report.html",
]


def folder_of(run):
    """The folder of a run of the study."""
    return RunFolder(Path("results/runs") / run.name)


# The claims are a table of the rule `judge`.
TABULATED = [name for name in listed(TABLES, STUDY.parameters) if name != "claims"]
DRAWN = listed(FIGURES, STUDY.parameters)
EVALUATIONS = [str(folder_of(run).evaluation(run.evaluation_digest)) for run in STUDY.runs]
MEASUREMENTS = [f"results/measurements/{name}" for name in STUDY.measurements]


def run_of(wildcards):
    """The run that a job is about."""
    if wildcards.run not in RUNS:
        raise WorkflowError(f"run {wildcards.run} is not in study {STUDY.name}; see snn2ann check")
    return RUNS[wildcards.run]


def data_of(wildcards):
    """The files of a run's data set."""
    return [ancient(f"data/{run_of(wildcards).dataset_folder}/{name}") for name in ARRAYS]


def source_of(wildcards):
    """The run to start from; nothing where this one is trained: Snakemake would look whether the other is there."""
    run = run_of(wildcards)
    if run.source is None or folder_of(run).trained:
        return []
    source = RUNS[run.source]
    return [ancient(str(folder_of(source).evaluation(source.evaluation_digest)))]


def source_option(wildcards):
    """The option that names the run to start from."""
    source = run_of(wildcards).source
    return f"--source {folder_of(RUNS[source]).path}" if source else ""


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


def caption_of(kind, name):
    """The caption of a table or figure: its kind's, told which one it is, since one job makes several."""
    path = Path(f".snakemake/captions/{kind}-{name}.rst").absolute()
    if workflow.is_main_process:
        path.parent.mkdir(parents=True, exist_ok=True)
        told = f'{{% set kind, name = "{kind}", "{name}" %}}'
        path.write_text(f"{told}\n{Path('workflow/report/part.rst').read_text()}")
    return str(path)


def page_of(kind, name):
    """The HTML page of a table or figure, as the report shows it."""
    return report(
        f"{FOLDER}/{kind}s/{name}.html",
        caption=caption_of(kind, name),
        category=section_of((TABLES if kind == "table" else FIGURES)[name]),
        labels=label_of(kind, name),
    )


def parts_of(kind, names):
    """Every file of some tables or figures."""
    ends = (".csv", ".md", ".tex") if kind == "table" else (".png", ".svg", ".pdf", ".csv")
    return [page_of(kind, name) for name in names] + [f"{FOLDER}/{kind}s/{name}{end}" for name in names for end in ends]


def phone_labels(rows):
    """Styles that name the cells of the verdicts where a phone has no room for their header; on one line."""
    cells = [(f".prose td:nth-child({place})", header) for place, header in enumerate(rows[0] if rows else [], start=1)]
    return " ".join(
        f'{cell}::before {{ content: "{header}: " }} {cell} p {{ display: inline }}' for cell, header in cells[1:]
    )


def agreement_words():
    """What the study comes to beside its reference run, for the front page; "" before it has been judged."""
    path = Path(f"{FOLDER}/agreement.json")
    if not path.exists():
        return ""
    content = read_json(path)
    if not content["values"]:
        return ""
    machines = ", ".join(content["reference_machines"])
    return f"{content['summary']}. The reference: ``{content['there']}``" + (
        f", made on {machines}" if machines else ""
    )


def frontier_picture():
    """The picture of accuracy against spikes as a data URI, for the front page: lines, since docutils takes no long ones."""
    path = Path(f"{FOLDER}/figures/accuracy_against_spikes.png")
    if not path.exists():
        return ""
    text = f"data:image/png;base64,{b64encode(path.read_bytes()).decode()}"
    return "\n   ".join(text[start : start + 5000] for start in range(0, len(text), 5000))


def verdict_rows():
    """The verdicts for the front page of the HTML report: header and rows; none before they are made."""
    path = Path(f"{FOLDER}/claims.json")
    if not path.exists():
        return []
    rows = read_verdicts(path)
    return [verdict_header(rows), *verdict_cells(rows)]


# Slurm's word for a node of one's own.
ALONE = "--exclusive"
# Whether this is the process that puts jobs into a queue.
QUEUES = workflow.is_main_process and workflow.resource_settings.nodes is not None


def growing(amount):
    """So much of a resource, and as much more with each further attempt."""
    return lambda wildcards, attempt: amount * attempt


# How long calibration and evaluation may take.
EVALUATING_MINUTES = 120


def run_minutes(wildcards, attempt):
    """How long a run may take: what its arithmetic says, where a queue asks. Else a day, and torch is not loaded for it."""
    if not QUEUES:
        return 1440
    from snn2ann.evaluation.estimate import time_limit

    settings = workflow.resource_settings
    asked = set(settings.default_resources or ()) | set(settings.overwrite_resources.get("make_run", ()))
    try:
        training = time_limit(run_of(wildcards), gpu=bool(asked & {"gpu", "gpu_model", "gres"}))
        return attempt * (training + EVALUATING_MINUTES)
    except UserError as error:
        raise WorkflowError(str(error)) from None


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


def recorded_mark(wildcards):
    """The study's mark; what was recorded in a store that is gone is recorded anew."""
    if Path(TRACKED).exists() and STORE.lost:
        workflow.dag.forcerules.add(workflow.get_rule("record"))
    return mark_of(wildcards)


WRITTEN = [Path(name) for name in (".", "results", "results/runs", FOLDER, "data", "logs")]
folder_lock = watch = bar = None


def refuse_other_profile(read):
    """Refuse to go on where a setting of the default profile says that it was not read.

    Where --workflow-profile names another one, or none that is there, Snakemake says nothing and takes its own defaults.
    """
    if not read:
        raise WorkflowError(
            "the settings of profiles/default were not read, and without them this workflow is not right;"
            " leave out --workflow-profile; a cluster's are added by --profile profiles/slurm"
        )


# In a dry run nothing begins, and no settings but those of the output are known yet.
if workflow.is_main_process:
    refuse_other_profile(workflow.output_settings.show_failed_logs)


def begin():
    """Before the first job: claim the folder, watch what is trained, and show how far the study is."""
    global folder_lock, watch, bar
    refuse_other_profile(workflow.execution_settings.ignore_incomplete)
    pipeline.warn_of_no_commit()
    pipeline.warn_of_password(PARAMETERS["tracking"]["store"])
    try:
        pipeline.refuse_unwritable(WRITTEN)
        atexit.register(pipeline.say_if_full, WRITTEN)
        folder_lock = pipeline.claim_folder(Path(".snakemake/in_use"))
        in_cluster = cluster.is_here()
        if in_cluster or workflow.executor_plugin.name == "slurm":
            take_over()
        if in_cluster and not QUEUES:
            pipeline.warn_of_login_node()
    except UserError as error:
        raise WorkflowError(str(error)) from None
    made = (job.wildcards.run for job in workflow.dag.needrun_jobs() if job.rule.name == "make_run")
    if PARAMETERS["tracking"]["live"] and any(not folder_of(RUNS[name]).trained for name in made):
        watch = pipeline.Watch.start(pipeline.watch_command(STUDY.name), Path(f"logs/watch/{STUDY.name}.log"))
    bar = start_bar()


def start_bar():
    """A bar for the whole study in a terminal, unless another logger or quiet is asked for."""
    asked = {str(each).rpartition(".")[2].lower() for each in workflow.output_settings.quiet or ()}
    if asked & {"all", "progress"} or workflow.output_settings.log_handler_settings:
        return None
    needed = {job.wildcards.run for job in workflow.dag.needrun_jobs() if hasattr(job.wildcards, "run")}
    runs = runs_to_count(STUDY.runs, needed, RUN.path.parent)
    shown = StudyProgress.start(f"Study {STUDY.name}", runs if needed else (), RUN.path.parent, logger.handlers)
    if shown is not None:
        # A terminal without its cursor is worse than one without a bar.
        atexit.register(shown.end)
    return shown


def take_over():
    """End what an earlier Snakemake has left in the queue; what such a job has just finished is then looked for anew."""
    if count := cluster.cancel_earlier_jobs(Path()):
        print(f"{count} jobs of an earlier snakemake were in the queue: cancelled, to be made anew", flush=True)
        os.execv(sys.executable, sys.orig_argv)


def lacking():
    """What was asked for and is not there, although all jobs have ended well; with --until or --omit-from that is not said."""
    if workflow.dag_settings.until or workflow.dag_settings.omit_from:
        return []
    files = (str(file) for job in workflow.dag.targetjobs for file in job.output or job.input)
    return [file for file in files if not Path(file).exists()]


def end(failed=False):
    """After the last job; "done" is said of what is there."""
    if bar is not None:
        bar.end()
    if watch is not None:
        watch.end()
    lost = [] if failed else lacking()
    if not failed and not lost:
        atexit.unregister(pipeline.say_if_full)
    made = evaluated(STUDY.runs, RUN.path.parent)
    ending = pipeline.Ending(STUDY.name, Path(FOLDER), len(RUNS), made, STARTED, Path("logs/benchmarks"), Path(TRACKED))
    print(ending.summary(failed=failed or bool(lost)))
    if lost:
        more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
        raise WorkflowError(f"no job failed, yet {lost[0]}{more} is not there; the same command goes on")
