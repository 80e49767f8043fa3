"""What modules do besides their class's own forward: weights made at every call are right, all else is refused by name."""

import copy
from collections.abc import Callable
from types import MethodType
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils import parametrizations, parametrize, prune
from torch.nn.utils.spectral_norm import spectral_norm
from torch.nn.utils.weight_norm import weight_norm
from torch.utils.flop_counter import FlopCounterMode

import snn2ann
from snn2ann.errors import UserError

SEEN = (2, 6, 6)


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.relu = nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU()
        self.hidden, self.head = nn.Linear(64, 12), nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.hidden(torch.flatten(self.relu(self.norm(self.conv(x))), 1))
        return self.head(self.relu(hidden))


class Half(nn.Module):
    def forward(self, weight: Tensor) -> Tensor:
        return weight / 2


@pytest.fixture
def images() -> Tensor:
    return torch.randn(5, *SEEN, generator=torch.Generator().manual_seed(2))


def network(seed: int = 0) -> Network:
    torch.manual_seed(seed)
    return Network()


MAKERS: dict[str, Callable[[nn.Module], Any]] = {
    "pruned": lambda module: prune.random_unstructured(module, "weight", 0.5),
    "pruned twice": lambda module: prune.l1_unstructured(
        prune.random_unstructured(module, "weight", 0.3), "weight", 0.3
    ),
    "bias pruned": lambda module: prune.l1_unstructured(module, "bias", 1),
    "weight norm": weight_norm,
    "spectral norm": spectral_norm,
    "parametrized": lambda module: parametrize.register_parametrization(module, "weight", Half()),
    "parametrized weight norm": parametrizations.weight_norm,
    "parametrized spectral norm": parametrizations.spectral_norm,
    "parametrized orthogonal": parametrizations.orthogonal,
    "pruned by channels": lambda module: prune.ln_structured(module, "weight", 0.5, n=2, dim=0),
}


def made(maker: str, seed: int = 0) -> Network:
    model = network(seed)
    for module in (model.conv, model.hidden):
        MAKERS[maker](module)
    return model


def plain(model: Network) -> Network:
    """The network with the weights that it has now as ordinary ones."""
    model.eval()(torch.zeros(1, *SEEN))
    twin = network()
    twin.norm.load_state_dict(model.norm.state_dict())
    for name in ("conv", "hidden", "head"):
        for value in ("weight", "bias"):
            getattr(getattr(twin, name), value).data.copy_(getattr(getattr(model, name), value))
    return twin


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("after", [False, True], ids=["made before coupling", "made after"])
def test_a_state_that_is_loaded_counts_at_once(maker: str, after: bool, images: Tensor) -> None:
    source = made(maker, seed=1)
    model = network() if after else made(maker)
    coupled = snn2ann.couple(model, time_steps=4, image_shape=SEEN, threshold_start=0.2)
    for module in (model.conv, model.hidden) if after else ():
        MAKERS[maker](module)
    coupled.eval()(images)
    model.load_state_dict(source.state_dict())
    expected = snn2ann.couple(plain(source), time_steps=4, image_shape=SEEN, threshold_start=0.2).eval()
    # Deployed first: nothing has called the modules since.
    torch.testing.assert_close(coupled.spiking()(images), expected(images))
    for mine, theirs in zip(coupled.branches(images), expected.branches(images), strict=True):
        torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("variant", ["released", "refined"])
def test_what_weights_are_made_of_is_trained_and_both_branches_have_the_same(
    maker: str, variant: str, images: Tensor
) -> None:
    model = made(maker).train()
    twin = copy.deepcopy(model.state_dict())
    coupled = snn2ann.couple(
        model, 4, variant=variant, image_shape=SEEN, membrane_dropout=0.0, ata=False, spike_penalty=0.0
    )
    for _ in range(2):
        coupled.zero_grad()
        ann, snn = coupled.branches(images)
        cross_entropy(ann, torch.tensor([0, 1, 2, 0, 1])).backward()
    assert all(value.grad is not None for value in model.parameters())
    if variant == "refined":
        torch.testing.assert_close(ann, snn)
    # A power iteration, and nothing else, went as many steps as in calls of the network itself.
    alone = made(maker).train()
    alone.load_state_dict(twin)
    for _ in range(2):
        alone(images)
    for (name, value), other in zip(model.state_dict().items(), alone.state_dict().values(), strict=True):
        if name.startswith("conv"):
            torch.testing.assert_close(value, other, msg=name)
    hidden, passed = model.hidden, 0
    for value in hidden.parameters():
        passed += int(bool(value.grad is not None and value.grad.any()))
    assert passed, "no gradient went through a made weight"


