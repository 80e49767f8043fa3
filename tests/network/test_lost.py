"""What a trace loses, a network is refused for, by name; and by its values where no name is known."""

import contextlib
import copy
import random
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import snn2ann
from snn2ann.errors import UserError
from snn2ann.network.unchanged import unchanged
from tests.network.modules import Own, statistics_seen

SHAPE = (2, 4, 4)


class Network(nn.Module):
    """A network that does something beside what it gives.

    Args:
        beside: what it does, of the network and the first layer's current; gives the current.
    """

    count: Tensor

    def __init__(self, beside: Callable[["Network", Tensor], Tensor]) -> None:
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Linear(64, 3)
        self.calls, self.seen, self.known = 0, [1, 2], {"a": 1}
        self.last: Tensor | None = None
        self.register_buffer("count", torch.zeros(()))
        self.beside = beside

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.flatten(torch.relu(self.beside(self, self.conv(x))), 1))


def _without_gradient(net: Network, x: Tensor) -> Tensor:
    with torch.no_grad():
        return net.norm(x)


def _in_low_precision(net: Network, x: Tensor) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        return net.norm(x)


def _by_mode(net: Network, x: Tensor) -> Tensor:
    return net.norm(x) if net.training else x


def _drops_by_mode(net: Network, x: Tensor) -> Tensor:
    return nn.functional.dropout(x, 0.5, net.training)


def _at_random(net: Network, x: Tensor) -> Tensor:
    return net.norm(x) if random.random() < 0.5 else x


def _at_numpys_random(net: Network, x: Tensor) -> Tensor:
    return net.norm(x) if np.random.random() < 0.5 else x


def _at_torchs_random(net: Network, x: Tensor) -> Tensor:
    return net.norm(x) if torch.rand(()) < 0.5 else x


def _counts(net: Network, x: Tensor) -> Tensor:
    net.calls += 1
    return x


def _counts_in_a_buffer(net: Network, x: Tensor) -> Tensor:
    net.count += 1
    return x


def _replaces_a_buffer(net: Network, x: Tensor) -> Tensor:
    net.count = net.count + 1
    return x


def _writes_a_buffer(net: Network, x: Tensor) -> Tensor:
    net.count.copy_(x.mean((0, 1, 2, 3)))
    return x


def _clamps_a_weight(net: Network, x: Tensor) -> Tensor:
    net.head.weight.data.clamp_(-1, 1)
    return x


def _keeps(net: Network, x: Tensor) -> Tensor:
    net.last = x
    return x


def _keeps_in_a_list(net: Network, x: Tensor) -> Tensor:
    net.seen.append(3)
    return x


def _keeps_in_a_dict(net: Network, x: Tensor) -> Tensor:
    net.known["b"] = 2
    return x


ONCE = "which would be done once, when it is traced"
DRAWS = "its forward (of Sequential): it draws random numbers"
CASES: dict[Callable[[Network, Tensor], Tensor], str] = {
    _without_gradient: "1.norm (BatchNorm2d): it is run under torch.no_grad, which a plan does not know",
    _in_low_precision: "1.norm (BatchNorm2d): it is run under torch.autocast, which a plan does not know",
    _by_mode: "1.norm (BatchNorm2d): it is something else in training than in evaluation",
    _drops_by_mode: "dropout in 1 (Network): whether it drops would be fixed for ever; use the module nn.Dropout",
    _at_random: DRAWS,
    _at_numpys_random: DRAWS,
    _at_torchs_random: DRAWS,
    _counts: f"1 (Network): its forward changes its calls, {ONCE}",
    _counts_in_a_buffer: f"1 (Network): its forward changes its count, {ONCE}",
    _replaces_a_buffer: f"1 (Network): its forward changes its count, {ONCE}",
    _writes_a_buffer: "copy_ in 1 (Network): it changes a parameter or buffer, which would not be done",
    _clamps_a_weight: "clamp_ in 1 (Network): it changes a parameter or buffer, which would not be done",
    _keeps: f"1 (Network): its forward changes its last, {ONCE}",
    _keeps_in_a_list: f"1 (Network): its forward changes its seen, {ONCE}",
    _keeps_in_a_dict: f"1 (Network): its forward changes its known, {ONCE}",
}


def generators() -> list[object]:
    return [random.getstate(), torch.get_rng_state().tolist(), repr(np.random.get_state())]


@pytest.mark.parametrize("beside", CASES)
def test_it_is_refused_by_name_and_nothing_has_changed(beside: Callable[[Network, Tensor], Tensor]) -> None:
    inside = Network(beside)
    model = nn.Sequential(nn.Identity(), inside)
    model.train()
    inside.norm.eval()
    before, drawn = copy.deepcopy(model.state_dict()), generators()
    with pytest.raises(UserError) as refusal:
        snn2ann.couple(model, time_steps=4)
    assert CASES[beside] in str(refusal.value)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert (inside.calls, inside.seen, inside.known, inside.last) == (0, [1, 2], {"a": 1}, None)
    assert model.training and not inside.norm.training and drawn == generators()


