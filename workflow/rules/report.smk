"""What a study makes of its runs: results, tables, figures, verdicts."""


# Whatever was made for other runs, settings or code of the report goes before anything is made anew, so that nothing old
# can be taken for the present study's, not even after a kill half-way.
rule mark:
    output:
        MARK,
    log:
        f"logs/mark/{STUDY.name}.log",
    benchmark:
        f"logs/benchmarks/mark/{STUDY.name}.tsv"
    threads: 1
    resources:
        mem_mb=100,
        runtime=10,
    params:
        old=expand("{folder}/{name}", folder=FOLDER, name=MADE),
    message:
        f"Study {STUDY.name}: what was made for other runs, settings or code is removed"
    shell:
        "(rm -rf {params.old:q} && mkdir -p $(dirname {output:q}) && touch {output:q}) > {log:q} 2>&1"


rule describe:
    input:
        mark=mark_of,
    output:
        f"{FOLDER}/study.json",
    log:
        f"logs/describe/{STUDY.name}.log",
    benchmark:
        f"logs/benchmarks/describe/{STUDY.name}.tsv"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        study=STUDY.name,
        digest=STUDY.digest,
    message:
        "Describing study {params.study}"
    shell:
        "snn2ann study --params params.yaml --study {params.study:q} --digest {params.digest:q}"
        " --output {output:q} > {log:q} 2>&1"


rule collect:
    input:
        mark=mark_of,
        runs=ancient(EVALUATIONS),
        study=ancient(rules.describe.output),
    output:
        f"{FOLDER}/results.csv",
    log:
        f"logs/collect/{STUDY.name}.log",
    benchmark:
        f"logs/benchmarks/collect/{STUDY.name}.tsv"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        folder=lambda wildcards: FOLDER,
    message:
        "Collecting the results of all runs"
    shell:
        "snn2ann collect --study-folder {params.folder:q} > {log:q} 2>&1"


# All in one job each, which loads pandas or matplotlib once. The runs stand here once more, so that a run that was lost and
# is made again reaches every table.
rule tabulate:
    input:
        mark=mark_of,
        runs=ancient(EVALUATIONS),
        cost=ancient(MEASUREMENTS),
        results=ancient(rules.collect.output),
    output:
        *parts_of("table", TABULATED),
    log:
        f"logs/tabulate/{STUDY.name}.log",
    benchmark:
        f"logs/benchmarks/tabulate/{STUDY.name}.tsv"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        folder=lambda wildcards: FOLDER,
        names=TABULATED,
    message:
        "Tables"
    shell:
        "snn2ann table {params.names} --study-folder {params.folder:q} > {log:q} 2>&1"


rule draw:
    input:
        mark=mark_of,
        runs=ancient(EVALUATIONS),
        cost=ancient(MEASUREMENTS),
        results=ancient(rules.collect.output),
    output:
        *parts_of("figure", DRAWN),
    log:
        f"logs/draw/{STUDY.name}.log",
    benchmark:
        f"logs/benchmarks/draw/{STUDY.name}.tsv"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        folder=lambda wildcards: FOLDER,
        names=DRAWN,
    message:
        "Figures"
    shell:
        "snn2ann figure {params.names} --study-folder {params.folder:q} > {log:q} 2>&1"


rule judge:
    input:
        mark=mark_of,
        runs=ancient(EVALUATIONS),
        cost=ancient(MEASUREMENTS),
        results=ancient(rules.collect.output),
    output:
        *parts_of("table", ["claims"]),
        verdicts=multiext(f"{FOLDER}/claims", ".md", ".json"),
        agreement=f"{FOLDER}/agreement.json",
        metrics=f"{FOLDER}/metrics.json",
    log:
        f"logs/judge/{STUDY.name}.log",
    benchmark:
        f"logs/benchmarks/judge/{STUDY.name}.tsv"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        folder=lambda wildcards: FOLDER,
    message:
        "Comparing with the paper's claims"
    shell:
        "snn2ann claims --study-folder {params.folder:q} > {log:q} 2>&1"


rule tables:
    input:
        rules.tabulate.output,


rule figures:
    input:
        rules.draw.output,


rule claims:
    input:
        rules.judge.output,
