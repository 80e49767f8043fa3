"""Training a network of one's own in one's own loop, and what a module has to bear: copies, saved states, devices, modes."""

import copy
import io
import pickle
import re
import runpy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import snn2ann
from snn2ann.method.coupled_network import CoupledNetwork
from tests.network.modules import Own, statistics_seen

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def images() -> Tensor:
    return torch.randn(4, 2, 8, 8, generator=torch.Generator().manual_seed(5))


def own(**arguments: object) -> CoupledNetwork:
    torch.manual_seed(0)
    return snn2ann.couple(statistics_seen(Own()), time_steps=4, **arguments)  # type: ignore[arg-type]


def test_the_example_learns_the_digits(capsys: pytest.CaptureFixture[str]) -> None:
    main = runpy.run_path(str(EXAMPLES / "couple_own_network.py"))["main"]
    assert main(epochs=6) > 80
    printed = capsys.readouterr().out
    branches = re.match(r"accuracy: ANN branch ([\d.]+) %, SNN branch ([\d.]+) %", printed)
    assert branches is not None and min(map(float, branches.groups())) > 80
    assert len(re.findall(r"spikes per image", printed)) == 3
    assert len(re.findall(r"after \d steps", printed)) == 8


def test_the_torchvision_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(EXAMPLES / "couple_torchvision.py"))["main"]()
    printed = capsys.readouterr().out
    assert re.findall(r"(\S+): loss [\d.]+, (\d+) layers", printed) == [("VGG-11", "8"), ("ResNet-18", "17")]


def test_gradients_reach_every_weight_of_ones_own_network(images: Tensor) -> None:
    coupled = own()
    cross_entropy(coupled(images), torch.arange(4)).backward()
    assert len(coupled.neurons) == 4
    without = [name for name, value in coupled.named_parameters() if value.grad is None or not value.grad.any()]
    # A bias before a BatchNorm has no effect, whatever it is.
    assert without == []


def test_a_price_on_spikes_is_its_mean_where_the_loop_says_nothing_of_progress(images: Tensor) -> None:
    def gradient(end: float, price: float, progress: float | None = None) -> Tensor:
        coupled = own(spike_penalty=price, spike_penalty_end=end)
        coupled.progress = coupled.progress if progress is None else progress
        (cross_entropy(coupled(images), torch.arange(4)) + coupled.price).backward()
        return torch.cat([value.grad.flatten() for value in coupled.parameters() if value.grad is not None])

    silent = gradient(end=0.0, price=4.0)
    torch.testing.assert_close(silent, gradient(end=1.0, price=2.0))
    assert not torch.allclose(silent, gradient(end=0.0, price=4.0, progress=0.0))


@pytest.mark.parametrize("image_shape", [None, (2, 8, 8)])
def test_a_network_without_parameters_is_coupled(image_shape: tuple[int, ...] | None, images: Tensor) -> None:
    plain = nn.Sequential(nn.ReLU(), nn.Flatten())
    coupled = snn2ann.couple(plain, time_steps=4, image_shape=image_shape, threshold_start=1.0)
    ann, snn = coupled.branches(images)
    assert torch.equal(ann, snn)
    assert coupled.thresholds()["0"].eq(1).sum() == 2 * 8 * 8


def test_the_networks_own_parameters_are_trained(images: Tensor) -> None:
    model = Own()
    coupled = snn2ann.couple(model, time_steps=4)
    assert [id(value) for value in coupled.parameters()] == [id(value) for value in model.parameters()]
    before = model.conv.weight.detach().clone()
    mean = model.deep_norm.running_mean.clone()  # type: ignore[union-attr]
    optimiser = torch.optim.SGD(model.parameters(), 0.1)
    cross_entropy(coupled(images), torch.arange(4)).backward()
    optimiser.step()
    assert not torch.equal(model.conv.weight, before)
    assert not torch.equal(model.deep_norm.running_mean, mean)  # type: ignore[arg-type]
    # It is still the ordinary network that it was.
    assert model(images).shape == (4, 4)


