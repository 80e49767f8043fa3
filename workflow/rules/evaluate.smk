"""Accuracy, spikes, operations and energy of each run at every T; time and memory of training, time of inference."""


rule evaluate:
    input:
        data_of,
        weights=ancient(str(RUN.weights)),
        thresholds=ancient(str(RUN.thresholds)),
        training=ancient(str(RUN.training)),
        calibration=calibration_files,
    output:
        str(RUN.evaluation("{digest}")),
    log:
        "logs/evaluate/{run}-{digest}.log",
    benchmark:
        "logs/benchmarks/evaluate/{run}-{digest}.tsv"
    threads: 1
    resources:
        device=1,
        mem_mb=growing(4000),
        runtime=growing(120),
    params:
        spec=lambda wildcards: as_json(run_of(wildcards).evaluation_spec),
        data=lambda wildcards: f"data/{run_of(wildcards).dataset_folder}",
        folder=lambda wildcards: f"results/runs/{wildcards.run}",
        calibration=calibration_option,
    message:
        "Evaluating {wildcards.run}"
    shell:
        "snn2ann evaluate --run {params.folder:q} --data {params.data:q} --spec {params.spec:q}"
        " {params.calibration} --output {output:q} --threads {threads} > {log:q} 2>&1"


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
