"""Frames of an event camera: every step has its own input, and the ANN branch their sum."""

from pathlib import Path

import nir
import pytest
import torch
from spikingjelly.activation_based.nir_exchange import import_from_nir
from torch import Tensor, nn

import snn2ann
from snn2ann.errors import UserError
from snn2ann.method.coupled_network import CoupledNetwork
from tests.network.modules import Own, statistics_seen

STEPS = 5
SHAPE = (2, 8, 8)


def moving_bars(samples: int, seed: int) -> tuple[Tensor, Tensor]:
    """Bars that move right, left, down or up, a pixel a step, as an event camera sees them.

    Returns:
        Frames [T, B, 2, 8, 8]: on-events where the bar comes to be, off-events where it was, one in twenty of noise. And
        the directions [B].
    """
    generator = torch.Generator().manual_seed(seed)
    directions = torch.randint(4, (samples,), generator=generator)
    starts = torch.randint(8, (samples,), generator=generator)
    frames = (torch.rand(STEPS, samples, *SHAPE, generator=generator) < 0.05).float()
    for sample, (direction, start) in enumerate(zip(directions.tolist(), starts.tolist(), strict=True)):
        for step in range(STEPS):
            places = [(start + (step + ahead) * (1 - 2 * (direction % 2))) % 8 for ahead in (1, 0)]
            for polarity, place in enumerate(places):
                image = frames[step, sample, polarity]
                (image if direction >= 2 else image.T)[place] = 1
    return frames, directions


def bars_network() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(2, 12, 3, padding=1), nn.BatchNorm2d(12), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(12, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.Flatten(), nn.Linear(16 * 16, 4)),
    )


def train(coupled: CoupledNetwork, batches: int) -> None:
    frames, directions = moving_bars(50 * batches, seed=1)
    optimiser = torch.optim.Adam(coupled.parameters(), 5e-3)
    for batch, labels in zip(frames.split(50, dim=1), directions.split(50), strict=True):
        loss = nn.functional.cross_entropy(coupled(batch), labels) + coupled.price
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def accuracy(logits: Tensor, directions: Tensor) -> float:
    return (logits.argmax(1) == directions).float().mean().item()


def test_directions_of_moving_bars_are_learnt_and_deployed() -> None:
    torch.manual_seed(0)
    coupled = snn2ann.couple(bars_network(), STEPS, image_shape=SHAPE)
    train(coupled, 40)
    frames, directions = moving_bars(400, seed=2)
    logits = coupled.eval()(frames)
    assert accuracy(logits, directions) > 0.9
    snn = coupled.spiking(frames=True)
    torch.testing.assert_close(snn(frames), logits)
    torch.testing.assert_close(snn(frames[:3], time_steps=3), snn(frames, every_step=True)[2])
    # Every step has its own input: the sum is the same the other way round.
    assert not torch.allclose(snn(frames.flip(0)), logits)


@pytest.mark.parametrize("variant", ["released", "refined"])
@pytest.mark.parametrize("training", [True, False])
def test_equal_frames_are_an_image_divided_by_the_steps(training: bool, variant: str) -> None:
    images = torch.randn(6, *SHAPE, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    torch.manual_seed(0)
    model = statistics_seen(Own()).double()
    coupled = snn2ann.couple(model, STEPS, variant=variant, image_shape=SHAPE, input_coding="divide").train(training)
    given = []
    for batch in (images, (images / STEPS).expand(STEPS, *images.shape)):
        state = {name: value.clone() for name, value in coupled.state_dict().items()}
        torch.manual_seed(1)
        given.append(coupled.branches(batch))
        coupled.load_state_dict(state)
    for one, other in zip(*given, strict=True):
        torch.testing.assert_close(one, other)
    images_of, frames_of = coupled.spiking(), coupled.spiking(frames=True)
    torch.testing.assert_close(frames_of((images / STEPS).expand(STEPS, *images.shape)), images_of(images))
    assert images_of(images).std() > 0.01


@pytest.mark.parametrize("coding", ["direct", "divide", "repeat"])
def test_the_charge_of_all_frames_is_the_anns_value_of_their_sum(coding: str) -> None:
    torch.manual_seed(0)
    model = statistics_seen(bars_network()).double().eval()
    frames = moving_bars(6, seed=4)[0].double()
    snn = snn2ann.couple(model, STEPS, image_shape=SHAPE, input_coding=coding).spiking(frames=True)
    charge = next(iter(snn.layers.values()))(frames.flatten(0, 1)).unflatten(0, (STEPS, -1)).sum(0)
    torch.testing.assert_close(charge, model[:2](frames.sum(0)))  # type: ignore[index]


def test_an_exported_network_takes_frames(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(128, 4))
    coupled = snn2ann.couple(model, STEPS, image_shape=SHAPE, reset="zero", membrane_start=0, threshold_start=0.1)
    snn, frames = coupled.spiking(frames=True), moving_bars(7, seed=5)[0]
    batch = {"images": {1: torch.export.Dim("batch")}}
    exported = torch.export.export(snn, (frames[:, :2].contiguous(),), dynamic_shapes=batch).module()
    torch.testing.assert_close(exported(frames), snn(frames))
    nir.write(tmp_path / "snn.nir", snn2ann.to_nir(snn, SHAPE))
    simulator, state, steps = import_from_nir(tmp_path / "snn.nir", dt=1.0), None, []
    for frame in frames:
        given, state = simulator(frame, state)
        steps.append(given)
    torch.testing.assert_close(torch.stack(steps).mean(0), snn(frames))
    assert snn(frames).std() > 0.01


def test_the_first_frames_make_the_thresholds() -> None:
    coupled = snn2ann.couple(bars_network(), STEPS)
    coupled(moving_bars(3, seed=6)[0])
    assert coupled.image_shape == SHAPE


def test_another_number_of_frames_is_refused() -> None:
    frames, _ = moving_bars(3, seed=7)
    coupled = snn2ann.couple(bars_network(), STEPS, image_shape=SHAPE)
    snn = coupled.spiking(frames=True)
    for network in (coupled, coupled.branches, snn):
        with pytest.raises(UserError, match="4 frames for 5 steps"):
            network(frames[:4])


def test_frames_where_images_are_taken_are_refused_and_the_other_way_round() -> None:
    frames, _ = moving_bars(3, seed=8)
    coupled = snn2ann.couple(bars_network(), STEPS, image_shape=SHAPE)
    with pytest.raises(UserError, match=r"spiking\(frames=True\)"):
        coupled.spiking()(frames)
    with pytest.raises(UserError, match=r"spiking\(frames=False\)"):
        coupled.spiking(frames=True)(frames[0])
