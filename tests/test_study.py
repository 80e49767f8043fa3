"""params.yaml to a study: what is accepted, what is refused in which words, and what a digest depends on."""

import copy
import json
import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snn2ann.errors import UserError
from snn2ann.methods import METHODS
from snn2ann.options import VARIANTS
from snn2ann.parameters import digest, load_parameters, merge, validate
from snn2ann.study import Study, resolve

ROOT = Path(__file__).parents[1]
TINY = ROOT / "tests/workflow/params.yaml"

Parameters = dict[str, Any]


@pytest.fixture
def parameters() -> Parameters:
    return load_parameters(TINY)


def changed(parameters: Parameters, *path: str | int, value: Any) -> Parameters:
    """A copy with one value set."""
    result = copy.deepcopy(parameters)
    place: Any = result
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return result


def with_runs(parameters: Parameters, *entries: Parameters) -> Study:
    return resolve(changed(parameters, "studies", "tiny", "runs", value=list(entries)), "tiny")


def test_every_study_of_the_project_resolves() -> None:
    project = load_parameters(ROOT / "params.yaml")
    assert [name for name in project["studies"] if not resolve(project, name).runs] == []
    # What the verdicts compare over nine seeds; the rest over three, the other configurations on one network.
    assert len(resolve(project, "digits").runs) == 2 * 9 * 3 + 3 * (2 * 3 + 3)


def test_seeds_of_digits_test_every_image_as_often() -> None:
    study = resolve(load_parameters(ROOT / "params.yaml"), "digits")
    pair = [run for run in study.runs if run.method == "stbp" and run.training_time_steps == 8]
    folds = Counter((run.network, run.spec["dataset"]["fold"]) for run in pair)
    assert folds == {(network, fold): 3 for network in ("vgg-tiny", "resnet-tiny") for fold in range(3)}
    assert all(run.spec["dataset"]["fold"] == run.seed % 3 for run in study.runs)
    assert {run.dataset_folder for run in study.runs} == set(study.datasets) and len(study.datasets) == 3
    # Both sides of a comparison are tested on the same images.
    assert len({(run.seed, run.dataset_folder) for run in study.runs}) == 9


def test_every_study_that_is_offered_has_what_the_claims_need() -> None:
    project = load_parameters(ROOT / "params.yaml")
    rows = re.findall(r"^\| (`[^|]+) \|.*\|.*\|.*\|$", (ROOT / "docs/studies.md").read_text(), re.MULTILINE)
    offered = dict.fromkeys(re.findall(r"`([a-z0-9-]+)`", "".join(rows)))
    assert len(offered) >= 11
    for name in offered:
        study = resolve(project, name)
        assert {run.method for run in study.runs} >= {"ann", "stbp", "conversion", "snn2ann"}
        for side in ("headline", "reference"):
            wanted = study.report[side]
            pair = (wanted["method"], wanted["training_time_steps"])
            seeds = [run.seed for run in study.runs if (run.method, run.training_time_steps) == pair]
            assert len(set(seeds)) >= 3


def test_the_ablation_shares_the_runs_of_digits() -> None:
    project = load_parameters(ROOT / "params.yaml")
    ablation, digits = resolve(project, "digits-ablation"), resolve(project, "digits")
    assert {run.name for run in digits.runs} < {run.name for run in ablation.runs}
    rows = {(run.variant, *sorted(run.changed.items())) for run in ablation.runs if run.method == "snn2ann"}
    assert rows == {
        ("released",),
        ("refined",),
        ("released", ("membrane_dropout", 0)),
        ("released", ("reset", "subtract")),
        ("released", ("threshold_start", 0.5)),
        ("released", ("threshold_start", 1)),
        ("released", ("input_coding", "divide")),
    }
    # The large studies name the same rows, and run them when asked.
    for name in ("fashion-mnist", "cifar10", "cifar100", "tiny-imagenet", "paper"):
        study = resolve(project, name)
        named = {(run.variant, *sorted(run.changed.items())) for run in (*study.runs, *study.not_run) if run.variant}
        assert named == rows, name


