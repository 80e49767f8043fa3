"""MLflow: a view of the files, which can be made again from them."""


# A store that does not answer fails nothing: the mark then says why, and is removed at the end, so that the next
# `snakemake` records what is missing.
rule record:
    input:
        mark=recorded_mark,
        runs=ancient(EVALUATIONS),
        tables=ancient(rules.tables.input),
        figures=ancient(rules.figures.input),
        claims=ancient(rules.claims.input),
    output:
        TRACKED,
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
        models=PARAMETERS["tracking"]["models"],
    message:
        "Recording in MLflow"
    shell:
        "snn2ann track --study-folder {params.folder:q} --params params.yaml"
        " --models {params.models} --mark {output:q} > {log:q} 2>&1"


rule track:
    input:
        rules.record.output,