def test_evaluation_changes_nothing_and_gives_the_snn(images: Tensor) -> None:
    coupled = own(threshold_start=0.1, ata_rate=0.0)
    coupled(images)
    coupled.eval()
    before = copy.deepcopy(coupled.state_dict())
    logits = coupled(images)
    ann, snn = coupled.branches(images)
    assert ann.requires_grad and not logits.requires_grad and torch.equal(logits, snn)
    assert len(logits.unique(dim=0)) == 4
    assert all(torch.equal(value, before[name]) for name, value in coupled.state_dict().items())
    coupled.train()(images)
    moved = [name for name, value in coupled.state_dict().items() if not torch.equal(value, before[name])]
    assert any(name.endswith("threshold") for name in moved) and any("running_mean" in name for name in moved)


def test_a_network_given_in_evaluation_mode_stays_in_it(images: Tensor) -> None:
    model = Own().eval()
    coupled = snn2ann.couple(model, time_steps=4, image_shape=(2, 8, 8))
    assert not any(module.training for module in coupled.modules() if module not in list(coupled.neurons.modules()))
    assert not coupled(images).requires_grad
    assert coupled.train()(images).requires_grad and model.training


def test_a_batchnorm_kept_in_evaluation_keeps_its_statistics(images: Tensor) -> None:
    for statistics in ("running", "batch"):
        coupled = own(statistics=statistics)
        norms = [module for module in coupled.modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)]
        for norm in norms:
            norm.eval()
        before = [copy.deepcopy(norm.running_mean) for norm in norms]
        coupled(images).sum().backward()
        assert all(torch.equal(norm.running_mean, old) for norm, old in zip(norms, before, strict=True))  # type: ignore[arg-type]


def test_frozen_parameters_stay_without_gradient(images: Tensor) -> None:
    coupled = own()
    assert isinstance(coupled.model, Own)
    frozen = [*coupled.model.conv.parameters(), *coupled.model.deep_norm.parameters()]
    for value in frozen:
        value.requires_grad_(False)
    cross_entropy(coupled(images), torch.arange(4)).backward()
    assert all(value.grad is None for value in frozen)
    assert coupled.model.hidden.weight.grad is not None


def test_states_are_loaded_before_and_after_the_first_images(images: Tensor) -> None:
    trained = own(threshold_start="uniform")
    trained(images)
    state = copy.deepcopy(trained.state_dict())
    expected = trained.eval()(images)
    for first in (False, True):
        fresh = own()
        if first:
            fresh(images + 1)
        fresh.load_state_dict(state)
        torch.testing.assert_close(fresh.eval()(images), expected)
    empty = own().state_dict()
    fresh.load_state_dict(empty)
    with pytest.raises(RuntimeError, match="before the first images"):
        fresh.spiking()
    with pytest.raises(RuntimeError, match="size mismatch"):
        own(image_shape=(2, 12, 12)).load_state_dict(state)


def test_thresholds_made_at_once_are_those_made_by_the_first_images(images: Tensor) -> None:
    at_once, later = own(image_shape=(2, 8, 8)), own()
    before = copy.deepcopy(later.model.state_dict())
    assert all(torch.equal(value, before[name]) for name, value in at_once.model.state_dict().items())
    assert at_once.training
    later.eval()(images)
    shapes = [[tuple(value.shape) for value in coupled.neurons.state_dict().values()] for coupled in (at_once, later)]
    assert shapes[0] == shapes[1] == [(1, 6, 8, 8), (1, 6, 8, 8), (1, 6, 4, 4), (1, 24)]


@pytest.mark.parametrize("way", ["copied", "pickled", "saved"])
def test_a_copy_is_trained_apart(way: str, images: Tensor) -> None:
    coupled = own()
    coupled(images)
    if way == "saved":
        file = io.BytesIO()
        torch.save(coupled, file)
        file.seek(0)
        other = torch.load(file, weights_only=False)
    else:
        other = copy.deepcopy(coupled) if way == "copied" else pickle.loads(pickle.dumps(coupled))
    torch.testing.assert_close(other.eval()(images), coupled.eval()(images))
    before = coupled(images)
    other.train()
    other(images).sum().backward()
    torch.optim.SGD(other.parameters(), 1.0).step()
    torch.testing.assert_close(coupled(images), before, rtol=0, atol=0)
    assert all(value.grad is None for value in coupled.parameters())