def test_the_small_study_takes_the_parts_of_the_refined_variant_away_one_at_a_time() -> None:
    study = resolve(load_parameters(ROOT / "params.yaml"), "fashion-mnist-small")
    runs = [run for run in study.runs if run.variant == "refined"]
    assert {run.training_time_steps for run in runs if not run.changed} == {2, 3, 5}
    released, refined = asdict(VARIANTS["released"]), asdict(VARIANTS["refined"])
    rows = [run for run in runs if run.seed == 0 and run.network == "vgg-small" and run.training_time_steps == 5]
    constant_price = {"spike_penalty": 0.06, "spike_penalty_end": 1}
    assert [run.changed for run in rows].count(constant_price) == 1
    parts = []
    for run in (run for run in rows if run.changed != constant_price):
        options = run.spec["method"]["options"]
        parts.append({option for option, value in options.items() if value != refined[option]})
        assert all(options[option] == released[option] for option in run.changed)
    assert sorted(len(part) for part in parts) == [0] + [1] * (len(rows) - 2)
    assert set().union(*parts) == {"mapping_unit", "pooling", "statistics", "gradient", "reset"} | {
        "threshold_start",
        "input_coding",
        "membrane_start",
        "spike_penalty",
    }
    assert all(run.seed in (0, 1, 2) for run in runs)


def test_the_relatives_stand_beside_rows_of_digits_and_are_measured() -> None:
    project = load_parameters(ROOT / "params.yaml")
    relatives, digits = resolve(project, "digits-relatives"), resolve(project, "digits")
    methods = {run.method for run in relatives.runs}
    published = json.loads((ROOT / "docs/reference/digits-relatives/parameters.json").read_text())
    assert methods >= {entry["method"] for entry in published["studies"]["digits-relatives"]["runs"]}
    shared = {run.name for run in relatives.runs} & {run.name for run in digits.runs}
    # Over nine seeds spike-based BP at T = 8, released and refined; over three the ANN, BP at T = 5 and conversion.
    assert len(shared) == 2 * (3 * 9 + 3 * 3)
    assert relatives.measurement_spec and digits.measurement_spec
    measured = {method["name"] for method in relatives.measurement_spec["methods"]}
    assert measured == {name for name in methods if METHODS[name].trained}
    kept = ("networks", "image_shape", "batch_size", "precision")
    assert [relatives.measurement_spec[key] for key in kept] == [digits.measurement_spec[key] for key in kept]


def test_a_study_may_measure_otherwise(parameters: Parameters) -> None:
    usual = resolve(parameters, "tiny")
    same = resolve(changed(parameters, "studies", "tiny", "measurement", value={}), "tiny")
    other = resolve(changed(parameters, "studies", "tiny", "measurement", value={"rounds": 7}), "tiny")
    assert usual.measurement_spec and other.measurement_spec
    assert same.measurement_digest == usual.measurement_digest != other.measurement_digest
    assert other.measurement_spec == usual.measurement_spec | {"rounds": 7}
    assert other.parameters["measurement"]["rounds"] == 7
    assert [run.name for run in other.runs] == [run.name for run in usual.runs]


def test_what_was_changed_of_a_preset(parameters: Parameters) -> None:
    parameters = changed(parameters, "methods", "snn2ann", value={"ata_rate": 0.2})
    parameters = changed(parameters, "recipes", "long", value={**parameters["recipes"]["tiny"], "epochs": 2})
    study = with_runs(
        parameters,
        {"method": "ann"},
        {"method": "stbp", "time_steps": 2, "options": {"threshold": 1}},
        {"method": "stbp", "time_steps": 2, "options": {"threshold": 0.5}, "recipe": "long"},
        {"method": "snn2ann", "time_steps": 2, "mapping_unit": "stsu", "ata": False, "options": {"reset": "subtract"}},
        {"method": "snn2ann", "variant": "refined", "time_steps": 2, "options": {"shortcut": "spikes"}},
    )
    assert [run.changed for run in study.runs] == [
        {},
        {},
        {"threshold": 0.5, "recipe": "long"},
        {"ata_rate": 0.2, "reset": "subtract"},
        {"ata_rate": 0.2},
    ]
    assert study.runs[3].descriptor()["changed"] == study.runs[3].changed


