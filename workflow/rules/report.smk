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


# The runs stand here once more, so that a run that was lost and is made again reaches every table.
rule table:
    input:
        mark=mark_of,
        runs=ancient(EVALUATIONS),
        cost=ancient(MEASUREMENTS),
        results=ancient(rules.collect.output),
    output:
        page=report(
            f"{FOLDER}/tables/{{table}}.html",
            caption="../report/table.rst",
            category=lambda wildcards: section_of(TABLES[wildcards.table]),
            labels=lambda wildcards: label_of("table", wildcards.table),
        ),
        other=multiext(f"{FOLDER}/tables/{{table}}", ".csv", ".md", ".tex"),
    log:
        f"logs/table/{STUDY.name}-{{table}}.log",
    benchmark:
        f"logs/benchmarks/table/{STUDY.name}-{{table}}.tsv"
    wildcard_constraints:
        table="|".join(name for name in TABLES if name != "claims"),
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        folder=lambda wildcards: FOLDER,
    message:
        "Table {wildcards.table}"
    shell:
        "snn2ann table {wildcards.table} --study-folder {params.folder:q} > {log:q} 2>&1"


rule figure:
    input:
        mark=mark_of,
        runs=ancient(EVALUATIONS),
        cost=ancient(MEASUREMENTS),
        results=ancient(rules.collect.output),
    output:
        page=report(
            f"{FOLDER}/figures/{{figure}}.html",
            caption="../report/figure.rst",
            category=lambda wildcards: section_of(FIGURES[wildcards.figure]),
            labels=lambda wildcards: label_of("figure", wildcards.figure),
        ),
        other=multiext(f"{FOLDER}/figures/{{figure}}", ".png", ".svg", ".pdf", ".csv"),
    log:
        f"logs/figure/{STUDY.name}-{{figure}}.log",
    benchmark:
        f"logs/benchmarks/figure/{STUDY.name}-{{figure}}.tsv"
    wildcard_constraints:
        figure="|".join(FIGURES),
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        folder=lambda wildcards: FOLDER,
    message:
        "Figure {wildcards.figure}"
    shell:
        "snn2ann figure {wildcards.figure} --study-folder {params.folder:q} > {log:q} 2>&1"


rule judge:
    input:
        mark=mark_of,
        runs=ancient(EVALUATIONS),
        cost=ancient(MEASUREMENTS),
        results=ancient(rules.collect.output),
    output:
        page=report(
            f"{FOLDER}/tables/claims.html",
            caption="../report/table.rst",
            category=section_of(TABLES["claims"]),
            labels=label_of("table", "claims"),
        ),
        verdicts=multiext(f"{FOLDER}/claims", ".md", ".json"),
        metrics=f"{FOLDER}/metrics.json",
        table=multiext(f"{FOLDER}/tables/claims", ".csv", ".md", ".tex"),
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
        expand(rules.table.output, table=[name for name in listed(TABLES, STUDY.parameters) if name != "claims"]),


rule figures:
    input:
        expand(rules.figure.output, figure=listed(FIGURES, STUDY.parameters)),


rule claims:
    input:
        rules.judge.output,
