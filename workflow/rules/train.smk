"""Training, and what takes its place: the conversion of a trained ANN."""


rule train:
    input:
        training_inputs,
    output:
        TRAINED,
    log:
        "logs/train/{run}.log",
    benchmark:
        "logs/benchmarks/train/{run}.tsv"
    threads: 1
    resources:
        device=1,
        mem_mb=growing(4000),
        runtime=training_minutes,
    params:
        spec=lambda wildcards: as_json(run_of(wildcards).spec),
        data=lambda wildcards: f"data/{run_of(wildcards).dataset_folder}",
        folder=lambda wildcards: f"results/runs/{wildcards.run}",
        source=source_option,
    message:
        "Training {wildcards.run}"
    shell:
        "snn2ann train --spec {params.spec:q} --data {params.data:q} --output {params.folder:q} {params.source}"
        " --threads {threads} > {log:q} 2>&1"
