"""The names of a run's files are spelled in one place."""

import re
from pathlib import Path

from snn2ann.runs.folder import RunFolder, calibrated_thresholds, compared_files, find_folders, trained_files

ROOT = Path(__file__).parents[2]


def test_no_other_file_spells_them() -> None:
    run = RunFolder(Path("run"))
    files = {*trained_files(run), run.snapshot, run.checkpoint, run.process}
    whole = "|".join(re.escape(path.name) for path in files)
    # A name as code has it; words for readers may name a file.
    spelled = re.compile(rf"[\"'/](?:(?:{whole})[\"']|(?:evaluation|calibration|thresholds)-[{{<*])")
    sources = [*(ROOT / "src").rglob("*.py"), *(ROOT / "workflow").rglob("*.smk"), ROOT / "Snakefile"]
    found = {path.relative_to(ROOT).as_posix() for path in sources if spelled.search(path.read_text())}
    # Help of the command line says what a file is called.
    assert found - {"src/snn2ann/cli/jobs.py"} == {"src/snn2ann/runs/folder.py"}


def test_files_of_training_are_named_once_and_those_that_repeat_are_among_them() -> None:
    run = RunFolder(Path("run"))
    assert len(set(trained_files(run))) == len(trained_files(run)) == 8
    assert set(compared_files(run)) < set(trained_files(run))
    assert run.last.weights in compared_files(run) and run.checkpoint not in trained_files(run)


def test_a_calibrations_thresholds_lie_beside_its_record() -> None:
    run = RunFolder(Path("results/runs/some"))
    assert calibrated_thresholds(run.calibration("0a1b2c3d")) == run.calibrated_thresholds("0a1b2c3d")


def test_runs_and_evaluations_are_found_by_name(tmp_path: Path) -> None:
    for name in ("b", "a", "none"):
        (tmp_path / name).mkdir()
    runs = [RunFolder(tmp_path / name) for name in ("a", "b")]
    for run in runs:
        run.spec.touch()
    assert find_folders(tmp_path) == runs
    runs[0].evaluation("2").touch()
    runs[0].evaluation("1").touch()
    assert runs[0].evaluations() == [runs[0].evaluation("1"), runs[0].evaluation("2")]
    runs[0].training.touch()
    assert [run.trained for run in runs] == [True, False] and runs[0].name == "a"