def test_inference_is_timed_for_every_method_and_network_of_a_study(parameters: Parameters) -> None:
    study = resolve(parameters, "tiny")
    spec = study.inference_spec
    assert spec is not None
    assert [each["name"] for each in spec["methods"]] == ["ann", "stbp", "conversion", "snn2ann"]
    assert [(each["dataset"]["name"], each["network"]["name"]) for each in spec["places"]] == [("digits", "vgg-tiny")]
    assert study.study_json()["inference"] == f"inference-{study.inference_digest}.csv"
    # Neither a run's own options nor the evaluation are part of it.
    other = changed(parameters, "studies", "tiny", "runs", 1, "options", value={"threshold": 0.5})
    other = changed(other, "evaluation", "time_steps", value=2)
    assert resolve(other, "tiny").inference_digest == study.inference_digest
    none = resolve(changed(parameters, "inference", value=None), "tiny")
    assert none.inference_spec is None and none.study_json()["inference"] is None


def test_inference_is_timed_for_each_variant(parameters: Parameters) -> None:
    runs = [*parameters["studies"]["tiny"]["runs"], {"method": "snn2ann", "variant": "refined", "time_steps": 3}]
    spec = resolve(changed(parameters, "studies", "tiny", "runs", value=runs), "tiny").inference_spec
    assert spec is not None
    variants = [each["variant"] for each in spec["methods"] if each["name"] == "snn2ann"]
    assert variants == ["released", "refined"]
    assert [each["options"]["reset"] for each in spec["methods"] if each["name"] == "snn2ann"] == ["zero", "subtract"]


def test_names_and_specs_of_runs(parameters: Parameters) -> None:
    study = resolve(parameters, "tiny")
    ann, stbp, conversion, coupled = study.runs
    assert ann.name.startswith("digits_vgg-tiny_ann_s0-")
    assert stbp.name.startswith("digits_vgg-tiny_stbp_T2_s0-")
    assert conversion.source == conversion.spec["source"] == ann.name
    assert ann.spec["network"]["pooled_blocks"] == [1, 2]
    assert stbp.spec["method"]["options"] == METHODS["stbp"].defaults
    assert coupled.spec["method"]["options"]["mapping_unit"] == coupled.mapping_unit == "stsu"
    assert (coupled.ata, coupled.variant) == (True, "released")
    assert (ann.ata, ann.mapping_unit, ann.variant, ann.training_time_steps) == (None, None, None, None)
    assert ann.dataset_folder in study.datasets
    assert [run.calibration_spec is not None for run in study.runs] == [False, False, True, True]
    assert coupled.evaluation_spec["calibration"] == coupled.calibration_digest


def test_calibration_runs_at_the_training_time_steps(parameters: Parameters) -> None:
    study = with_runs(
        parameters,
        {"method": "ann"},
        {"method": "conversion", "calibrate": True},
        {"method": "snn2ann", "time_steps": 7, "calibrate": True},
    )
    _, conversion, coupled = study.runs
    assert conversion.calibration_spec is not None and conversion.calibration_spec["time_steps"] == 2
    assert coupled.calibration_spec is not None and coupled.calibration_spec["time_steps"] == 7


def test_lists_of_an_entry_are_a_product(parameters: Parameters) -> None:
    study = with_runs(
        parameters,
        {
            "method": "snn2ann",
            "time_steps": [4, 5],
            "mapping_unit": ["resu", "stsu"],
            "ata": [True, False],
            "seeds": [0],
        },
    )
    found = {(run.training_time_steps, run.mapping_unit, run.ata) for run in study.runs}
    assert found == {(steps, unit, ata) for steps in (4, 5) for unit in ("resu", "stsu") for ata in (True, False)}
    options = with_runs(parameters, {"method": "stbp", "time_steps": 2, "options": {"threshold": [0.5, 1]}})
    assert [run.spec["method"]["options"]["threshold"] for run in options.runs] == [0.5, 1]


def test_option_goes_before_method_goes_before_variant(parameters: Parameters) -> None:
    parameters = changed(parameters, "methods", "snn2ann", value={"ata_rate": 0.2, "ata_step": 0.3})
    entry = {"method": "snn2ann", "variant": "refined", "time_steps": 2, "options": {"ata_step": 0.4}}
    options = with_runs(parameters, entry).runs[0].spec["method"]["options"]
    assert (options["ata_rate"], options["ata_step"]) == (0.2, 0.4)
    assert options["shortcut"] == VARIANTS["refined"].shortcut


def test_cells_that_are_not_run_are_named(parameters: Parameters) -> None:
    study = with_runs(parameters, {"method": "ann"}, {"method": "stbp", "time_steps": 8, "run": False})
    assert [run.method for run in study.runs] == ["ann"]
    described = study.study_json()
    assert [run["training_time_steps"] for run in described["not_run"]] == [8]
    assert json.loads(json.dumps(described)) == described


