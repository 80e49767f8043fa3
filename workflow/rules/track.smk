"""MLflow: a view of the files, which can be made again from them."""


rule record:
    input:
        mark=mark_of,
        runs=ancient(EVALUATIONS),
        tables=ancient(rules.tables.input),
        figures=ancient(rules.figures.input),
        claims=ancient(rules.claims.input),
    output:
        touch(f"{FOLDER}/.made/tracked-{STUDY.digest}"),
    log:
        f"logs/record/{STUDY.name}.log",
    benchmark:
        f"logs/benchmarks/record/{STUDY.name}.tsv"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        folder=lambda wildcards: FOLDER,
        store=f"--store {PARAMETERS['tracking']['store']}" if PARAMETERS["tracking"]["store"] else "",
    message:
        "Recording in MLflow"
    shell:
        "snn2ann track --study-folder {params.folder:q} {params.store} > {log:q} 2>&1"


rule track:
    input:
        rules.record.output,
