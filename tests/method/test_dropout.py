"""Dropout acts on what both branches hand on, by one mask for all steps; before a ReLU it is as in the paper."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torchvision.models import alexnet, vgg11

import snn2ann
from snn2ann.engine import events
from snn2ann.engine.dropout import Dropout
from snn2ann.engine.network import Network
from snn2ann.engine.signals import Observation, Spikes
from snn2ann.engine.stages import Drop
from snn2ann.method.coupled_network import CoupledNetwork
from snn2ann.method.coupling import CoupledInterpreter
from snn2ann.methods import METHODS
from snn2ann.methods.ottt import OnlineTrainingThroughTime
from snn2ann.methods.stbp import SpikeBasedBackpropagation
from snn2ann.network import fuse

T = 4
EXACT = {"statistics": "batch", "membrane_dropout": 0.0, "ata": False, "spike_penalty": 0.0, "threshold_start": 0.3}


def seen_by(coupled: CoupledNetwork, images: Tensor) -> list[Observation]:
    seen: list[Observation] = []
    coupled.check(images)
    coupled.run_by(CoupledInterpreter(coupled._spiking(None), observer=seen.append), images)
    return seen


def convolutions(dropout: nn.Module) -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(2, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), dropout),
        *(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.3)),
        *(nn.Flatten(), nn.Linear(128, 16), nn.ReLU(), nn.Dropout(0.4), nn.Linear(16, 3)),
    )


@pytest.mark.parametrize("unit", ["stsu", "resu"])
@pytest.mark.parametrize("dropout", [nn.Dropout(0.5), nn.Dropout2d(0.5)], ids=["elements", "channels"])
@pytest.mark.parametrize("by_events", [True, False], ids=["events", "dense"])
def test_dropped_neurons_give_nothing_at_any_step_and_kept_ones_are_enlarged(
    unit: str, dropout: nn.Module, by_events: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if by_events:
        monkeypatch.setattr(events, "FEWEST_CHANNELS", 1)
        monkeypatch.setattr(events, "FEWEST_POSITIONS", 1)
    torch.manual_seed(0)
    model = convolutions(dropout)
    coupled = snn2ann.couple(model, T, image_shape=(2, 8, 8), mapping_unit=unit, **EXACT)  # type: ignore[arg-type]
    images = torch.randn(4, 2, 8, 8)
    drops = [each for each in seen_by(coupled, images) if isinstance(each.stage, Drop)]
    assert [each.stage.dropout for each in drops] == [model[3], model[8], model[12]]  # type: ignore[index, union-attr]
    for each, probability in zip(drops[:2], (0.5, 0.3), strict=True):
        before, after = each.incoming[0], each.outgoing
        assert after.binary and after.worth is not None
        assert float(after.worth) == pytest.approx(1 / (1 - probability))
        kept = after.value.ne(0).any(0)
        fired = before.value.ne(0).any(0)
        assert 0.2 < float(kept.sum() / fired.sum()) < 0.9
        assert torch.equal(after.value, before.value * kept)
        if each is drops[0] and isinstance(dropout, nn.Dropout2d):
            channels = kept.flatten(2).any(2)
            assert torch.equal(kept, fired & channels[..., None, None])
    # What is read out is a rate, and each neuron's is left out or enlarged.
    last = drops[2]
    assert torch.equal(last.outgoing.value * 0.6, last.incoming[0].value * last.outgoing.value.ne(0))


@pytest.mark.parametrize("by_events", [True, False], ids=["events", "dense"])
def test_the_charge_after_dropout_is_the_ann_branchs_value(by_events: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if by_events:
        monkeypatch.setattr(events, "FEWEST_CHANNELS", 1)
        monkeypatch.setattr(events, "FEWEST_POSITIONS", 1)
    torch.manual_seed(0)
    coupled = snn2ann.couple(convolutions(nn.Dropout(0.5)), T, image_shape=(2, 8, 8), **EXACT)  # type: ignore[arg-type]
    images = torch.randn(4, 2, 8, 8)
    ann, snn = coupled.branches(images)
    torch.testing.assert_close(ann, snn)
    values = []
    for apart in (False, True):
        if apart:
            coupled._stages = coupled.plan.operations
            coupled._spent = fuse.spent(coupled._stages, coupled.plan.output)
        torch.manual_seed(1)
        shown = [each for each in seen_by(coupled, images) if each.pre_activation is not None]
        values.append([each.pre_activation for each in shown])
    charges = [each.incoming[0].value.sum(0) for each in shown]
    # The first layer's current is the image's, which is given once.
    for charge, value, whole in list(zip(charges, values[1], values[0], strict=True))[1:]:
        assert value is not None and whole is not None
        torch.testing.assert_close(charge, value, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(whole, value, rtol=1e-4, atol=1e-4)
    cross_entropy(ann, torch.tensor([0, 1, 2, 0])).backward()
    assert all(value.grad is not None and value.grad.any() for value in coupled.parameters() if value.dim() > 1)


@pytest.mark.parametrize("variant", ["released", "refined"])
def test_it_draws_in_training_only_and_a_seed_fixes_it(variant: str) -> None:
    torch.manual_seed(0)
    coupled = snn2ann.couple(
        convolutions(nn.Dropout2d(0.5)),
        T,
        image_shape=(2, 8, 8),
        variant=variant,
        membrane_dropout=0.0,
        ata=False,
        threshold_start=0.3,
        statistics="running",
    )
    images = torch.randn(4, 2, 8, 8)
    coupled.eval()
    one, other = coupled.branches(images), coupled.branches(images)
    assert all(torch.equal(mine, again) for mine, again in zip(one, other, strict=True))
    torch.testing.assert_close(coupled.spiking()(images), one[1])
    coupled.train()
    for module in coupled.modules():
        # What one pass does to statistics would be seen by the next.
        module.training &= not isinstance(module, nn.BatchNorm2d)
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append([logits.detach() for logits in coupled.branches(images)])
    assert all(torch.equal(mine, again) for mine, again in zip(drawn[0], drawn[1], strict=True))
    assert not any(torch.equal(mine, another) for mine, another in zip(drawn[0], drawn[2], strict=True))


@pytest.mark.parametrize("make", [vgg11, alexnet])
def test_torchvisions_classifiers_drop(make: Callable[..., nn.Module]) -> None:
    torch.manual_seed(0)
    with torch.device("meta"):
        classifier = make(num_classes=5).get_submodule("classifier")
    assert isinstance(classifier, nn.Sequential)
    # A hundred million weights, which no test needs, are a few here.
    sizes = iter([(8, 32), (32, 24), (24, 5)])
    narrow = [nn.Linear(*next(sizes)) if isinstance(module, nn.Linear) else module for module in classifier]
    model = nn.Sequential(
        nn.Conv2d(2, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), *narrow
    )
    images = torch.randn(3, 2, 8, 8)
    # Low thresholds, so that neurons of the classifier fire without training.
    coupled = snn2ann.couple(model, T, image_shape=(2, 8, 8), threshold_start=0.01, ata=False)
    drops = [each for each in seen_by(coupled, images) if isinstance(each.stage, Drop)]
    assert len(drops) == 2
    for each in drops:
        assert bool(each.incoming[0].value.any())
        assert int(each.outgoing.value.ne(0).sum()) < int(each.incoming[0].value.ne(0).sum())
    first, second = coupled(images), coupled(images)
    assert not torch.equal(first, second)


def test_straight_before_a_relu_it_is_the_ann_branchs() -> None:
    torch.manual_seed(0)
    images = torch.randn(64, 6)
    for unit in ("resu", "stsu"):
        model = nn.Sequential(nn.Linear(6, 40), nn.Dropout(0.5), nn.ReLU(), nn.Linear(40, 3))
        coupled = snn2ann.couple(
            model, T, image_shape=(6,), mapping_unit=unit, threshold_start=0.2, ata=False, noisy_spikes="before_dropout"
        )
        (first, spiking), (second, again) = coupled.branches(images), coupled.branches(images)
        assert torch.equal(spiking, again)
        assert torch.equal(first, second) is (unit == "stsu")


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3), (5, 7, 3, 2)])
def test_whole_channels_are_dropped_of_whatever_has_channels(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    dropout = Dropout.draw(nn.Dropout2d(0.5), shape, torch.empty(0))
    assert dropout is not None
    dropped = dropout.apply(torch.ones(shape))
    assert dropped.shape == shape and sorted(dropped.unique().tolist()) == [0, 2]
    assert torch.equal(dropped, dropped[:, :, *[slice(1)] * (len(shape) - 2)].expand(shape))


def test_dropped_spikes_are_worth_more_and_rates_are_larger() -> None:
    dropout = Dropout(torch.tensor([[1.0, 0.0]]), 2.0)
    spikes = Spikes(torch.ones(3, 1, 2, dtype=torch.uint8), binary=True, worth=torch.tensor(0.5)).dropped(dropout)
    assert spikes.amount().tolist() == [[[1.0, 0.0]]] * 3 and spikes.count.tolist() == [[3, 0]]
    image = Spikes(torch.ones(1, 2), constant=True).dropped(dropout)
    assert image.constant and image.amount().tolist() == [[[2.0, 0.0]]]


def test_other_methods_drop_the_image_and_traces_too() -> None:
    images, labels = torch.rand(8, 6), torch.zeros(8, dtype=torch.long)
    model = nn.Sequential(nn.Dropout(0.9), nn.Linear(6, 4, bias=False), nn.ReLU(), nn.Linear(4, 3))
    stbp = SpikeBasedBackpropagation(Network(model, (6,)), T, METHODS["stbp"].defaults).train()
    shown: list[Observation] = []
    stbp.spiking_forward(images, T, shown.append)
    assert shown[0].outgoing.constant and 0.4 < float(shown[0].outgoing.value.eq(0).float().mean()) < 1
    first, last = nn.Linear(6, 4), nn.Linear(4, 3)
    nn.init.constant_(first.weight, 1.0)
    model = nn.Sequential(first, nn.ReLU(), nn.Dropout(0.99999), last)
    ottt = OnlineTrainingThroughTime(Network(model, (6,)), T, METHODS["ottt"].defaults).train()
    ottt.training_step(images, labels, cross_entropy).loss.backward()
    # All that goes into the last layer is dropped, and so are the traces that its gradient is made of.
    assert last.weight.grad is not None and not last.weight.grad.any()


class ReadOutToo(nn.Module):
    """What a dropout gives goes to neurons and is read out as well."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.drop = (
            nn.Conv2d(2, 4, 3, padding=1),
            nn.Conv2d(4, 4, 3, padding=1),
            nn.Dropout(0.3),
        )

    def forward(self, images: Tensor) -> Tensor:
        kept = self.drop(torch.relu(self.first(images)))
        return (torch.relu(self.second(kept)) - 0.5 * kept).mean((2, 3))


def test_what_is_dropped_can_be_read_out_and_feed_neurons() -> None:
    torch.manual_seed(0)
    coupled = snn2ann.couple(ReadOutToo(), T, image_shape=(2, 8, 8), **EXACT)  # type: ignore[arg-type]
    images = torch.randn(4, 2, 8, 8)
    ann, snn = coupled.train().branches(images)
    torch.testing.assert_close(ann, snn)
    assert torch.equal(coupled.eval()(images), coupled.spiking()(images))
