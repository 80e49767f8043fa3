"""The authors' checkpoints as runs: synthetic files with every name of their demo, against a second writing of it."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor, nn
from typer.testing import CliRunner

from snn2ann.cli import app
from snn2ann.data.loading import PreparedDataset, load
from snn2ann.data.prepare import fetch_and_prepare
from snn2ann.errors import UserError
from snn2ann.evaluation.evaluate import evaluate
from snn2ann.files import read_json
from snn2ann.methods.build import build_model
from snn2ann.parameters import load_parameters
from snn2ann.runs.spec import read_spec
from snn2ann.study import resolve
from snn2ann.training import authors
from snn2ann.training.loop import plain_batches, train

ROOT = Path(__file__).parents[2]
PARAMETERS = load_parameters(ROOT / "params.yaml")
SMALL = {"vgg": "vgg-tiny", "resnet": "resnet-tiny"}
# (inputs, outputs, side, whether it is pooled) of each convolution of the small networks, by block.
VGG = [
    [(1, 16, 8, False), (16, 16, 8, True)],
    [(16, 32, 4, False), (32, 32, 4, True)],
    [(32, 64, 2, False), (64, 64, 2, False)],
]
# (inputs, outputs, side, stride) of each block.
RESNET = {"block11": (16, 16, 8, 1), "block21": (16, 32, 8, 2), "block31": (32, 64, 4, 2)}
State = dict[str, Tensor]


def _load_reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference", ROOT / "tests" / "method" / "reference.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


reference = _load_reference()


def weights(name: str, inputs: int, outputs: int, size: int) -> State:
    return {f"{name}.weight": torch.randn(outputs, inputs, size, size) / (inputs * size * size) ** 0.5} | {
        f"{name}.bias": torch.randn(outputs) * 0.1
    }


def norm(name: str, channels: int) -> State:
    return {
        f"{name}.weight": torch.rand(channels) + 0.5,
        f"{name}.bias": torch.randn(channels) * 0.3,
        f"{name}.running_mean": torch.randn(channels) * 0.3,
        f"{name}.running_var": torch.rand(channels) + 0.3,
        f"{name}.num_batches_tracked": torch.tensor(7),
    }


def thresholds(name: str, channels: int, side: int) -> State:
    return {f"{name}.Vth": torch.rand(1, channels, side, side)}


def vgg_file() -> State:
    """What the demo's VGG writes, in the order in which it makes its modules."""
    state: State = {}
    for number, block in enumerate(VGG, start=1):
        for position, (inputs, outputs, side, pooled) in enumerate(block, start=1):
            place = f"block{number}"
            state |= weights(f"{place}.conv{position}", inputs, outputs, 3) | norm(f"{place}.bn{position}", outputs)
            if pooled:
                state |= thresholds(f"{place}.w_conv{position}.pool_spike", outputs, side)
            state |= thresholds(f"{place}.w_conv{position}.spike", outputs, side // 2 if pooled else side)
    return state | {"cls.weight": torch.randn(10, 64 * 4), "cls.bias": torch.randn(10)}


def resnet_file() -> State:
    """What the demo's ResNet writes: every block has a shortcut's convolution, and neurons that are not run."""
    state = weights("cnn00", 1, 16, 3) | thresholds("w_cnn00.spike", 16, 8) | norm("bn00", 16)
    for place, (inputs, outputs, side, stride) in RESNET.items():
        after = side // stride
        state |= weights(f"{place}.conv1", inputs, outputs, 3) | norm(f"{place}.bn1", outputs)
        state |= weights(f"{place}.conv2", outputs, outputs, 3) | norm(f"{place}.bn2", outputs)
        state |= thresholds(f"{place}.w_conv1.spike", outputs, after) | thresholds(
            f"{place}.w_conv2.spike", outputs, after
        )
        state |= thresholds(f"{place}.IF", outputs, after)
        state |= weights(f"{place}.sample.conv1x1", inputs, outputs, 1) | norm(f"{place}.sample.bn", outputs)
        state |= thresholds(f"{place}.wsample.w_conv1x1.spike", outputs, after)
    return state | {"fc2.weight": torch.randn(10, 64 * 4), "fc2.bias": torch.randn(10)}


@pytest.fixture(params=["vgg", "resnet"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def state(kind: str) -> State:
    torch.manual_seed(1)
    return {"vgg": vgg_file, "resnet": resnet_file}[kind]()


def choice(kind: str, **changes: Any) -> authors.Choice:
    given: dict[str, Any] = {
        "dataset": "digits",
        "mapping_unit": "resu",
        "recipe": "digits",
        "network": SMALL[kind],
        "time_steps": 4,
    }
    return authors.Choice(**given | changes)


def imported(file: Path, content: Any, kind: str, **changes: Any) -> authors.Imported:
    torch.save(content, file)
    return authors.import_checkpoint(file, PARAMETERS, choice(kind, **changes), file.parent / "runs")


def convolution(state: State, name: str, stride: int = 1) -> nn.Conv2d:
    weight = state[f"{name}.weight"]
    module = nn.Conv2d(weight.shape[1], weight.shape[0], weight.shape[2], stride=stride, padding=weight.shape[2] // 2)
    module.load_state_dict({key: state[f"{name}.{key}"] for key in ("weight", "bias")})
    return module


def batch_norm(state: State, name: str) -> nn.BatchNorm2d:
    module = nn.BatchNorm2d(len(state[f"{name}.weight"])).eval()
    module.load_state_dict({key: state[f"{name}.{key}"] for key in module.state_dict()})
    return module


def units_of(state: State, kind: str) -> list[Any]:
    """The second writing's layers, of the file's own names."""
    units = []
    if kind == "vgg":
        for number, block in enumerate(VGG, start=1):
            for position, (*_, pooled) in enumerate(block, start=1):
                place = f"block{number}"
                layer = convolution(state, f"{place}.conv{position}"), batch_norm(state, f"{place}.bn{position}")
                units.append(reference.Unit(*layer, state[f"{place}.w_conv{position}.spike.Vth"], pooled))
        return units
    units = [reference.Unit(convolution(state, "cnn00"), batch_norm(state, "bn00"), state["w_cnn00.spike.Vth"])]
    for place, (inputs, outputs, _, stride) in RESNET.items():
        first = convolution(state, f"{place}.conv1", stride), batch_norm(state, f"{place}.bn1")
        units.append(reference.Unit(*first, state[f"{place}.w_conv1.spike.Vth"]))
        side = convolution(state, f"{place}.sample.conv1x1", stride), batch_norm(state, f"{place}.sample.bn")
        second = convolution(state, f"{place}.conv2"), batch_norm(state, f"{place}.bn2")
        units.append(reference.Unit(*second, state[f"{place}.IF.Vth"], side=None if inputs == outputs else side))
    return units


def second_writing(
    state: State, kind: str, images: Tensor, unit: str
) -> tuple[Tensor, Tensor, list[float], list[float]]:
    """Logits of both branches, spikes an image and noisy-spike rate of each layer, T = 4."""
    units, name = units_of(state, kind), {"vgg": "cls", "resnet": "fc2"}[kind]
    classifier = nn.Linear(64 * 4, 10)
    classifier.load_state_dict({key: state[f"{name}.{key}"] for key in ("weight", "bias")})
    rates: list[float] = []

    def counted(layer: Any, x: Tensor) -> None:
        rates.append(float(((x <= 0) & (layer.count > 0)).float().mean()))

    with torch.no_grad(), pytest.MonkeyPatch.context() as patch:
        # Where thresholds would be adjusted, rates are known.
        patch.setattr(reference, "adjust", counted)
        ann, snn = getattr(reference, kind)(units, classifier, images, 4, unit == "resu", True)
    return ann, snn, [float(layer.count.sum()) / len(images) for layer in units], rates


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    study = resolve(PARAMETERS, "digits")
    name = study.runs[0].dataset_folder
    spec = study.datasets[name]
    folder = tmp_path_factory.mktemp("digits") / name
    fetch_and_prepare(spec, folder.parent / "raw", folder)
    return load(folder)


@pytest.mark.parametrize("unit", ["resu", "stsu"])
def test_an_imported_run_is_evaluated_as_the_second_writing_of_the_demo_says(
    kind: str, unit: str, state: State, digits: PreparedDataset, tmp_path: Path
) -> None:
    made = imported(tmp_path / "file.pth", state, kind, mapping_unit=unit)
    job = {"time_steps": 4, "coupled_time_steps": 4, "batch_size": 1000}
    spec = read_spec(made.run.spec)
    evaluate(spec, job, digits, made.run.path, tmp_path / "evaluation.json", "cpu")
    entries = {
        (entry["checkpoint"], entry["split"]): entry for entry in read_json(tmp_path / "evaluation.json")["entries"]
    }
    entry = entries["selected", "test"]
    ((images, labels),) = plain_batches(digits, "test", 1000, None, "cpu")
    ann, snn, spikes, rates = second_writing(state, kind, images, unit)
    assert entry["accuracy"][3] == pytest.approx(float((snn.argmax(1) == labels).double().mean()), abs=0.006)
    assert entry["ann_accuracy"] == pytest.approx(float((ann.argmax(1) == labels).double().mean()), abs=0.006)
    assert [layer["spikes_per_image"][3] for layer in entry["layers"]] == pytest.approx(spikes, rel=1e-3)
    found = [layer["noisy_spike_rate"] for layer in entry["layers"]]
    assert found == pytest.approx(rates, abs=1e-3) and max(rates) > 0.01
    assert entries["last", "test"] == entry | {"checkpoint": "last"}


def test_every_tensor_of_a_file_is_run_or_named(kind: str, state: State, tmp_path: Path) -> None:
    made = imported(tmp_path / "file.pth", state, kind)
    unused = {name for names in made.unused.values() for name in names}
    if kind == "vgg":
        assert unused == {"block1.w_conv2.pool_spike.Vth", "block2.w_conv2.pool_spike.Vth"}
    else:
        expected = {f"{place}.{name}.Vth" for place in RESNET for name in ("w_conv2.spike", "wsample.w_conv1x1.spike")}
        assert unused == expected | {name for name in state if name.startswith("block11.sample.")}
    model = build_model(read_spec(made.run.spec))
    assert len(unused) + sum(map(len, model.network.named_state())) == len(state)
    assert read_json(made.run.training)["imported"]["unused"] == [
        name for names in made.unused.values() for name in names
    ]


@pytest.mark.parametrize("wrapped", ["state_dict", "net", "model", "model, state_dict", "data parallel", "uncounted"])
def test_a_file_may_wrap_its_tensors(kind: str, wrapped: str, state: State, tmp_path: Path) -> None:
    content: Any = state
    if wrapped == "data parallel":
        content = {"epoch": 200, "arch": "x", "state_dict": {f"module.{name}": value for name, value in state.items()}}
    elif wrapped == "uncounted":
        content = {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}
    else:
        for key in reversed(wrapped.split(", ")):
            content = {key: content, "best_prec1": torch.tensor(0.7)}
    plain, made = imported(tmp_path / "plain.pth", state, kind), imported(tmp_path / "file.pth", content, kind)
    assert plain.run.path != made.run.path
    assert plain.run.thresholds.read_bytes() == made.run.thresholds.read_bytes()
    if wrapped != "uncounted":
        assert plain.run.weights.read_bytes() == made.run.weights.read_bytes()


class Executed:
    """Would leave a mark if a reader made it."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return (exec, ("raise SystemExit('executed')",))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: {**state, "optimiser": Executed()}, "not a file of tensors, numbers and words alone"),
        (lambda state: [1, 2], "a map from name to tensor expected, alone or under state_dict, net, model; found list"),
        (lambda state: {"state_dict": {}}, "found nothing"),
        (lambda state: {**state, "block1": 3}, "tensors alone expected under a network's names; block1 hold"),
        (lambda state: {"features.0.weight": torch.zeros(1)}, "no network of the authors' demo: .* found features.0"),
        (lambda state: {**state, "block9.conv1.weight": torch.zeros(1)}, "block9.conv1.weight is not the network's"),
        (
            lambda state: {name: value for name, value in state.items() if name != "block1.bn1.bias"},
            r"\(block1.bn1.bias is missing\)",
        ),
        (
            lambda state: {**state, "cls.weight": torch.zeros(100, 256)},
            r"cls.weight is \[100, 256\], not \[10, 256\]\); name the data set",
        ),
        (lambda state: {**state, "cls.bias": torch.full((10,), torch.nan)}, "not finite .*: cls.bias"),
    ],
    ids=["executed", "list", "empty", "number", "another", "extra", "missing", "shape", "finite"],
)
def test_what_is_wrong_with_a_file_is_one_clear_line(change: Any, message: str, tmp_path: Path) -> None:
    torch.manual_seed(1)
    with pytest.raises(UserError, match=message) as raised:
        imported(tmp_path / "file.pth", change(vgg_file()), "vgg")
    assert str(tmp_path / "file.pth") in str(raised.value) and "\n" not in str(raised.value)
    assert not (tmp_path / "runs").exists()


def test_what_is_no_file_of_pytorch_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.pth: cannot be read"):
        authors.import_checkpoint(tmp_path / "nowhere.pth", PARAMETERS, choice("vgg"), tmp_path)
    (tmp_path / "page.pth").write_text("<html>the file server's page</html>")
    with pytest.raises(UserError, match=r"page\.pth: not a file of tensors"):
        authors.import_checkpoint(tmp_path / "page.pth", PARAMETERS, choice("vgg"), tmp_path)


def test_the_network_in_its_files_full_size_has_the_demos_names() -> None:
    for kind, count in ((authors.VGG, 13), (authors.RESNET, 17)):
        entry = {"method": "authors", "networks": [kind.network], "time_steps": kind.time_steps, "checkpoint": "0" * 8}
        studies = authors._study(PARAMETERS, entry, authors.Choice("cifar100", "stsu"))
        (run,) = resolve(PARAMETERS | {"studies": studies}, "imported-checkpoint").runs
        with torch.device("meta"):
            own = build_model(run.spec).network.named_state()
        names = [[kind.name_of(name) for name in part] for part in own]
        assert len(names[1]) == count and all(name.endswith(".Vth") for name in names[1])
        assert len({*names[0], *names[1]}) == len(own[0]) + len(own[1])
        assert run.spec["method"]["options"]["mapping_unit"] == "resu"


def study_with(entry: dict[str, Any]) -> dict[str, Any]:
    own = {"title": "Theirs", "datasets": ["digits"], "networks": ["vgg-tiny"], "seeds": [3, 4], "recipe": "digits"}
    return PARAMETERS | {"studies": {**PARAMETERS["studies"], "theirs": own | {"runs": [entry]}}}


def test_a_study_finds_the_run_by_the_entry_that_is_printed_and_does_not_train_it(
    tmp_path: Path, digits: PreparedDataset
) -> None:
    torch.manual_seed(1)
    torch.save(vgg_file(), tmp_path / "file.pth")
    command = ["import-checkpoint", str(tmp_path / "file.pth"), "--mapping-unit", "stsu", "--dataset", "digits"]
    command += [
        "--network",
        "vgg-tiny",
        "--recipe",
        "digits",
        "--params",
        str(ROOT / "params.yaml"),
        "--runs",
        str(tmp_path),
    ]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    *left, folder, printed = result.output.splitlines()
    entry = yaml.safe_load(printed.partition(": ")[2])
    (run,) = resolve(study_with(entry), "theirs").runs
    assert Path(folder) == tmp_path / run.name and (tmp_path / run.name / "weights.safetensors").exists()
    assert run.seed == 0 and run.mapping_unit == "stsu" and run.training_time_steps == 4
    assert len(left) == 1 and "block1.w_conv2.pool_spike.Vth, block2.w_conv2.pool_spike.Vth" in left[0]
    other = {**entry, "checkpoint": "0" * 8}
    assert resolve(study_with(other), "theirs").runs[0].name != run.name
    with pytest.raises(UserError, match="`snn2ann import-checkpoint FILE` makes the run"):
        train(run.spec, digits, tmp_path / "trained", "cpu")


def test_the_pages_study_is_one() -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "authors.md").read_text(), re.DOTALL)
    ((name, study),) = yaml.safe_load(block).items()
    runs = resolve(PARAMETERS | {"studies": {**PARAMETERS["studies"], name: study}}, name).runs
    assert [run.method for run in runs] == ["authors", "authors", "stbp"]
    assert all(run.recipe == authors.Choice("", "").recipe for run in runs)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (
            {"method": "authors", "time_steps": 4},
            r"theirs\.runs\[0\]\.checkpoint: missing; `snn2ann import-checkpoint FILE`",
        ),
        ({"method": "ann", "checkpoint": "0" * 8}, r"checkpoint: '00000000' is not allowed for ann; it is for authors"),
        ({"method": "authors", "time_steps": 4, "checkpoint": "0" * 8, "seeds": [3]}, r"seeds: \[3\] is not allowed"),
        ({"method": "authors", "time_steps": 4, "checkpoint": "file.pth"}, r"checkpoint: \"file.pth\" is not allowed"),
    ],
)
def test_an_entry_that_cannot_be_an_imported_run_is_refused(entry: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        resolve(study_with(entry), "theirs")
