"""Layers run spike by spike against plain PyTorch: the same bits where sums are exact, and else the same to rounding."""

import copy
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.functional import cross_entropy

from snn2ann.engine import events
from snn2ann.engine.dropout import draw_bits
from snn2ann.engine.events import Neurons
from snn2ann.engine.neuron import integrate_and_fire
from snn2ann.engine.signals import Observation
from snn2ann.evaluation.memory import saved_for_backward
from snn2ann.methods.snn2ann import Snn2Ann
from tests.stages import layers_of, of_layers

LABELS = torch.tensor([0, 1, 2, 3, 4, 0])
RELAXED = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(autouse=True)
def small_layers_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "FEWEST_CHANNELS", 1)
    monkeypatch.setattr(events, "FEWEST_POSITIONS", 1)


def eighths(*shape: int, limit: int = 8) -> Tensor:
    """Multiples of 1/8: their sums are exact in any order."""
    return torch.randint(-limit, limit + 1, shape) / 8


def exact_convolution(inputs: int, outputs: int, kernel: int, stride: int) -> nn.Conv2d:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2).requires_grad_(False)
    convolution.weight.copy_(eighths(*convolution.weight.shape))
    return convolution


geometries = st.fixed_dictionaries(
    {
        "inputs": st.integers(1, 40),
        "outputs": st.sampled_from([1, 15, 16, 33, 64, 96, 130]),
        "kernel": st.sampled_from([1, 3, 5]),
        "stride": st.sampled_from([1, 2]),
    }
)


@RELAXED
@given(
    seed=st.integers(0, 2**31),
    geometry=geometries,
    steps=st.integers(1, 6),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    rate=st.sampled_from([0.0, 0.2, 1.0]),
)
def test_convolving_events_equals_a_dense_convolution(
    seed: int, geometry: dict[str, int], steps: int, height: int, width: int, rate: float
) -> None:
    torch.manual_seed(seed)
    convolution = exact_convolution(**geometry)
    spikes = torch.rand(steps, 2, geometry["inputs"], height, width) < rate

    def densely(value: Tensor) -> Tensor:
        merged = value.float().flatten(0, 1)
        convolved = functional.conv2d(merged, convolution.weight, None, convolution.stride, convolution.padding)
        return convolved.unflatten(0, value.shape[:2])

    assert torch.equal(events.convolve(spikes.byte(), convolution), densely(spikes))
    counts = spikes.sum(0, dtype=torch.uint8)[None]
    assert torch.equal(events.convolve(counts, convolution, repeat=True), densely(counts))


@pytest.mark.parametrize("subtract", [False, True])
@pytest.mark.parametrize("pool", [False, True])
@pytest.mark.parametrize("start", [0.0, 0.5])
@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize("size", [(8, 8), (5, 7)])
def test_neurons_equal_those_in_plain_pytorch_bit_by_bit(
    subtract: bool, pool: bool, start: float, dropout: float, size: tuple[int, int]
) -> None:
    torch.manual_seed(1)
    steps, samples, outputs = 5, 3, 40
    convolution = exact_convolution(20, outputs, 3, 1)
    spikes = torch.rand(steps, samples, 20, *size) < 0.2
    scale, bias, addend = eighths(outputs), eighths(outputs), eighths(steps, samples, outputs, *size)
    sums = functional.conv2d(spikes.float().flatten(0, 1), convolution.weight, None, padding=1)
    sums = sums.unflatten(0, (steps, samples))
    currents = sums * scale.view(-1, 1, 1) + bias.view(-1, 1, 1) + addend
    fed = functional.max_pool2d(currents.flatten(0, 1), 2).unflatten(0, (steps, samples)) if pool else currents
    threshold = torch.rand(1, outputs, *fed.shape[-2:])
    torch.manual_seed(2)
    expected = integrate_and_fire(
        fed,
        threshold,
        reset="subtract" if subtract else "zero",
        membrane_start=start,
        membrane_dropout=dropout,
    )
    torch.manual_seed(2)
    bits = draw_bits(torch.Size((samples, *threshold.shape[1:])), steps - 1, fed.device) if dropout else None
    neurons = Neurons(threshold, subtract, start, bits, dropout)
    fired = events.fire(spikes.byte(), convolution, scale, bias, addend, neurons, total=True, currents=not pool)
    assert 0.05 < expected.mean() < 0.95
    assert torch.equal(fired.spikes.float(), expected)
    assert torch.equal(fired.count.float(), expected.sum(0))
    assert fired.total is not None
    assert torch.equal(fired.total, sums.sum(0))
    assert pool or torch.equal(torch.as_tensor(fired.currents), currents)
    on_sums = events.integrate(sums, scale, bias, addend, neurons, steps)
    assert torch.equal(on_sums.spikes, fired.spikes)


