"""Runs, each made in one job; time and memory of training, time of inference."""


# Loading PyTorch takes longer than most of what is done with it, so training, calibration and evaluation are one job. What
# of the run is there already is kept: the evaluation is the only file that Snakemake looks at, and it is written last.
rule make_run:
    input:
        data_of,
        source_of,
    output:
        str(RUN.evaluation("{digest}")),
    log:
        "logs/make_run/{run}-{digest}.log",
    benchmark:
        "logs/benchmarks/make_run/{run}-{digest}.tsv"
    threads: 1
    resources:
        device=1,
        mem_mb=growing(4000),
        runtime=run_minutes,
    params:
        spec=lambda wildcards: as_json(run_of(wildcards).spec),
        calibration=lambda wildcards: as_json(run_of(wildcards).calibration_spec),
        evaluation=lambda wildcards: as_json(run_of(wildcards).evaluation_spec),
        data=lambda wildcards: f"data/{run_of(wildcards).dataset_folder}",
        folder=lambda wildcards: f"results/runs/{wildcards.run}",
        source=source_option,
    message:
        "Making {wildcards.run}"
    shell:
        "snn2ann make-run --spec {params.spec:q} --calibration {params.calibration:q}"
        " --evaluation {params.evaluation:q} --data {params.data:q} --run {params.folder:q} {params.source}"
        " --output {output:q} --threads {threads} > {log:q} 2>&1"


# All cores, or a node of its own, so that nothing runs beside it and disturbs the clock.
rule measure:
    output:
        "results/measurements/training_cost-{digest}.csv",
    log:
        "logs/measure/{digest}.log",
    benchmark:
        "logs/benchmarks/measure/{digest}.tsv"
    threads: workflow.resource_settings.cores or 1
    resources:
        device=1,
        mem_mb=growing(8000),
        runtime=growing(120),
        slurm_extra=ALONE,
        measuring=1,
    params:
        spec=as_json(STUDY.measurement_spec),
    message:
        "Measuring time and memory of a training step"
    shell:
        "snn2ann measure --spec {params.spec:q} --output {output:q} --threads {threads} > {log:q} 2>&1"


# As above: alone.
rule measure_inference:
    output:
        "results/measurements/inference-{digest}.csv",
    log:
        "logs/measure_inference/{digest}.log",
    benchmark:
        "logs/benchmarks/measure_inference/{digest}.tsv"
    threads: workflow.resource_settings.cores or 1
    resources:
        device=1,
        mem_mb=growing(8000),
        runtime=growing(120),
        slurm_extra=ALONE,
        measuring=1,
    params:
        spec=as_json(STUDY.inference_spec),
    message:
        "Measuring the time of inference"
    shell:
        "snn2ann measure-inference --spec {params.spec:q} --output {output:q} --threads {threads} > {log:q} 2>&1"


rule runs:
    input:
        EVALUATIONS,
        MEASUREMENTS,
