"""Triton's kernels, run by its interpreter, against plain PyTorch: the same bits."""

import importlib
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from snn2ann.engine.dropout import Dropout, draw_bits
from snn2ann.engine.events import Neurons
from snn2ann.engine.neuron import integrate_and_fire
from snn2ann.engine.pooling import pool_charge
from snn2ann.method.mapping import map_spikes, noisy_spike_rate

triton = pytest.importorskip("triton", reason="Triton has no wheel for this platform")
fused = importlib.import_module("snn2ann.engine.fused")
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


@pytest.fixture(autouse=True)
def on_the_device() -> Iterator[None]:
    with DEVICE:
        yield


def eighths(*shape: int) -> Tensor:
    return torch.randint(-8, 9, shape) / 8


SHAPES: dict[str, dict[str, Any]] = {
    "plain": {},
    "by subtraction": {"subtract": True},
    "half full": {"start": 0.5},
    "with membrane dropout": {"dropout": 0.5, "subtract": True},
    "pooled": {"pool": True},
    "pooled by charge": {"pool": True, "charge": True, "exact": True},
    "constant": {"constant": True},
    "with an addend": {"addend": 4},
    "with a constant addend": {"addend": 1},
    "with a shortcut's convolution": {"side": True},
    "all at once": {"side": True, "pool": True, "dropout": 0.25, "subtract": True, "start": 0.5},
    "more neurons than a block": {"channels": 40, "size": 8},
    "spikes in the convolution's type": {"kind": torch.bfloat16},
}


@pytest.mark.parametrize("case", SHAPES.values(), ids=list(SHAPES))
def test_neurons(case: dict[str, Any]) -> None:
    torch.manual_seed(0)
    steps, samples, channels, size = 4, 3, case.get("channels", 5), case.get("size", 4)
    pool, dropout = case.get("pool", False), case.get("dropout", 0.0)
    draw = eighths if case.get("exact") else torch.randn

    def scaled(length: int) -> Any:
        sums = draw(length, samples, channels, size, size)
        return fused.Scaled(sums, draw(channels), draw(channels))

    main = scaled(1 if case.get("constant") else steps)
    side = scaled(steps) if case.get("side") else None
    addend = draw(case["addend"], samples, channels, size, size) if "addend" in case else None
    own_size = size // 2 if pool else size
    threshold = torch.rand(1, channels, own_size, own_size)
    current = _current(main, steps)
    current = current if side is None else current + _current(side, steps)
    current = current if addend is None else current + addend
    pooled = current
    if pool and case.get("charge"):
        pooled = pool_charge(current, lambda value: max_pool2d(value, 2))
    elif pool:
        pooled = max_pool2d(current.flatten(0, 1), 2).unflatten(0, current.shape[:2])
    settings = {"reset": "subtract" if case.get("subtract") else "zero", "membrane_start": case.get("start", 0.0)}
    torch.manual_seed(1)
    expected = integrate_and_fire(pooled, threshold, membrane_dropout=dropout, **settings)
    torch.manual_seed(1)
    shape = torch.Size((samples, *threshold.shape[1:]))
    bits = torch.cat([draw_bits(shape, 1, threshold.device) for _ in range(steps - 1)]) if dropout else None
    neurons = Neurons(threshold, case.get("subtract", False), case.get("start", 0.0), bits, dropout)
    kind = case.get("kind", torch.uint8)
    fired = fused.fire(
        main, side, addend, neurons, steps, charge=case.get("charge", False), total=True, currents=not pool, kind=kind
    )
    assert 0 < expected.mean() < 1
    assert fired.spikes.dtype == kind and torch.equal(fired.spikes.float(), expected)
    assert torch.equal(fired.count.float(), expected.sum(0)) and fired.count.dtype == torch.uint8
    assert fired.number == expected.sum()
    assert fired.currents is None if pool else torch.equal(fired.currents, current)
    for given, made in ((main, fired.total), (side, fired.side_total)):
        if given is not None:
            torch.testing.assert_close(made, given.sums.expand(steps, *given.sums.shape[1:]).sum(0))
    # Channels last in memory, as the next convolution likes them.
    assert fired.spikes[0].is_contiguous(memory_format=torch.channels_last)


def _current(scaled: Any, steps: int) -> Tensor:
    scale, bias = (value.view(-1, 1, 1) for value in (scaled.scale, scaled.bias))
    return (scaled.sums * scale + bias).expand(steps, *scaled.sums.shape[1:])


@pytest.mark.parametrize("unit", ["resu", "stsu"])
@pytest.mark.parametrize("window", [False, True])
@pytest.mark.parametrize("dropped", [False, True])
@pytest.mark.parametrize("penalty", [0.0, 0.3])
def test_mapping(unit: str, window: bool, dropped: bool, penalty: float) -> None:
    torch.manual_seed(0)
    p = torch.randn(3, 40, 5, 4, requires_grad=True)
    count = torch.randint(0, 5, p.shape, dtype=torch.uint8)
    dropout = Dropout(torch.ones(p.shape).bernoulli_(0.5), 2.0) if dropped else None
    threshold = torch.rand(1, *p.shape[1:])
    pair = (threshold, 4) if window else None
    counts = map_spikes(p, count, unit, dropout=dropout, window=pair, penalty=penalty)
    value = p.detach() if dropout is None else dropout.apply(p.detach())
    mapped = fused.map_counts(p.detach(), count, rectify=unit == "resu", dropout=dropout, window=pair)
    assert torch.equal(mapped.value, counts.value)
    assert mapped.noisy / count.numel() == noisy_spike_rate(value, count) > 0
    before = fused.map_counts(p.detach(), count, rectify=False, dropout=dropout, after_dropout=False)
    assert before.noisy / count.numel() == noisy_spike_rate(p.detach(), count)
    gradient = torch.randn(p.shape)
    loss = (counts.dense() * gradient).sum()
    (loss if counts.price is None else loss + 2 * counts.price).backward()
    given = fused.map_backward(
        gradient,
        mapped.active,
        torch.float32,
        slope=2.0 if dropped else 1.0,
        window=(threshold, 0.1) if window else None,
        price=(torch.tensor(2.0), penalty) if penalty else None,
    )
    assert p.grad is not None
    torch.testing.assert_close(given, p.grad, rtol=2e-7, atol=0)
