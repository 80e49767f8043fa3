"""Data sets: fetched, verified, prepared."""


rule fetch:
    output:
        expand("data/{{dataset}}/{array}", array=ARRAYS),
    log:
        "logs/fetch/{dataset}.log",
    benchmark:
        "logs/benchmarks/fetch/{dataset}.tsv"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=240,
    params:
        spec=lambda wildcards: as_json(STUDY.datasets[wildcards.dataset]),
        folder=lambda wildcards: f"data/{wildcards.dataset}",
    message:
        "Fetching {wildcards.dataset}"
    shell:
        "snn2ann fetch --spec {params.spec:q} --raw data/raw --output {params.folder:q} > {log:q} 2>&1"


rule data:
    input:
        expand("data/{dataset}/{array}", dataset=STUDY.datasets, array=ARRAYS),
