"""Networks of torchvision and of one's own, from params.yaml to a trained and evaluated run."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from snn2ann.cli import app
from snn2ann.data.loading import PreparedDataset, load
from snn2ann.data.prepare import fetch_and_prepare
from snn2ann.engine.network import Network
from snn2ann.errors import UserError
from snn2ann.evaluation.calibrate import calibrate
from snn2ann.evaluation.evaluate import evaluate
from snn2ann.files import read_json
from snn2ann.methods import METHODS
from snn2ann.models.building import build_network
from snn2ann.runs.folder import calibrated_thresholds
from snn2ann.study import Study, load_parameters, resolve
from snn2ann.training.check import check_networks
from snn2ann.training.loop import train

PARAMETERS = Path(__file__).parents[1] / "workflow" / "params.yaml"
# Grouped convolution, concatenation, an average after the ReLU, a hidden linear layer with dropout, a global average.
OWN = """
import torch
from torch import nn


class Own(nn.Module):
    def __init__(self, channels, width, classes):
        super().__init__()
        first = nn.Conv2d(channels, width, 3, padding=1)
        self.stem = nn.Sequential(first, nn.BatchNorm2d(width), nn.ReLU(), nn.AvgPool2d(2))
        self.left = nn.Sequential(nn.Conv2d(width, width, 3, padding=1, groups=2), nn.BatchNorm2d(width), nn.ReLU())
        self.right = nn.Sequential(nn.Conv2d(width, width, 1), nn.BatchNorm2d(width), nn.ReLU())
        self.hidden = nn.Sequential(nn.Linear(2 * width * 16, 24), nn.BatchNorm1d(24), nn.Dropout(0.2), nn.ReLU())
        self.head = nn.Linear(24, classes)

    def forward(self, images):
        x = self.stem(images)
        return self.head(self.hidden(torch.cat([self.left(x), self.right(x)], 1).flatten(1)))


def make_network(image_shape, classes, width):
    return Own(image_shape[0], width, classes)
"""


def study_with(network: dict[str, Any], methods: list[str], **changes: Any) -> Study:
    """The tiny study on one network, with these methods."""
    parameters = load_parameters(PARAMETERS)
    parameters["networks"]["mine"] = network
    runs = [
        {"method": name}
        | ({"time_steps": 2} if METHODS[name].time_steps else {})
        | ({"calibrate": True} if name in ("snn2ann", "conversion") else {})
        for name in methods
    ]
    parameters["studies"]["tiny"] |= {"networks": ["mine"], "runs": runs}
    parameters["measurement"] = None
    return resolve(parameters | changes, "tiny")


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A project folder with a network in a file of its own."""
    folder = tmp_path / "project"
    (folder / "my_networks").mkdir(parents=True)
    (folder / "my_networks" / "small.py").write_text(OWN)
    monkeypatch.chdir(folder)
    return {"kind": "module", "path": "my_networks.small:make_network", "width": 6}


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, PreparedDataset]:
    study = study_with({"kind": "torchvision", "name": "resnet18"}, ["ann"])
    ((name, spec),) = study.datasets.items()
    folder = tmp_path_factory.mktemp("digits") / name
    fetch_and_prepare(spec, folder.parent / "raw", folder)
    return name, load(folder)


def test_every_method_trains_and_is_evaluated_on_a_network_of_ones_own(
    own: dict[str, Any], digits: tuple[str, PreparedDataset], tmp_path: Path
) -> None:
    study = study_with(own, [name for name, entry in METHODS.items() if not entry.imported])
    check_networks(study)
    for run in sorted(study.runs, key=lambda run: run.source is not None):
        folder = tmp_path / run.name
        train(run.spec, digits[1], folder, "cpu", tmp_path / run.source if run.source else None)
        calibrated = None
        if run.calibration_spec:
            calibrate(run.spec, run.calibration_spec, digits[1], folder, folder / "calibration-1.json", "cpu")
            calibrated = calibrated_thresholds(folder / "calibration-1.json")
        evaluate(run.spec, run.evaluation_spec, digits[1], folder, folder / "evaluation.json", "cpu", calibrated)
        entry = read_json(folder / "evaluation.json")["entries"][0]
        if run.method == "ann":
            assert entry["multiply_accumulates"] > 0
            continue
        assert [layer["name"] for layer in entry["layers"]] == ["stem.2", "left.2", "right.2", "hidden.3"]
        assert sum(entry["spikes_per_image"]) > 0 and entry["synaptic_operations"][-1] > 0
        # What the averages of the first layer meet is multiplied, and dearer than what spikes meet.
        assert (
            entry["energy"][-1] > 4.6e-12 * entry["multiply_accumulates"] + 0.9e-12 * entry["synaptic_operations"][-1]
        )


