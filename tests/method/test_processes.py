"""Two processes with half of a batch each are one with all of it: thresholds, statistics, weights."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, distributed, nn
from torch.multiprocessing.spawn import spawn
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel

import snn2ann
from snn2ann.method.coupled_network import CoupledNetwork

SHAPE, STEPS = (2, 8, 8), 4
CASES: list[tuple[bool, dict[str, Any]]] = [
    (norm, {"variant": variant, "image_shape": image_shape})
    for norm in (True, False)
    for variant in ("released", "refined")
    for image_shape in (SHAPE, None)
]


class Residual(nn.Module):
    def __init__(self, norm: bool) -> None:
        super().__init__()

        def two(inputs: int, outputs: int) -> list[nn.Module]:
            return [nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs) if norm else nn.Identity()]

        self.stem = nn.Sequential(*two(2, 8), nn.ReLU(), nn.MaxPool2d(2))
        self.block = nn.Sequential(*two(8, 8), nn.ReLU(), *two(8, 8))
        self.relu, self.head = nn.ReLU(), nn.Sequential(nn.Flatten(), nn.Linear(128, 4))

    def forward(self, images: Tensor) -> Tensor:
        value = self.stem(images)
        return self.head(self.relu(value + self.block(value)))


def trained(coupled: nn.Module, own: CoupledNetwork, rank: int, parts: int) -> dict[str, Tensor]:
    """Three steps on a part of each batch; the network's state after them."""
    optimiser = torch.optim.SGD(coupled.parameters(), 0.2)
    generator = torch.Generator().manual_seed(5)
    for _ in range(STEPS):
        images = torch.rand(12, *SHAPE, generator=generator, dtype=torch.float64).chunk(parts)[rank]
        labels = torch.randint(4, (12,), generator=generator).chunk(parts)[rank]
        optimiser.zero_grad()
        loss = cross_entropy(coupled(images), labels) + own.price
        loss.backward()
        optimiser.step()
    return {name: value.clone() for name, value in own.state_dict().items()}


def coupled(norm: bool, options: dict[str, Any]) -> CoupledNetwork:
    torch.manual_seed(0)
    return snn2ann.couple(Residual(norm).double().train(), 3, ata_rate=0.001, membrane_dropout=0.0, **options)


def processes(rank: int, folder: Path) -> None:
    """Train every case as one of two processes."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", f"file://{folder}/meeting", rank=rank, world_size=2)
    for number, (norm, options) in enumerate(CASES):
        own = coupled(norm, options)
        together = DistributedDataParallel(own)
        # Afterwards: DDP refuses PyTorch's own SyncBatchNorm on a CPU.
        nn.SyncBatchNorm.convert_sync_batchnorm(own)
        # Each process would draw thresholds of its own.
        torch.manual_seed(rank)
        torch.save(trained(together, own, rank, 2), folder / f"{number}-{rank}")
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("states")
    spawn(processes, (folder,), nprocs=2)
    return folder


@pytest.mark.parametrize("number", range(len(CASES)))
def test_two_processes_are_one_with_the_whole_batch(number: int, states: Path) -> None:
    norm, options = CASES[number]
    first, second = (torch.load(states / f"{number}-{rank}") for rank in (0, 1))
    own = coupled(norm, options)
    before = copy.deepcopy(own.state_dict())
    torch.manual_seed(0)
    whole = trained(own, own, 0, 1)
    thresholds = [name for name in whole if name.endswith("threshold")]
    moved = any(not torch.equal(whole[name], before[name]) for name in thresholds)
    assert moved and not torch.equal(whole["model.head.1.weight"], before["model.head.1.weight"])
    for name, value in whole.items():
        assert torch.equal(first[name], second[name]), name
        if name in thresholds:
            assert torch.equal(first[name], value), name
        else:
            torch.testing.assert_close(first[name], value)
