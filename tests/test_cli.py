"""The command line: groups, exit statuses, names of runs, completion, JSON alone on standard output."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from snn2ann.cli import COMMANDS, app, main
from snn2ann.cli.app import FAULT, STATUSES, WRONG_INPUT
from snn2ann.errors import UserError
from snn2ann.report import show
from snn2ann.runs.naming import chosen_name
from snn2ann.study import load_parameters, resolve
from tests.report.synthetic import METHODS, write_study

ROOT = Path(__file__).parents[1]
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Call the command line as a shell does, and give its exit status and what it printed."""

    def called(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["snn2ann", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return called


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the tiny study's parameters and four runs that no study of it names."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "tests/workflow/params.yaml", "params.yaml")
    Path("Snakefile").touch()
    write_study(Path("results"), [METHODS[0], METHODS[2], METHODS[4], METHODS[3]], ("vgg-small",), (0,), cost=False)
    return tmp_path


def planned() -> list[str]:
    return [run.name for run in resolve(load_parameters("params.yaml"), "tiny").runs]


def made() -> dict[str, str]:
    return {path.name.split("_")[2].partition("-")[0]: path.name for path in Path("results/runs").iterdir()}


def test_help_is_in_groups_what_users_need_first(call: Call) -> None:
    status, printed, _ = call("--help")
    first = ["check", "run", "show", "compare", "report", "estimate", "rerun", "prune"]
    listed = [line.split()[1] for line in printed.splitlines() if line.startswith("│ ") and line[2] != " "]
    names = [name for name in listed if not name.startswith("-")]
    assert status == 0 and [name for name in names if name in first] == first
    assert names[0] == "check" and names.index("prune") < names.index("fetch")
    assert "Called by the workflow" in printed
    assert len(names) == sum(map(len, COMMANDS.values())) == len(app.registered_commands)
    assert " ".join(STATUSES.split()[:6]) in printed


@pytest.mark.parametrize(
    "name", [str(each.name or each.callback.__name__) for each in app.registered_commands if each.callback]
)
def test_every_command_has_help(name: str, call: Call) -> None:
    status, printed, _ = call(name.replace("_", "-"), "--help")
    assert status == 0 and "Usage: " in printed


# The status, words of the message, and the command.
WRONG: list[tuple[str, list[str]]] = [
    ("did you mean 'tiny'", ["check", "tny"]),
    ("another study", ["check", "tiny", "--study", "other"]),
    ("No such command 'chek'", ["chek"]),
    ("No such option", ["check", "--jsn"]),
    ("neither the folder nor the name of a run", ["show", "x"]),
    ("4 runs begin so", ["show", "digits"]),
    ("give two runs", ["compare", "digits_vgg-small_ann"]),
    ("not evaluated at T=99", ["show", "digits_vgg-small_stbp", "--time-steps", "99"]),
    ("not evaluated at T=99", ["show", "digits_vgg-small_stbp", "--time-steps", "99", "--json"]),
    ("params.yml: cannot be read", ["check", "--params", "params.yml", "--json"]),
    ("neither the folder nor the name of a run in params.yaml", ["run", "nothing"]),
    ("or the study: did you mean 'tiny'", ["run", "tinny"]),
    ("4 runs begin so", ["run", "digits"]),
    ("give it alone", ["run", "tiny", "digits"]),
    ("--cores: '0' is not allowed", ["run", "tiny", "--cores", "0"]),
    ("greater than", ["estimate", "--teraflops", "0"]),
    ("not valid JSON", ["train", "--spec", "{", "--data", "d", "--output", "o", "--device", "cpu"]),
]


@pytest.mark.parametrize(("words", "arguments"), WRONG, ids=[" ".join(each[1]) for each in WRONG])
def test_what_is_wrong_is_one_message_and_status_2(words: str, arguments: list[str], call: Call, project: Path) -> None:
    status, printed, said = call(*arguments)
    assert status == WRONG_INPUT and words in " ".join(said.replace("│", " ").split())
    assert printed == "" and "Traceback" not in said


def test_a_fault_of_the_program_has_a_status_of_its_own(
    call: Call, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(show, "show_run", lambda *_: 1 // 0)
    status, _, said = call("show", made()["ann"])
    assert status == FAULT and "ZeroDivisionError" in said


JSON: list[list[str]] = [
    ["check", "tiny", "--json"],
    ["show", "digits_vgg-small_snn2ann", "--json"],
    ["compare", "digits_vgg-small_ann", "digits_vgg-small_snn2ann", "--json"],
    ["estimate", "tiny", "--json"],
    ["prune", "--json"],
]


@pytest.mark.parametrize("arguments", JSON, ids=[each[0] for each in JSON])
def test_json_alone_is_on_standard_output(arguments: list[str], call: Call, project: Path) -> None:
    status, printed, _ = call(*arguments)
    found = json.loads(printed, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert status == 0 and isinstance(found, dict)
    names = {"check": "runs", "show": "figures", "compare": "runs", "estimate": "groups", "prune": "folders"}
    assert found[names[arguments[0]]]


def test_report_of_a_finished_study_finds_what_is_there(call: Call, project: Path) -> None:
    study = next(Path("results").glob("*/study.json")).parent
    judged = {"name": "released", "measured": "0.4", "verdict": "holds", "networks": ""}
    row = {"claim": "0.625× time steps", "claimed": "0.625", "judged": [judged]}
    (study / "claims.json").write_text(json.dumps({"verdicts": [row]}))
    (study / "results.csv").touch()
    status, printed, _ = call("report", str(study), "--json")
    found = json.loads(printed)
    assert status == 0 and found["finished"] and found["verdicts"] == [row] and found["missing"] == []
    status, printed, _ = call("report", "--study-folder", str(study))
    assert status == 0 and "is finished" in printed and "**holds**" in printed and f"{study}/claims.md" in printed
    assert not list(Path("results").glob("*-so-far"))


def test_json_says_what_the_text_says(call: Call, project: Path) -> None:
    run = made()["snn2ann"]
    shown = json.loads(call("show", run, "--json")[1])
    text = call("show", run)[1]
    selected = [each for each in shown["figures"] if (each["checkpoint"], each["split"]) == ("selected", "test")]
    for each in selected:
        assert f"{100 * each['accuracy']:.2f}" in text
    compared = json.loads(call("compare", run, made()["ann"], "--json")[1])
    assert [each["run"] for each in compared["runs"]] == [run, run, made()["ann"]]
    assert [each["accuracy"] for each in compared["runs"][:2]] == [each["accuracy"] for each in selected]


def test_check_says_how_far_each_run_is(call: Call, project: Path) -> None:
    names = planned()
    for name, file in ((names[0], "evaluation-{}.json"), (names[1], "training.json"), (names[3], "checkpoint.pt")):
        runs = {run.name: run for run in resolve(load_parameters("params.yaml"), "tiny").runs}
        path = Path("results/runs") / name / file.format(runs[name].evaluation_digest)
        path.parent.mkdir()
        path.touch()
    found = json.loads(call("check", "--json")[1])
    assert [run["state"] for run in found["runs"]] == ["evaluated", "trained", "not made", "training"]
    assert call("check")[1].split() == names


def test_prune_lists_and_removes_what_no_study_names(call: Call, project: Path) -> None:
    kept = Path("results/runs") / planned()[0]
    kept.mkdir()
    listed = json.loads(call("prune", "--json")[1])
    assert listed["removed"] is False and [Path(each).name for each in listed["folders"]] == sorted(made_but(kept))
    assert json.loads(call("prune", "--json", "--yes")[1])["removed"] is True
    assert list(Path("results/runs").iterdir()) == [kept]


def made_but(kept: Path) -> list[str]:
    return [path.name for path in Path("results/runs").iterdir() if path != kept]


NAMES = ["digits_ann_s0-02ef91e1", "digits_stbp_T2_s0-83ed8d64", "digits_stbp_T2_s1-83ff0000"]


@pytest.mark.parametrize(
    ("word", "name"),
    [
        (NAMES[0], NAMES[0]),
        ("digits_ann", NAMES[0]),
        ("02", NAMES[0]),
        ("digits_stbp_T2_s1", NAMES[2]),
        ("83e", NAMES[1]),
        ("83ff0000", NAMES[2]),
    ],
)
def test_a_run_is_named_by_its_name_or_a_beginning(word: str, name: str) -> None:
    assert chosen_name(word, NAMES, "here") == name


@pytest.mark.parametrize(
    ("word", "words"),
    [
        ("digits_stbp", [*NAMES[1:], "2 runs begin so"]),
        ("83", NAMES[1:]),
        ("stbp", ["did you mean", *NAMES[1:]]),
        ("digits_an_s0-02ef91e1", ["did you mean", NAMES[0]]),
        ("", ["here holds 3 runs"]),
    ],
)
def test_other_words_name_what_may_be_meant(word: str, words: list[str]) -> None:
    with pytest.raises(UserError) as refused:
        chosen_name(word, NAMES, "here")
    assert all(each in str(refused.value) for each in words)


def commands_of(call: Call, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> list[str]:
    """What `snn2ann run` would become."""
    taken: list[Any] = []

    def take(program: str, command: list[str]) -> None:
        taken.append(command)
        sys.exit(0)

    monkeypatch.setattr("snn2ann.workflow.os.execv", take)
    status, _, said = call("run", *arguments)
    assert status == 0, said
    return list(taken[0][2:])


def test_run_asks_snakemake_for_a_study_or_for_the_end_of_runs(
    call: Call, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = resolve(load_parameters("params.yaml"), "tiny").runs
    whole = ["snakemake", "--cores", "all", "--config", "study=tiny"]
    assert commands_of(call, monkeypatch) == commands_of(call, monkeypatch, "tiny") == whole
    options = ("tiny", "-n", "--cores", "2", "--profile", "profiles/slurm")
    asked = commands_of(call, monkeypatch, *options)
    assert asked[2] == "2" and asked[5:] == ["--profile", "profiles/slurm", "--dry-run"]
    files = [f"results/runs/{run.name}/evaluation-{run.evaluation_digest}.json" for run in runs]
    assert commands_of(call, monkeypatch, runs[1].name) == [*whole, "--", files[1]]
    digest = runs[3].name.rpartition("-")[2]
    assert commands_of(call, monkeypatch, digest, "digits_vgg-tiny_ann", digest[:5]) == [
        *whole,
        "--",
        files[3],
        files[0],
    ]


def test_run_needs_a_project(call: Call, project: Path) -> None:
    Path("Snakefile").unlink()
    status, _, said = call("run", "tiny")
    assert status == WRONG_INPUT and "Snakefile: not in this folder" in said


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("snn2ann ch", ["check"]),
        ("snn2ann check t", ["tiny"]),
        ("snn2ann report ", ["tiny"]),
        ("snn2ann show digits_vgg-small_st", ["stbp"]),
        ("snn2ann run digits_vgg-tiny_st", ["planned"]),
    ],
)
def test_the_shell_completes_studies_and_runs(
    line: str, offered: list[str], call: Call, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {"planned": planned()[1], **made()}
    monkeypatch.setenv("_SNN2ANN_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(line.split(" ")) - 1))
    assert call()[1].split() == [names.get(each, each) for each in offered]


def test_check_names_what_no_study_uses(call: Call, project: Path) -> None:
    assert not [line for line in call("check")[2].splitlines() if line.startswith("note: ")]
    parameters = yaml.safe_load(Path("params.yaml").read_text())
    network, recipe = next(iter(parameters["networks"])), next(iter(parameters["recipes"]))
    parameters["networks"][f"{network}-2"] = parameters["networks"][network]
    parameters["recipes"]["parent"] = parameters["recipes"][recipe]
    parameters["recipes"]["heir"] = {"inherit": "parent"}
    parameters["datasets"]["mine"] = {"kind": "folder", "path": "pictures"}
    Path("params.yaml").write_text(yaml.safe_dump(parameters, sort_keys=False))
    status, printed, said = call("check")
    assert status == 0 and printed.split() == planned()
    notes = [line for line in said.splitlines() if line.startswith("note: ")]
    assert [note.partition(";")[0] for note in notes] == [
        f"note: networks.{network}-2: no study uses it",
        "note: recipes.heir: no study uses it",
        "note: datasets.mine: no study uses it",
    ]
    assert f"did you mean {network!r}?" in notes[0]
    assert len(json.loads(call("check", "--json")[1])["unused"]) == 3


def test_a_study_whose_steps_do_not_fit_is_named(call: Call, project: Path) -> None:
    status, printed, _ = call("estimate", "tiny", "--memory", "0.0001")
    assert status == 1 and "a training step of " in printed and "expected " in printed
    status, printed, _ = call("estimate", "tiny", "--memory", "1", "--json")
    found = json.loads(printed)
    assert status == 0 and found["too_large"] == [] and all(group["saved_bytes"] > 0 for group in found["groups"])
    assert found["total"]["hours"] == pytest.approx(sum(group["hours"] for group in found["groups"]))