@pytest.mark.parametrize(
    ("path", "value", "changes"),
    [
        (("recipes", "tiny", "epochs"), 2, {"ann", "stbp", "conversion", "snn2ann"}),
        (("networks", "vgg-tiny", "blocks"), [[4], [9]], {"ann", "stbp", "conversion", "snn2ann"}),
        (("datasets", "digits", "split_seed"), 1, {"ann", "stbp", "conversion", "snn2ann"}),
        (("methods", "stbp"), {"threshold": 0.5}, {"stbp"}),
        (("methods", "ann"), {}, set()),
        (("calibration", "target"), 0.5, set()),
        (("evaluation", "time_steps"), 9, set()),
        (("datasets", "digits", "local"), "/some/folder", set()),
        (("recipes", "tiny", "learning_rate"), 1e-2, set()),
        (("recipes", "tiny", "label_smoothing"), 0.0, set()),
    ],
)
def test_run_is_renamed_by_what_can_change_it(
    parameters: Parameters, path: tuple[str, ...], value: Any, changes: set[str]
) -> None:
    before = {run.method: run for run in resolve(parameters, "tiny").runs}
    after = {run.method: run for run in resolve(changed(parameters, *path, value=value), "tiny").runs}
    assert {method for method in before if before[method].name != after[method].name} == changes


def test_calibration_and_evaluation_have_digests_of_their_own(parameters: Parameters) -> None:
    def digests(study: Study) -> list[tuple[str | None, str]]:
        return [(run.calibration_digest, run.evaluation_digest) for run in study.runs]

    before = digests(resolve(parameters, "tiny"))
    calibrated = digests(resolve(changed(parameters, "calibration", "target", value=0.5), "tiny"))
    assert [old == new for old, new in zip(before, calibrated, strict=True)] == [True, True, False, False]
    evaluated = digests(resolve(changed(parameters, "evaluation", "time_steps", value=9), "tiny"))
    assert [old[0] == new[0] for old, new in zip(before, evaluated, strict=True)] == [True] * 4
    assert [old[1] == new[1] for old, new in zip(before, evaluated, strict=True)] == [False] * 4


def test_digest_of_a_study(parameters: Parameters, monkeypatch: pytest.MonkeyPatch) -> None:
    before = resolve(parameters, "tiny").digest
    assert resolve(copy.deepcopy(parameters), "tiny").digest == before
    assert resolve(changed(parameters, "tracking", "store", value="http://localhost:5000"), "tiny").digest == before
    for path, value in [
        (("report", "accuracy_margin"), 2.0),
        (("measurement", "rounds"), 5),
        (("evaluation", "time_steps"), 9),
        (("studies", "tiny", "runs"), [{"method": "ann"}]),
    ]:
        assert resolve(changed(parameters, *path, value=value), "tiny").digest != before
    monkeypatch.setattr("snn2ann.study._report_code", lambda: "other code")
    assert resolve(parameters, "tiny").digest != before


@pytest.mark.parametrize("room", ["report", "runs"])
def test_code_that_reads_runs_and_makes_tables_is_in_the_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parameters: Parameters, room: str
) -> None:
    for name in ("report", "runs", "training"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "module.py").write_text("before\n")
    monkeypatch.setattr("snn2ann.study.resources.files", lambda package: tmp_path)
    before = resolve(parameters, "tiny").digest
    (tmp_path / "training" / "module.py").write_text("after\n")
    assert resolve(parameters, "tiny").digest == before
    (tmp_path / room / "module.py").write_text("after\n")
    assert resolve(parameters, "tiny").digest != before


def test_study_without_a_measurement(parameters: Parameters) -> None:
    study = resolve(changed(parameters, "measurement", value=None), "tiny")
    assert study.measurement_spec is None
    assert study.study_json()["training_cost"] is None


def test_measured_methods_stand_at_each_time_step(parameters: Parameters) -> None:
    measurement = resolve(parameters, "tiny").measurement_spec
    assert measurement is not None
    found = [(method["name"], method["time_steps"]) for method in measurement["methods"]]
    assert found == [("ann", None), ("stbp", 2), ("stbp", 3), ("snn2ann", 2), ("snn2ann", 3)]