def test_a_constant_current_is_every_steps() -> None:
    torch.manual_seed(0)
    current, threshold = torch.randn(2, 6, 4, 4), torch.rand(1, 6, 4, 4)
    fired = events.integrate(current[None], torch.ones(6), torch.zeros(6), None, Neurons(threshold, False), 7)
    assert torch.equal(fired.spikes.float(), integrate_and_fire(current.expand(7, *current.shape), threshold))


def test_a_changed_weight_is_seen() -> None:
    convolution = exact_convolution(3, 4, 3, 1)
    spikes = torch.ones(1, 1, 3, 4, 4, dtype=torch.uint8)
    before = events.convolve(spikes, convolution)
    assert torch.equal(events.convolve(spikes, convolution), before)
    convolution.weight.mul_(2)
    assert torch.equal(events.convolve(spikes, convolution), 2 * before)
    convolution.weight.data = convolution.weight.data * 2
    assert torch.equal(events.convolve(spikes, convolution), 4 * before)


def make_exact(model: Snn2Ann) -> None:
    """Weights, biases and running statistics with which every current of the SNN branch is exact (T a power of two)."""
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Conv2d | nn.BatchNorm2d):
                for parameter in module.parameters():
                    parameter.copy_(eighths(*parameter.shape, limit=4))
            if isinstance(module, nn.BatchNorm2d):
                assert module.running_mean is not None and module.running_var is not None
                module.running_mean.copy_(eighths(*module.running_mean.shape))
                module.running_var.fill_(1 - module.eps)
                module.weight.fill_(1)


def both_ways(model: Snn2Ann, images: Tensor, steps: int = 1) -> list[tuple[Snn2Ann, list[Observation]]]:
    """Train a copy by events and one densely, from the same seed."""
    found = []
    for by_events in (True, False):
        twin = copy.deepcopy(model)
        seen: list[Observation] = []
        twin.event_driven = by_events
        torch.manual_seed(0)
        for _ in range(steps):
            twin.training_step(images, LABELS, cross_entropy, of_layers(seen.append)).loss.backward()
        found.append((twin, seen))
    return found


