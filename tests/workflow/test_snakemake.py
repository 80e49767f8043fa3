"""The real workflow on a tiny study: what runs, what does not, and what is left after a fault."""

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from snn2ann.report.figures import FIGURES
from snn2ann.report.registry import listed
from snn2ann.report.tables import TABLES
from tests.workflow.project import ROOT, Project, new_project, wait_for

STBP = ("studies", "tiny", "runs", 1, "options")
OUTPUTS = {"collect": 1, "draw": 1, "tabulate": 1, "judge": 1, "record": 1, "all": 1}
STUDY_LEVEL = {"mark": 1, "describe": 1, **OUTPUTS}


def test_first_run_makes_every_output(finished: Project) -> None:
    study = finished.folder / "results/tiny"
    described = json.loads((study / "study.json").read_text())
    assert [run["method"] for run in described["runs"]] == ["ann", "stbp", "conversion", "snn2ann"]
    for run in described["runs"]:
        folder = finished.folder / "results/runs" / run["name"]
        assert (folder / run["evaluation"]).exists()
        assert (folder / "last/weights.safetensors").exists()
    assert (study / "results.csv").read_text().startswith("dataset,network,method,variant,")
    for name in listed(TABLES, {}):
        assert {(study / f"tables/{name}{end}").exists() for end in (".csv", ".md", ".tex")} == {True}
    for name in listed(FIGURES, {}):
        assert {(study / f"figures/{name}{end}").exists() for end in (".png", ".svg", ".csv")} == {True}
    assert (study / ".made" / described["digest"]).exists()
    assert (finished.folder / "mlflow.db").exists()


def test_finished_study_has_nothing_to_do(finished: Project) -> None:
    assert finished.planned() == {}
    for target in ("data", "claims", "track"):
        assert finished.planned(target) == {}
    assert finished.planned("--profile", "profiles/slurm") == {}


def test_changed_parameter_reruns_what_depends_on_it(finished: Project, tmp_path: Path) -> None:
    project = finished.copy(tmp_path / "p")
    project.edit(*STBP, value={"threshold": 1.5})
    assert project.planned() == {"make_run": 1, **STUDY_LEVEL}
    shutil.copy(finished.folder / "params.yaml", project.folder)
    project.edit("calibration", "target", value=0.5)
    assert project.planned() == {"make_run": 2, **STUDY_LEVEL}
    shutil.copy(finished.folder / "params.yaml", project.folder)
    project.edit("measurement", "rounds", value=3)
    assert project.planned() == {"measure": 1, **STUDY_LEVEL}
    shutil.copy(finished.folder / "params.yaml", project.folder)
    project.edit("report", "accuracy_margin", value=2.0)
    assert project.planned() == STUDY_LEVEL
    shutil.copy(finished.folder / "params.yaml", project.folder)
    project.edit("recipes", "tiny", "epochs", value=2)
    assert project.costly() == {"make_run": 4}


def test_what_of_a_run_is_there_is_kept(finished: Project, tmp_path: Path) -> None:
    project = finished.copy(
        tmp_path / "p", "results/runs/*_snn2ann_*/evaluation-*.json", "results/runs/*/calibration-*"
    )
    pattern = "results/runs/*_snn2ann_*/*"
    trained = {path: path.stat().st_mtime_ns for path in project.folder.glob(pattern) if path.suffix != ".json"}
    assert project.planned("runs") == {"make_run": 1, "runs": 1}
    project.snakemake("runs")
    made = project.contents("results/runs/*_snn2ann_*/**/*")
    assert made == finished.contents("results/runs/*_snn2ann_*/**/*")
    kept = {path for path, time in trained.items() if path.stat().st_mtime_ns == time}
    # The calibration was gone, and its thresholds were made again.
    assert {path.name for path in trained.keys() - kept} == {next(project.folder.glob(pattern + "thresholds-*")).name}