ENTRY = ("studies", "tiny", "runs", 1)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("sudies",), {}, "sudies: unknown key (value {}); did you mean 'studies'? allowed here: study, datasets,"),
        (("recipes", "tiny", "epoch"), 3, "recipes.tiny.epoch: unknown key (value 3); did you mean 'epochs'?"),
        (
            ("networks", "vgg-tiny", "dropuot"),
            0,
            "networks.vgg-tiny.dropuot: unknown key (value 0); did you mean 'dropout'?",
        ),
        (("measurement", "round"), 3, "measurement.round: unknown key (value 3); did you mean 'rounds'?"),
        (("report", "headline", "varian"), "x", "report.headline.varian: unknown key"),
        (
            ("datasets", "digits", "valid"),
            3,
            "datasets.digits.valid: unknown key (value 3); did you mean 'validation'?",
        ),
        (("recipes", "tiny", "epochs"), "ten", 'recipes.tiny.epochs: "ten" is not allowed; expected passes over the'),
        (("recipes", "tiny", "epochs"), 2.0, "recipes.tiny.epochs: 2.0 is not allowed; expected passes over the"),
        (
            ("recipes", "tiny", "learning_rate"),
            True,
            "learning_rate: true is not allowed; expected learning rate, a number",
        ),
        (
            ("recipes", "tiny", "learning_rate"),
            float("nan"),
            "learning_rate: NaN is not allowed; expected learning rate",
        ),
        (("recipes", "tiny", "optimizer"), "adm", '"adm" is not allowed; expected one of "adam", "adamw", "sgd"'),
        (("recipes", "tiny", "schedule"), {"kind": "one-cycle"}, "schedule.warmup: missing; needed here: warmup"),
        (("networks", "vgg-tiny", "kind"), "vg", "networks.vgg-tiny.kind: 'vg' is unknown; did you mean 'vgg'?"),
        (
            (*ENTRY, "time_steps"),
            0,
            "runs[1].time_steps: 0 is not allowed; expected T in training, or a list of different ones, an integer from",
        ),
        ((*ENTRY, "time_steps"), [5, 0], "runs[1].time_steps: [5, 0] is not allowed; expected T in training"),
        ((*ENTRY, "time_steps"), [5, 5], "runs[1].time_steps: [5, 5] is not allowed; expected T in training"),
        (
            ("evaluation", "time_steps"),
            -1,
            "evaluation.time_steps: -1 is not allowed; expected the largest T to evaluate",
        ),
        ((*ENTRY, "method"), "stb", "runs[1].method: 'stb' is unknown; did you mean 'stbp'? allowed: snn2ann, ann"),
        (
            (*ENTRY, "options"),
            {"treshold": 1},
            "runs[1].options.treshold: unknown key (value 1); did you mean 'threshold'? allowed here: threshold,",
        ),
        (
            (*ENTRY, "options"),
            {"threshold": "high"},
            'options.threshold: "high" is not allowed; expected threshold of every neuron',
        ),
        (
            (*ENTRY, "options"),
            {"detach_reset": 1},
            "options.detach_reset: 1 is not allowed; expected whether",
        ),
        ((*ENTRY, "ata"), True, "runs[1].ata: True is not allowed; method stbp has none"),
        (
            (*ENTRY, "calibrate"),
            True,
            "runs[1].calibrate: true is not allowed for method stbp; it is for snn2ann, conversion",
        ),
        ((*ENTRY, "networks"), ["vgg"], "runs[1].networks: 'vgg' is not in the study's networks"),
        ((*ENTRY, "recipe"), "tin", "runs[1].recipe: 'tin' is unknown; did you mean 'tiny'?"),
        (("studies", "tiny", "runs", 3, "mapping_unit"), "sts", "runs[3].mapping_unit: 'sts' is not allowed"),
        (
            ("studies", "tiny", "runs", 3, "variant"),
            "release",
            "variant: 'release' is unknown; did you mean 'released'?",
        ),
        (("studies", "tiny", "datasets"), ["digit"], "datasets: 'digit' is unknown; did you mean 'digits'?"),
        (("studies", "tiny", "networks"), ["vgg-tin"], "networks: 'vgg-tin' is unknown; did you mean 'vgg-tiny'?"),
        (("studies", "tiny", "seeds"), [0, 0], "seeds: [0, 0] is not allowed; expected a list of different integers"),
        (
            ("studies", "tiny", "runs"),
            [],
            "studies.tiny.runs: [] is not allowed; expected a list of at least one entry",
        ),
        (
            ("studies", "tiny", "runs", 0),
            {"method": "ann", "time_steps": 5},
            "time_steps: 5 is not allowed; method ann",
        ),
        (("studies", "tiny", "runs", 1), {"method": "stbp"}, "runs[1].time_steps: missing; method stbp is trained for"),
        (
            ("studies", "tiny", "runs", 3),
            {"method": "ann"},
            "runs[0] and studies.tiny.runs[3]: the run digits_vgg-tiny_ann_s0",
        ),
        (
            ("studies", "tiny", "runs", 0),
            {"method": "snn2ann", "time_steps": 9},
            "no such run; add {method: ann} for it",
        ),
        (
            ("studies", "tiny", "measurement"),
            {"round": 3},
            "studies.tiny.measurement.round: unknown key (value 3); did you mean 'rounds'?",
        ),
        (("studies",), {"Tiny": {}}, "studies.Tiny.title: missing; needed here: title"),
        (
            ("recipes",),
            {"Tiny": load_parameters(TINY)["recipes"]["tiny"]},
            'recipes: "Tiny" is not allowed; expected a name of lower-case letters and digits',
        ),
    ],
)
def test_mistake_is_named(parameters: Parameters, path: tuple[str | int, ...], value: Any, message: str) -> None:
    with pytest.raises(UserError) as caught:
        resolve(changed(parameters, *path, value=value), "tiny")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_key_is_named(parameters: Parameters) -> None:
    del parameters["studies"]["tiny"]["runs"]
    with pytest.raises(UserError, match=r"studies\.tiny\.runs: missing"):
        validate(parameters)