def test_what_is_left_as_it_is_is_no_change() -> None:
    def beside(net: Network, x: Tensor) -> Tensor:
        net.calls, net.known["a"] = 0, 1
        return net.norm(x)

    snn2ann.couple(Network(beside), time_steps=4, image_shape=SHAPE)
    with torch.no_grad():
        snn2ann.couple(Network(beside), time_steps=4, image_shape=SHAPE)


class Halved(nn.Module):
    """What it gives has twice as many rows as there are images."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x).view(-1, 16)


def test_a_forward_that_gives_other_values_than_its_trace_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    original = nn.Identity.forward
    mode = ""

    def other(self: nn.Identity, x: Tensor) -> Tensor:
        return x + 1 if mode == ("training" if self.training else "evaluation") else original(self, x)

    monkeypatch.setattr(nn.Identity, "forward", other)
    model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.Identity(), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3))
    snn2ann.couple(model, time_steps=4, image_shape=SHAPE)
    for mode in ("training", "evaluation"):
        message = (
            rf"the network itself \(Sequential\): its own forward gives other values in {mode} than .*, first at 4;"
        )
        with pytest.raises(UserError, match=message):
            snn2ann.couple(model, time_steps=4, image_shape=SHAPE)
        coupled = snn2ann.couple(model, time_steps=4)
        with pytest.raises(UserError, match=message):
            coupled(torch.rand(2, *SHAPE))
        assert not coupled.number_of_neurons()


def test_a_view_that_does_not_flatten_is_refused() -> None:
    with pytest.raises(UserError, match="its own forward gives other values"):
        snn2ann.couple(Halved(), time_steps=4, image_shape=SHAPE)


def test_a_network_that_reaches_into_the_batch_from_the_end_is_refused() -> None:
    class OverBatch(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.relu(x).mean(-4, True)

    with pytest.raises(UserError, match="it must not reach into the batch"):
        snn2ann.couple(OverBatch(), time_steps=4, image_shape=SHAPE)


@pytest.mark.parametrize("training", [True, False])
def test_a_network_that_is_accepted_is_as_it_was(training: bool) -> None:
    torch.manual_seed(0)
    model = statistics_seen(Own()).train(training)
    model.get_submodule("norm").eval()
    before, drawn = copy.deepcopy(model.state_dict()), generators()
    modes = [module.training for module in model.modules()]
    coupled = snn2ann.couple(model, time_steps=4, image_shape=(2, 8, 8), threshold_start=0.5)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert modes == [module.training for module in model.modules()] and drawn == generators()
    assert coupled.number_of_neurons() > 0


def test_a_state_that_was_loaded_first_does_not_hide_it() -> None:
    coupled = snn2ann.couple(Halved(), time_steps=4)
    coupled.load_state_dict({f"neurons.{name}.threshold": torch.ones(1, *SHAPE) for name in coupled.neurons})
    assert coupled.number_of_neurons() == 32
    with pytest.raises(UserError, match="its own forward gives other values"):
        coupled(torch.rand(2, *SHAPE))


def test_a_network_that_overwrites_its_images_is_compared_on_the_same() -> None:
    class Overwriting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.head = nn.BatchNorm2d(2), nn.Linear(32, 3)

        def forward(self, x: Tensor) -> Tensor:
            x += self.norm(x)
            return self.head(torch.flatten(torch.relu(x), 1))

    torch.manual_seed(0)
    model = Overwriting()
    images = torch.randn(2, *SHAPE)
    assert snn2ann.couple(model, time_steps=4, image_shape=SHAPE)(images).shape == (2, 3)


def test_whatever_is_the_default_device_a_network_is_traced() -> None:
    with torch.device("meta"):
        snn2ann.couple(Network(lambda net, x: net.norm(x)), time_steps=4, image_shape=SHAPE)
        drawn = torch.get_rng_state()
    assert torch.equal(drawn, torch.get_rng_state())
    model = Network(lambda net, x: net.norm(x))
    with torch.device("meta"):
        assert snn2ann.couple(model, time_steps=4)(torch.rand(2, *SHAPE, device="cpu")).shape == (2, 3)


def test_whatever_is_run_to_be_looked_at_is_undone() -> None:
    model = Network(lambda net, x: x)
    model.train()
    bias = model.norm.bias
    with contextlib.suppress(KeyError), unchanged(model) as before:
        model.eval()
        model.count = torch.ones(())
        model.norm.running_mean.add_(1)  # type: ignore[union-attr]
        model.seen.append(model)  # type: ignore[arg-type]
        model.known.clear()
        model.norm.bias = nn.Parameter(torch.ones(4))
        model.norm.another = 1  # type: ignore[assignment]
        torch.rand(3)
        assert before.has_drawn()
        keys = {(name, key) for name, _, key in before.changed()}
        assert keys == {
            ("", "count"),
            ("", "seen"),
            ("", "known"),
            ("norm", "running_mean"),
            ("norm", "bias"),
            ("norm", "another"),
        }
        raise KeyError
    assert model.training and model.norm.training and not model.count.any() and not model.norm.running_mean.any()  # type: ignore[union-attr]
    assert model.seen == [1, 2] and model.known == {"a": 1} and model.norm.bias is bias
    assert not hasattr(model.norm, "another")