class Scaled(nn.Conv2d):
    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return super()._conv_forward(input, weight * 2, bias)


class Doubled(nn.Linear):
    def __call__(self, *arguments: Any) -> Any:
        return super().__call__(*arguments) * 2


def _replaced(module: nn.Module, name: str) -> None:
    setattr(module, name, MethodType(lambda self, x, *rest: x * 2, module))


def _hook(*arguments: Any) -> None:
    """Looks on."""


CASES: dict[str, tuple[Callable[[Network], Any], str]] = {
    "forward hook": (
        lambda net: net.conv.register_forward_hook(_hook),
        r"conv \(Conv2d\): its forward hook _hook would",
    ),
    "pre-hook": (lambda net: net.relu.register_forward_pre_hook(_hook), r"relu \(ReLU\): its forward pre-hook _hook"),
    "backward hook": (
        lambda net: net.norm.register_full_backward_hook(_hook),
        r"norm \(BatchNorm2d\): its backward hook",
    ),
    "backward pre-hook": (
        lambda net: net.head.register_full_backward_pre_hook(_hook),
        r"head \(Linear\): its backward pre-",
    ),
    "hook of the whole": (
        lambda net: net.register_forward_hook(_hook),
        r"the network itself \(Network\): its forward hook",
    ),
    "replaced forward": (
        lambda net: _replaced(net.conv, "forward"),
        r"conv \(Conv2d\): its call or its forward is replaced",
    ),
    "replaced inside": (
        lambda net: _replaced(net.conv, "_conv_forward"),
        r"conv \(Conv2d\): its call or its forward is",
    ),
    "replaced forward of the whole": (
        lambda net: _replaced(net, "forward"),
        r"itself \(Network\): its call or its forward",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_would_not_be_run_is_refused_by_name(case: str, images: Tensor) -> None:
    change, message = CASES[case]
    model = network()
    change(model)
    with pytest.raises(UserError, match=rf"(?s)^the network cannot be coupled:\n  .*{message}"):
        snn2ann.couple(model, time_steps=4)
    # After coupling as well.
    model = network()
    coupled = snn2ann.couple(model, time_steps=4, image_shape=SEEN)
    change(model)
    for call in (coupled, coupled.eval(), lambda _: coupled.spiking()):
        with pytest.raises(UserError, match=message):
            call(images)


@pytest.mark.parametrize("kind", ["forward_hook", "forward_pre_hook", "full_backward_hook"])
def test_hooks_of_all_modules_are_refused_before_coupling_and_after(kind: str, images: Tensor) -> None:
    coupled = snn2ann.couple(network(), time_steps=4)
    handle = getattr(nn.modules.module, f"register_module_{kind}")(_hook)
    try:
        for call in (lambda: snn2ann.couple(network(), time_steps=4), lambda: coupled(images)):
            with pytest.raises(UserError, match=r"every module: its .*hook _hook would not be run"):
                call()
    finally:
        handle.remove()
    snn2ann.couple(network(), time_steps=4)
    # What PyTorch counts operations by looks on.
    with FlopCounterMode(display=False) as counted:
        coupled(images)
    assert counted.get_total_flops() > 0


def test_a_class_that_changes_what_its_forward_runs_is_none_of_the_supported() -> None:
    model = network()
    model.conv = Scaled(2, 4, 3)
    with pytest.raises(UserError, match=r"conv2d in conv \(Scaled\): weights used outside a module"):
        snn2ann.couple(model, time_steps=4)
    model = network()
    model.head = Doubled(12, 3)
    with pytest.raises(UserError, match=r"head \(Doubled\): its call or its forward is replaced"):
        snn2ann.couple(model, time_steps=4)


def test_a_forward_that_fails_leaves_the_hooks(images: Tensor) -> None:
    model = made("pruned")
    coupled = snn2ann.couple(model, time_steps=4, image_shape=SEEN)
    with pytest.raises(UserError, match="has neurons for"):
        coupled(images[..., :4, :4])
    assert len(model.conv._forward_pre_hooks) == 1
