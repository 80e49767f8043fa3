"""Thresholds of a trained network, adjusted on training images."""


rule calibrate:
    input:
        calibration_inputs,
        weights=ancient(str(RUN.weights)),
        thresholds=ancient(str(RUN.thresholds)),
        training=ancient(str(RUN.training)),
    output:
        calibration=str(RUN.calibration("{digest}")),
        thresholds=str(RUN.calibrated_thresholds("{digest}")),
    log:
        "logs/calibrate/{run}-{digest}.log",
    benchmark:
        "logs/benchmarks/calibrate/{run}-{digest}.tsv"
    threads: 1
    resources:
        device=1,
        mem_mb=growing(4000),
        runtime=growing(120),
    params:
        spec=lambda wildcards: as_json(run_of(wildcards).calibration_spec),
        data=lambda wildcards: f"data/{run_of(wildcards).dataset_folder}",
        folder=lambda wildcards: f"results/runs/{wildcards.run}",
    message:
        "Calibrating {wildcards.run}"
    shell:
        "snn2ann calibrate --run {params.folder:q} --data {params.data:q} --spec {params.spec:q}"
        " --output {output.calibration:q} --threads {threads} > {log:q} 2>&1"