def test_the_content_of_its_file_is_part_of_a_runs_name(own: dict[str, Any]) -> None:
    (before,) = study_with(own, ["ann"]).runs
    assert study_with(own, ["ann"]).runs[0].name == before.name
    file = Path("my_networks/small.py")
    file.write_text(file.read_text() + "\n# another\n")
    assert study_with(own, ["ann"]).runs[0].name != before.name


def test_a_torchvision_model_takes_the_images_channels_and_a_small_stem() -> None:
    def built(**options: Any) -> nn.Module:
        specification = {"name": "x", "kind": "torchvision", "model": "resnet18", "torchvision": "1", **options}
        return build_network(specification, (1, 28, 28), 7)

    own, small = built(), built(stem="small")
    images = torch.rand(2, 1, 28, 28)
    assert own(images).shape == small(images).shape == (2, 7)
    assert own.get_submodule("conv1").kernel_size == (7, 7) and small.get_submodule("conv1").stride == (1, 1)
    sizes = []
    for module in (own, small):
        sizes.append(Network(module, (1, 28, 28)).by_label()["relu"].threshold.shape[-1])
    # 28 pixels: halved by the convolution and again by the pooling, or whole.
    assert sizes == [7, 28]


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"kind": "torchvision", "name": "resnet19"}, "no model 'resnet19'; did you mean 'resnet1"),
    ({"kind": "torchvision", "name": "resnet18", "depth": 3}, "resnet18 cannot be built: .*depth"),
    ({"kind": "torchvision", "name": "resnet18", "weights": "DEFAULT"}, "weights: trained weights are not loaded"),
    ({"kind": "torchvision", "name": "vgg11_bn"}, "images of 1×8×8 do not go through the network"),
    ({"kind": "torchvision", "name": "mobilenet_v2"}, r"features.0.2 \(ReLU6\) and 34 more: only a ReLU's"),
    ({"kind": "module", "path": "my_networks.small:missing"}, "makes no network: AttributeError"),
    ({"kind": "module", "path": "my_networks.small:make_network"}, "makes no network: TypeError.*width"),
]


@pytest.mark.parametrize(("network", "message"), REFUSED, ids=lambda value: str(value)[:40])
def test_a_network_that_cannot_be_run_is_refused_by_name(
    network: dict[str, Any], message: str, own: dict[str, Any]
) -> None:
    with pytest.raises(UserError, match=f"(?s)^networks.mine: .*{message}") as error:
        check_networks(study_with(network, ["ann"]))
    assert "Traceback" not in str(error.value) and len(str(error.value).splitlines()) < 5


def test_batches_that_a_batchnorm_cannot_normalise_are_refused_before_any_job(own: dict[str, Any]) -> None:
    study = study_with(own | {"width": 6}, ["ann"])
    study.runs[0].spec["recipe"]["batch_size"] = 1
    with pytest.raises(
        UserError, match=r"networks.mine: a BatchNorm .* batch_size: 1 is not allowed.*expected 2 or more"
    ):
        check_networks(study)


def test_check_names_all_networks_that_cannot_be_run(own: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    import yaml
    from typer.testing import CliRunner

    parameters = load_parameters(PARAMETERS)
    parameters["networks"] |= {
        "one": {"kind": "torchvision", "name": "mobilenet_v2"},
        "two": {"kind": "torchvision", "name": "vgg11"},
    }
    parameters["studies"]["tiny"]["networks"] = ["vgg-tiny", "one", "two"]
    Path("params.yaml").write_text(yaml.safe_dump(parameters))
    done = CliRunner().invoke(app, ["check"])
    assert done.exit_code != 0
    assert isinstance(done.exception, UserError)
    assert "networks.one: " in str(done.exception) and "networks.two: " in str(done.exception)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ({"kind": "module", "path": "no.such.file:make"}, "networks.mine.path: .*no file no/such/file.py"),
        ({"kind": "module", "path": "file.py"}, "networks.mine.path: .*package.file:function"),
        ({"kind": "module"}, "networks.mine.path: missing"),
        ({"kind": "torchvision"}, "networks.mine.name: missing"),
        ({"kind": "torchvision", "name": "resnet18", "stem": "tiny"}, 'stem: .*"own", "small"'),
    ],
)
def test_what_params_yaml_says_wrongly_is_said_at_once(network: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        study_with(network, ["ann"])
