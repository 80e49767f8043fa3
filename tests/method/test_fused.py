"""Triton's kernels, run by its interpreter, against plain PyTorch: the same bits."""

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
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
    "pooled, of odd size": {"pool": True, "size": 5, "side": True},
    "pooled by charge": {"pool": True, "charge": True, "exact": True},
    "constant": {"constant": True},
    "with an addend": {"addend": 4},
    "with a constant addend": {"addend": 1},
    "with a shortcut's convolution": {"side": True},
    "all at once": {"side": True, "pool": True, "dropout": 0.25, "subtract": True, "start": 0.5},
    "more neurons than a block": {"channels": 40, "size": 8},
    "of bfloat16": {"sums": torch.bfloat16, "kind": torch.bfloat16},
    "of the convolution's type": {"kind": torch.float32, "pool": True},
}


@pytest.mark.parametrize("case", SHAPES.values(), ids=list(SHAPES))
def test_neurons(case: dict[str, Any]) -> None:
    torch.manual_seed(0)
    steps, samples, channels, size = 4, 3, case.get("channels", 5), case.get("size", 4)
    pool, dropout = case.get("pool", False), case.get("dropout", 0.0)
    draw = eighths if case.get("exact") else torch.randn

    def scaled(length: int) -> Any:
        sums = draw(length, samples, channels, size, size).to(case.get("sums", torch.float32))
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
    fired = fused.fire(
        main,
        side,
        addend,
        neurons,
        steps,
        charge=case.get("charge", False),
        total=True,
        currents=not pool,
        kind=case.get("kind", torch.uint8),
    )
    assert 0 < expected.mean() < 1
    assert fired.spikes.dtype == case.get("kind", torch.uint8) and torch.equal(fired.spikes.float(), expected)
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
    how: dict[str, Any] = {"dropout": dropout, "window": pair, "factor": 0.5, "penalty": penalty}
    zeros = [torch.zeros_like(threshold).requires_grad_() for _ in range(2)]
    counts = map_spikes(p, count, unit, **how, by_threshold=(zeros[0], 4))
    by_kernels = p.detach().clone().requires_grad_()
    mapped = map_spikes(by_kernels, count, unit, **how, kernels=True, by_threshold=(zeros[1], 4))
    assert torch.equal(mapped.value, counts.value) and mapped.value.dtype == count.dtype
    for each in (None, dropout):
        noisy = noisy_spike_rate(p.detach(), count, each, kernels=True)
        assert noisy == noisy_spike_rate(p.detach(), count, each) > 0
    gradient = torch.randn(p.shape)
    for made in (counts, mapped):
        loss = (made.dense() * gradient).sum()
        (loss if made.price is None else loss + 2 * made.price).backward()
    assert p.grad is not None and by_kernels.grad is not None
    assert torch.equal(by_kernels.grad, p.grad)
    assert zeros[0].grad is not None and zeros[1].grad is not None and zeros[0].grad.any()
    assert torch.equal(zeros[1].grad, zeros[0].grad)


@pytest.mark.parametrize("capability", [80, 90])
def test_the_kernels_are_made_for_gpus_without_one(capability: int, tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    environment["TRITON_CACHE_DIR"] = str(tmp_path)
    command = [sys.executable, "-c", COMPILED, str(capability)]
    made = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    # Multiplied and then added, as PyTorch does: no instruction does both.
    printed = json.loads(made.stdout)
    assert set(printed) == {"_fire", "_map", "_map_backward"}
    for name, (target, fused_arithmetic) in printed.items():
        assert target == f"sm_{capability}a" if capability == 90 else target == f"sm_{capability}", name
        assert fused_arithmetic == 0, name


COMPILED = r"""
import json, re, sys
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from snn2ann.engine import fused

chosen = {
    "_fire": dict.fromkeys(("SUBTRACT", "CHARGE", "DROP", "SIDE", "ADD", "SUM", "KEEP"), True)
    | dict(STEPS=5, POOL=2, BLOCK=1024),
    "_map": dict(DROP=True, WINDOW=True, RECTIFY=True, MASK=True, NOISY=True, BLOCK=1024),
    "_map_backward": dict(GIVEN=True, PRICED=True, GAIN=True, BLOCK=1024),
}
kinds = {
    "summed": "*fp32", "spikes": "*u8", "count": "*u8", "mapped": "*u8", "active": "*i1", "bits": "*i16", "fired": "*i32",
    "noisy": "*i32", "start": "fp32", "gain": "fp32", "limit": "i32", "slope": "fp32", "cost": "fp32",
}
integers = (
    "samples", "channels", "height", "width", "rows", "columns", "size", "neurons", "positions",
    "sums_step", "side_step", "addend_step",
)
printed = {}
for name, constants in chosen.items():
    kernel = getattr(fused, name)
    signature = {each: kinds.get(each, "i32" if each in integers else "*fp32") for each in kernel.arg_names}
    signature |= {each: "constexpr" for each in constants}
    if name == "_map":
        signature["limit"] = "fp32"
    if name == "_map_backward":
        signature["gain"] = "*fp32"
    made = triton.compile(
        ASTSource(kernel, signature, constants), GPUTarget("cuda", int(sys.argv[1]), 32), {"enable_fp_fusion": False}
    )
    code = made.asm["ptx"]
    printed[name] = (re.search(r"\.target (\w+)", code)[1], len(re.findall(r"fma\.", code)))
print(json.dumps(printed))
"""