@pytest.fixture(params=["events", "triton"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each way that is not densely; Triton's kernels are interpreted where there is no GPU."""
    monkeypatch.setenv("SNN2ANN_ENGINE", request.param)
    if request.param == "triton":
        pytest.importorskip("triton", reason="Triton has no wheel for this platform")
    return str(request.param)


@pytest.mark.parametrize("kind", ["vgg", "resnet"])
@pytest.mark.parametrize(
    "options",
    [
        {"mapping_unit": "resu"},
        {"mapping_unit": "stsu", "reset": "subtract"},
        {"shortcut": "spikes", "noisy_spikes": "before_dropout"},
        {"gradient": "window", "membrane_start": 0.5},
    ],
)
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_a_network_trains_the_same_either_way(
    engine: str, kind: str, options: dict[str, Any], dropout: float, build: Any, images: Tensor
) -> None:
    model = build(kind, 4, membrane_dropout=dropout, **options)
    make_exact(model)
    for layer in layers_of(model):
        assert layer.fire.dropout is not None
        layer.fire.dropout.p = dropout
        layer.fire.neurons.threshold.mul_(2)
    images = (images * 8).round() / 8
    (by_events, seen), (densely, expected) = both_ways(model, images)
    ways = {layer.fire.neurons.way for layer in layers_of(by_events)}
    assert ways == {"by events" if engine == "events" else "by Triton's kernels"}
    for one, other in zip(seen, expected, strict=True):
        # A GPU's convolutions take them as they are.
        assert one.outgoing.value.dtype == (torch.uint8 if engine == "events" else torch.float32)
        assert other.outgoing.value.dtype == torch.float32
        assert torch.equal(one.outgoing.value.float(), other.outgoing.value)
        torch.testing.assert_close(one.pre_activation, other.pre_activation, atol=1e-5, rtol=1e-4)
    assert any(observation.noisy_spike_rate > 0 for observation in expected if observation.noisy_spike_rate is not None)
    for (name, ours), plain in zip(by_events.named_parameters(), densely.parameters(), strict=True):
        assert ours.grad is not None and plain.grad is not None
        torch.testing.assert_close(ours.grad, plain.grad, atol=1e-5, rtol=1e-3, msg=name)
    for held, expected_held in zip(by_events.buffers(), densely.buffers(), strict=True):
        torch.testing.assert_close(held, expected_held, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("kind", ["vgg", "resnet"])
def test_batch_statistics_either_way(engine: str, kind: str, build: Any, images: Tensor) -> None:
    model = build(kind, 4, statistics="batch")
    (by_events, seen), (densely, expected) = both_ways(model, images)
    # Statistics of a batch are not exact, so that a current may fall on the other side of a threshold.
    differing = sum(float((a.outgoing.value != b.outgoing.value).sum()) for a, b in zip(seen, expected, strict=True))
    assert differing <= 1e-3 * sum(float(b.outgoing.value.sum()) for b in expected)
    for one, other in zip(by_events.parameters(), densely.parameters(), strict=True):
        assert one.grad is not None and other.grad is not None
        torch.testing.assert_close(one.grad, other.grad, atol=1e-3, rtol=1e-2)


@pytest.mark.parametrize("kind", ["vgg", "resnet"])
@pytest.mark.parametrize("variant", ["released", "refined"])
@pytest.mark.parametrize("time_steps", [2, 4, 8])
def test_a_trained_network_runs_the_same_either_way(
    kind: str, variant: str, time_steps: int, build: Any, images: Tensor
) -> None:
    model = build(kind, 4, variant).eval()
    make_exact(model)
    images = (images * 8).round() / 8
    found = []
    for by_events in (True, False):
        model.event_driven = by_events
        found.append((model.spiking_forward(images, time_steps), model.coupled_forward(images, time_steps)))
    (alone, branches), (expected_alone, expected_branches) = found
    assert expected_alone.abs().sum() > 0
    assert torch.equal(alone, expected_alone)
    torch.testing.assert_close(branches, expected_branches, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("by_events", [True, False])
def test_backward_needs_less_than_a_plain_ann_at_any_t(by_events: bool, build: Any, images: Tensor) -> None:
    saved = {}
    for time_steps in (4, 16):
        model = build("resnet", time_steps)
        model.event_driven = by_events
        saved[time_steps] = saved_for_backward(model, partial(model.training_step, images, LABELS, cross_entropy))
    plain = saved_for_backward(model, lambda: cross_entropy(model.ann_forward(images), LABELS))
    assert saved[16] == saved[4]
    assert saved[4] < 0.9 * plain


def test_large_layers_on_a_cpu_are_run_by_events_and_others_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    large, threshold = nn.Conv2d(64, 64, 3, padding=1), torch.empty(1, 64, 8, 8)
    assert events.unsuited(large, threshold, 5) == ""
    assert "channels" in events.unsuited(nn.Conv2d(64, 32, 3), threshold[:, :32], 5)
    assert "positions" in events.unsuited(large, threshold[..., :2, :2], 5)
    assert "float64" in events.unsuited(nn.Conv2d(64, 64, 3).double(), threshold, 5)
    assert "float64" in events.unsuited(large, threshold.double(), 5)
    assert "meta" in events.unsuited(large, threshold.to("meta"), 5)
    assert "byte" in events.unsuited(large, threshold, 256)
    for other in (nn.Conv2d(64, 64, (3, 1)), nn.Conv2d(64, 64, 3, stride=(1, 2)), nn.Conv2d(64, 64, 3, padding=(1, 0))):
        assert "square" in events.unsuited(other, threshold, 5)
