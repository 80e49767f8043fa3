"""Thresholds of a trained network, adjusted on training images."""


rule calibrate:
    input:
        calibration_inputs,
        weights=ancient("results/runs/{run}/weights.safetensors"),
        thresholds=ancient("results/runs/{run}/thresholds.safetensors"),
        training=ancient("results/runs/{run}/training.json"),
    output:
        calibration="results/runs/{run}/calibration-{digest}.json",
        thresholds="results/runs/{run}/thresholds-{digest}.safetensors",
    log:
        "logs/calibrate/{run}-{digest}.log",
    benchmark:
        "logs/benchmarks/calibrate/{run}-{digest}.tsv"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        spec=lambda wildcards: as_json(run_of(wildcards).calibration_spec),
        data=lambda wildcards: f"data/{run_of(wildcards).dataset_folder}",
        folder=lambda wildcards: f"results/runs/{wildcards.run}",
    message:
        "Calibrating {wildcards.run}"
    shell:
        "snn2ann calibrate --run {params.folder:q} --data {params.data:q} --spec {params.spec:q}"
        " --output {output.calibration:q} --threads {threads} > {log:q} 2>&1"