def test_unknown_study_is_named(parameters: Parameters) -> None:
    with pytest.raises(UserError, match="study: 'tny' is unknown; did you mean 'tiny'\\? allowed: tiny"):
        resolve(parameters, "tny")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("study: tiny\nruns: [1, 2\nrecipes: {}\n", "line 3"),
        ("study: a\nstudy: b\n", "line 2, column 1: not valid YAML: key 'study' stands twice"),
        ("- a\n", "no map of parameters"),
        ("", "no map of parameters"),
        ("a: !!python/object:os.system {}\n", "line 1"),
    ],
)
def test_file_that_is_no_map_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        load_parameters(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"absent\.yaml: cannot be read"):
        load_parameters(tmp_path / "absent.yaml")


def test_yaml_as_people_write_it(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("a: 1e-3\nb: {32: [1]}\nc: &c [1]\nd: *c\ne: 1.5e3\n")
    assert load_parameters(path) == {"a": 0.001, "b": {"32": [1]}, "c": [1], "d": [1], "e": 1500.0}
    assert load_parameters(path, {"b": {"64": 2}, "a": None})["b"] == {"32": [1], "64": 2}


values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**6), 10**6)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(values)
def test_digest_survives_a_round_through_files(value: Any) -> None:
    assert digest(value) == digest(json.loads(json.dumps(value)))
    if isinstance(value, dict):
        assert digest(value) == digest(dict(reversed(value.items())))


@given(
    st.dictionaries(st.text(max_size=3), values, max_size=3), st.dictionaries(st.text(max_size=3), values, max_size=3)
)
def test_merge_has_every_change(base: Parameters, changes: Parameters) -> None:
    merged = merge(base, changes)
    assert set(merged) == set(base) | set(changes)
    assert merge(merged, changes) == merged


def test_digest_tells_kinds_apart() -> None:
    different: list[Any] = [1, "1", True, None, [1], {"1": 1}, 1.5, "true", [], {}]
    assert len({digest(value) for value in different}) == len(different)
    assert digest(1) == digest(1.0)
    assert digest({"a": 1}) == "015abd7f"  # SHA-256 of {"a":1}


def test_resolving_loads_nothing_heavy() -> None:
    heavy = ("torch", "numpy", "pandas", "matplotlib", "mlflow", "sklearn")
    code = (
        "import sys; from snn2ann.study import load_parameters, resolve; "
        f"resolve(load_parameters({str(TINY)!r}), 'tiny'); print([m for m in {heavy} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_digest_is_the_same_in_another_process(parameters: Parameters) -> None:
    code = (
        "from snn2ann.study import load_parameters, resolve; "
        f"print(resolve(load_parameters({str(TINY)!r}), 'tiny').digest)"
    )
    here = resolve(parameters, "tiny").digest
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
        assert done.stdout.strip() == here
