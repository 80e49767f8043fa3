"""From params.yaml to tables, figures and verdicts. `snakemake --cores all` makes the study that params.yaml names,
`--config study=...` another one. `snakemake data|runs|tables|figures|claims|track` makes a part of it.

Inputs are ancient(): a file that exists under its name is right, because the name holds a digest of what made it.
"""

import os
import sys
import time
from pathlib import Path

from snakemake.utils import min_version

from snn2ann import cluster, pipeline
from snn2ann.devices import gpus
from snn2ann.errors import UserError
from snn2ann.files import read_json
from snn2ann.foresight import foresee
from snn2ann.report.figures import FIGURES
from snn2ann.report.registry import SECTIONS, listed
from snn2ann.report.tables import TABLES
from snn2ann.report.verdict_rows import read_verdicts, verdict_cells, verdict_header
from snn2ann.runs.folder import RunFolder
from snn2ann.state import refuse_elsewhere
from snn2ann.study import load_parameters, resolve

min_version("9.0")

if unknown := set(config) - {"study"}:
    raise WorkflowError(
        f"--config {', '.join(unknown)}: only study can be given here; everything else is in params.yaml"
    )
try:
    PARAMETERS = load_parameters("params.yaml", overrides=config)
    STUDY = resolve(PARAMETERS, PARAMETERS.get("study", ""))
    # Not again in every job of a cluster. PyTorch is loaded only for networks that need it.
    if workflow.is_main_process:
        foresee(STUDY, networks=False)
        refuse_elsewhere(STUDY.runs, Path("results/runs"))
except UserError as error:
    raise WorkflowError(str(error)) from None

RUNS = {run.name: run for run in STUDY.runs}
FOLDER = f"results/{STUDY.name}"
STARTED = time.time()
# The environment's own commands, also where it isn't activated; an image says that it has its own. glibc is told to keep the memory of freed tensors: giving
# it back and taking it again costs a fifth of a training step on a CPU.
KEEP_MEMORY = "MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=4294967296 MALLOC_TOP_PAD_=67108864"
ENVIRONMENT = f'[ -n "$SNN2ANN_IMAGE" ] || export PATH="{Path(sys.executable).parent}:$PATH"'
shell.prefix(f"{ENVIRONMENT}; export {KEEP_MEMORY}; ")

# A GPU has one job at a time; a cluster's scheduler counts its own.
if workflow.resource_settings.nodes is None and (count := len(gpus())):
    workflow.register_resource("device", count)


# An archive: Docker and Podman make it and Apptainer takes it, also where none of them is at work.
container: f"docker-archive:{Path('snn2ann-0.1.0.tar').absolute()}"


report: "workflow/report/study.rst"


wildcard_constraints:
    run=r"[^/]+-[0-9a-f]{8}",
    dataset=r"[^/]+-[0-9a-f]{8}",
    digest=r"[0-9a-f]{8}",


include: "workflow/rules/common.smk"
include: "workflow/rules/fetch.smk"
include: "workflow/rules/runs.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/track.smk"


# The texts of the HTML report are given the configuration and nothing else.
config["front_page"] = {
    "study": STUDY.name,
    "title": STUDY.parameters["studies"][STUDY.name]["title"],
    "verdicts": verdict_rows(),
    "labels": phone_labels(verdict_rows()),
    "agreement": agreement_words(),
    "frontier": frontier_picture(),
}
config["captions"] = {"table": TABLES, "figure": FIGURES}


# What Snakemake does itself, where there is a queue: short jobs, for which a queue is the longer way, and the one that needs
# the internet, which a cluster's nodes often lack.
localrules:
    all,
    data,
    runs,
    tables,
    figures,
    claims,
    track,
    fetch,
    mark,
    describe,
    collect,
    tabulate,
    draw,
    judge,
    record,


rule all:
    default_target: True
    input:
        rules.runs.input,
        rules.tables.input,
        rules.figures.input,
        rules.claims.input,
        rules.track.input,
    message:
        f"Study {STUDY.name} is complete"


onstart:
    begin()


onsuccess:
    end()


onerror:
    end(failed=True)