def test_changed_back_trains_nothing_and_gives_the_old_results(finished: Project, tmp_path: Path) -> None:
    project = finished.copy(tmp_path / "p")
    results, old = "results/tiny/results.csv", project.contents("results/tiny/results.csv")
    runs = project.contents("results/runs/**/*")
    project.edit(*STBP, value={"threshold": 1.5})
    project.snakemake(results)
    assert project.contents(results) != old
    # What was made for the other runs is gone, so that nothing can take it for the present study's.
    assert not (project.folder / "results/tiny/claims.md").exists()
    assert project.contents("results/runs/**/*").items() >= runs.items()
    shutil.copy(finished.folder / "params.yaml", project.folder)
    assert project.planned(results) == {"mark": 1, "describe": 1, "collect": 1}
    assert project.costly() == {}
    project.snakemake(results)
    assert project.contents(results) == old


def test_changed_code_of_the_report_makes_the_study_again(finished: Project, tmp_path: Path) -> None:
    project = finished.copy(tmp_path / "p")
    with (project.folder / "src/snn2ann/report/table.py").open("a") as file:
        file.write("# changed\n")
    assert project.planned() == STUDY_LEVEL


def test_removed_method_leaves_the_results_but_not_the_store(finished: Project, tmp_path: Path) -> None:
    project = finished.copy(tmp_path / "p")
    project.edit("studies", "tiny", "runs", value=[{"method": "ann"}, {"method": "stbp", "time_steps": 2}])
    assert project.costly() == {}
    project.snakemake("results/tiny/results.csv")
    methods = {
        line.split(",")[2] for line in (project.folder / "results/tiny/results.csv").read_text().splitlines()[1:]
    }
    assert methods == {"ann", "stbp"}
    assert list((project.folder / "results/runs").glob("*_snn2ann_*"))


def test_copied_results_are_honoured(finished: Project, tmp_path: Path) -> None:
    finished.run("git", "clone", "--quiet", ".", str(tmp_path / "p"))
    clone = Project(tmp_path / "p")
    shutil.copytree(finished.folder / "results", clone.folder / "results", dirs_exist_ok=True)
    # Time stamps in any order: here, what was made last looks oldest.
    files = sorted(path for path in (clone.folder / "results").rglob("*") if path.is_file())
    for age, path in enumerate(sorted(files, key=lambda path: path.stat().st_mtime)):
        os.utime(path, (2e9 - age, 2e9 - age))
    assert clone.planned() == {}
    # Data are fetched for a new evaluation, and no run is trained because they were missing.
    clone.edit("evaluation", "time_steps", value=2)
    assert clone.costly() == {"fetch": 1, "make_run": 4}


def test_lost_run_is_made_again_and_reaches_every_table(finished: Project, tmp_path: Path) -> None:
    project = finished.copy(tmp_path / "p", "results/runs/*_stbp_*")
    assert project.planned() == {"make_run": 1, **OUTPUTS}


def test_killed_run_leaves_nothing_half_written_and_goes_on(finished: Project, tmp_path: Path) -> None:
    project = finished.copy(tmp_path / "p", "results/runs/*_stbp_*", "logs")
    with subprocess.Popen(
        ["snakemake", "--cores", "2", "runs"],
        cwd=project.folder,
        env=project.environment,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as running:
        try:
            wait_for(lambda: any(project.folder.glob("results/runs/*_stbp_*/*")))
        finally:
            os.killpg(running.pid, signal.SIGKILL)
    original = finished.contents("results/runs/*_stbp_*/**/*")
    whole = {name for name in original if name.endswith(".safetensors")}
    for name, content in project.contents("results/runs/*_stbp_*/**/*").items():
        if name in whole:
            assert content == original[name]
    project.snakemake("runs")
    made = project.contents("results/runs/*_stbp_*/**/*")
    assert {name: made[name] for name in whole} == {name: original[name] for name in whole}
    assert project.planned("runs") == {}


def test_second_snakemake_in_the_folder_is_refused(finished: Project, tmp_path: Path) -> None:
    import fcntl

    project = finished.copy(tmp_path / "p", "results/tiny/study.json")
    with (project.folder / ".snakemake/in_use").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        printed = project.snakemake("results/tiny/study.json", fails=True)
        assert "another snakemake is at work" in printed
    project.snakemake("results/tiny/study.json")


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (("evaluation", "time_step"), 4, "evaluation.time_step: unknown key (value 4); did you mean 'time_steps'?"),
        (("studies", "tiny", "runs", 1, "time_steps"), 0, "studies.tiny.runs[1].time_steps: 0 is not allowed"),
        (("studies", "tiny", "runs", 0, "method"), "an", "method: 'an' is unknown; did you mean 'ann'?"),
    ],
)
def test_bad_parameter_stops_before_any_job(
    finished: Project, tmp_path: Path, path: tuple[str | int, ...], value: object, expected: str
) -> None:
    project = new_project(tmp_path / "p")
    project.edit(*path, value=value)
    printed = project.snakemake(fails=True)
    assert expected in printed
    assert "Traceback" not in printed
    assert not (project.folder / "data").exists()
    assert not (project.folder / "results/runs").exists()