def test_thresholds_go_where_the_network_goes(images: Tensor) -> None:
    early, late = own(threshold_start=0.5).double(), own(threshold_start=0.5)
    late(images)
    late.double()
    for coupled in (early, late):
        assert coupled(images.double()).dtype == torch.float64
        assert all(value.dtype == torch.float64 for value in coupled.neurons.state_dict().values())
    device = own().to("meta")
    assert device(images.to("meta")).device.type == "meta"
    assert all(value.device.type == "meta" for value in device.neurons.state_dict().values())


def test_autocast_keeps_membranes_in_single_precision(images: Tensor) -> None:
    coupled = own(threshold_start=0.5)
    exact = coupled.eval().branches(images)
    coupled.train()
    with torch.autocast("cpu", torch.bfloat16):
        logits = coupled(images)
    cross_entropy(logits.float(), torch.arange(4)).backward()
    assert logits.dtype in (torch.bfloat16, torch.float32) and all(
        value.dtype == torch.float32 for value in coupled.neurons.state_dict().values()
    )
    assert all(value.grad is not None and bool(value.grad.isfinite().all()) for value in coupled.parameters())
    assert len(exact) == 2


def test_a_convolution_used_twice_has_neurons_twice(images: Tensor) -> None:
    torch.manual_seed(0)
    convolution, relu = nn.Conv2d(2, 2, 3, padding=1), nn.ReLU()
    model = nn.Sequential(convolution, relu, convolution, relu, nn.Flatten())
    coupled = snn2ann.couple(model, time_steps=3, threshold_start=0.1)
    coupled(images).sum().backward()
    assert list(coupled.neurons) == ["_1", "_1_1"] and convolution.weight.grad is not None
    torch.testing.assert_close(coupled.eval().spiking()(images), coupled(images))


def test_layers_keep_counts_as_bytes_for_backward(images: Tensor) -> None:
    torch.manual_seed(0)
    layers = [nn.Sequential(nn.Conv2d(2, 2, 3, padding=1, bias=False), nn.ReLU()) for _ in range(5)]
    coupled = snn2ann.couple(nn.Sequential(*layers, nn.Flatten()), 3, threshold_start=0.1, image_shape=(2, 8, 8))
    kept: list[Tensor] = []

    def keep(value: Tensor) -> Tensor:
        kept.append(value)
        return value

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
        coupled(images)
    # The image, and of each layer its counts and where they have a gradient.
    shown = [value.dtype for value in kept if value.shape == images.shape]
    assert shown.count(torch.float32) == 1 and shown.count(torch.uint8) == 4 and shown.count(torch.bool) == 5


def test_single_operations_keep_counts_as_bytes_for_backward(images: Tensor) -> None:
    torch.manual_seed(0)
    layers = [nn.Sequential(nn.Conv2d(2, 2, 3, padding=1, groups=2, bias=False), nn.ReLU()) for _ in range(5)]
    coupled = snn2ann.couple(nn.Sequential(*layers, nn.Flatten()), 3, threshold_start=0.1)
    logits = coupled(images)
    convolutions, waiting = [], [logits.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is not None:
            convolutions += [node] if node.name() == "ConvolutionBackward0" else []
            waiting += [before for before, _ in node.next_functions]
    assert len(convolutions) == 5
    for number, node in enumerate(reversed(convolutions)):
        # What is kept as it is comes back as the same memory, what is kept as bytes is made dense anew.
        one, other = node._saved_input, node._saved_input
        assert torch.equal(one, other) and (one.data_ptr() == other.data_ptr()) == (number == 0)
    logits.sum().backward()


def test_reports_name_layers_spikes_and_noise(images: Tensor) -> None:
    coupled = own(threshold_start=0.05)
    with pytest.raises(RuntimeError, match="before the first images"):
        coupled.layers()
    coupled(images)
    reports = coupled.layers()
    assert [report.name for report in reports] == ["relu", "relu_1", "relu_1:2", "relu_2"]
    assert [report.neurons for report in reports] == [384, 384, 96, 24]
    assert all(0 < report.spikes_per_image <= 4 * report.neurons for report in reports)
    assert all(report.noisy_spike_rate is not None and 0 <= report.noisy_spike_rate <= 1 for report in reports)
    coupled.eval()(images)
    assert all(report.noisy_spike_rate is None for report in coupled.layers())


def test_the_package_offers_it_and_says_what_it_lacks() -> None:
    assert snn2ann.couple.__name__ == "couple"
    with pytest.raises(AttributeError, match="uncouple"):
        snn2ann.uncouple  # noqa: B018