def test_only_the_study_is_chosen_on_the_command_line(finished: Project) -> None:
    assert "study: 'tidy' is unknown; did you mean 'tiny'?" in finished.snakemake(
        "--dry-run", "--config", "study=tidy", fails=True
    )
    assert "only study can be given here" in finished.snakemake("--dry-run", "--config", "seed=1", fails=True)


def test_summary_says_what_ran_and_where_to_look(finished: Project, tmp_path: Path) -> None:
    project = finished.copy(tmp_path / "p", "results/tiny/claims.md")
    # Another test may have made it; the summary then names the page and not the command.
    (project.folder / "results/tiny/report.html").unlink(missing_ok=True)
    printed = project.snakemake("claims")
    summary = printed[printed.index("Study tiny: 4 runs, done, ") :]
    assert "  judge         1 jobs" in summary
    assert "make_run" not in summary
    for place in ("results/tiny/claims.md", "results/tiny/tables/", "snakemake --report results/tiny/report.html"):
        assert place in summary
    (project.folder / "results/tiny/claims.md").unlink()
    (project.folder / "results/tiny/results.csv").write_text("not,a,result\n")
    printed = project.snakemake("claims", fails=True)
    assert "Study tiny: 4 runs, NOT complete" in printed
    assert "results.csv" in printed
    assert "Traceback" not in printed


def test_bars_in_a_terminal(finished: Project, tmp_path: Path) -> None:
    project = finished.copy(tmp_path / "p", "results/tiny/claims.md")
    printed = project.snakemake("claims", "--logger", "rich")
    assert "Study tiny: 4 runs, done, " in printed
    assert (project.folder / "results/tiny/claims.md").exists()


def test_report_holds_tables_figures_and_claims(finished: Project) -> None:
    finished.snakemake("--report", "results/tiny/report.html")
    text = (finished.folder / "results/tiny/report.html").read_text()
    assert "classification" in text
    assert "convergence" in text
    assert "claims.md" in text


@pytest.mark.parametrize("name", ["slrum", "workflow/profiles/slrum", "profiles/slurm"])
def test_a_workflow_profile_that_takes_the_defaults_place_is_refused(
    finished: Project, tmp_path: Path, name: str
) -> None:
    project = finished.copy(tmp_path / "p", "results/tiny/claims.md")
    for options in ((), ("--dry-run",)):
        printed = project.snakemake("--workflow-profile", name, *options, "claims", fails=True)
        assert "leave out --workflow-profile" in printed
    assert not (project.folder / "results/tiny/claims.md").exists()


def test_every_study_of_the_project_resolves(tmp_path: Path) -> None:
    project = new_project(tmp_path / "p")
    shutil.copy(ROOT / "params.yaml", project.folder)
    planned = project.planned("--config", "study=paper")
    assert planned["make_run"] > 100
    assert planned["fetch"] == 3
