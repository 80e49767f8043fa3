"""What cannot be coupled is named, all of it, with its reason, and nothing is changed."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import snn2ann
from snn2ann.errors import UserError
from tests.network.modules import statistics_seen


class Calls(nn.Module):
    """A network whose forward is a function."""

    def __init__(self, function: Callable[["Calls", Tensor], Any]) -> None:
        super().__init__()
        self.conv, self.bn, self.relu, self.pool = nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(2)
        self.inplace = nn.ReLU(inplace=True)
        self.scale = nn.Parameter(torch.ones(1))
        self.function = function

    def forward(self, x: Tensor) -> Any:
        return self.function(self, x)


def _branching(net: Calls, x: Tensor) -> Tensor:
    return net.relu(net.conv(x)) if x.sum() > 0 else x


LINE = f"test_refusals.py line {_branching.__code__.co_firstlineno + 1}"


def _used_again(net: Calls, x: Tensor) -> Tensor:
    y = net.conv(x)
    return net.inplace(y) + y


def _added_to_itself(net: Calls, x: Tensor) -> Tensor:
    y = skipped = net.relu(net.conv(x))
    y += net.bn(skipped)
    return net.relu(y) + skipped


def _through_a_view(net: Calls, x: Tensor) -> Tensor:
    y = net.conv(x)
    flat = y.flatten(1)
    y.relu_()
    return flat


def _statement(net: Calls, x: Tensor) -> Tensor:
    y = net.relu(net.conv(x))
    functional.relu_(y)
    return y


def with_layer(layer: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), layer, nn.ReLU())


MODULES: list[tuple[nn.Module, str]] = [
    (nn.GELU(), "only a ReLU's activation"),
    (nn.ReLU6(), "only a ReLU's activation"),
    (nn.LeakyReLU(), "only a ReLU's activation"),
    (nn.Sigmoid(), "only a ReLU's activation"),
    (nn.LayerNorm(6), "statistics are the signal's own"),
    (nn.GroupNorm(2, 4), "statistics are the signal's own"),
    (nn.Softmax(1), "leave it to the loss"),
    (nn.ConvTranspose2d(4, 4, 3), "transposed convolutions"),
    (nn.LSTM(6, 6), "not made of convolutions"),
    (nn.BatchNorm2d(4, track_running_stats=False), "no running statistics"),
    (nn.BatchNorm2d(4, momentum=None), "cumulative averages"),
    (nn.MaxPool2d(2, return_indices=True), "indices"),
    (nn.Flatten(0), "reaches into the batch"),
    (nn.Dropout(1.0), "drops everything"),
    (nn.LazyConv2d(4, 3), "no shape yet"),
    (nn.Unfold(2), "it is not supported; write it with what is"),
    (nn.AlphaDropout(), "it draws random numbers otherwise"),
    (nn.Conv3d(1, 1, 1), "use the form for two dimensions"),
    (nn.AdaptiveMaxPool2d(2), "use nn.MaxPool2d"),
    (nn.ConstantPad2d(1, 0.5), "only zeros can be padded with"),
    (nn.PReLU(), "only a ReLU's activation"),
    (nn.InstanceNorm2d(4, track_running_stats=True), "statistics are the signal's own"),
    (nn.Softshrink(), "only a ReLU's activation"),
]


@pytest.mark.parametrize(("layer", "reason"), MODULES, ids=lambda value: type(value).__name__)
def test_a_module_is_named_with_its_kind_and_the_reason(layer: nn.Module, reason: str) -> None:
    with pytest.raises(UserError) as refusal:
        snn2ann.couple(nn.Sequential(with_layer(layer), nn.Flatten()), time_steps=5)
    assert f"0.2 ({type(layer).__name__}): " in str(refusal.value) and reason in str(refusal.value)
    assert len(str(refusal.value).splitlines()) == 2


FUNCTIONS: dict[str, tuple[Callable[[Calls, Tensor], Any], str]] = {
    "activation": (lambda net, x: net.relu(torch.sigmoid(x)), "sigmoid in forward of Calls: only a ReLU's activation"),
    "product of signals": (lambda net, x: net.relu(x) * net.conv(x), "mul in forward of Calls: a product"),
    "product": (lambda net, x: net.relu(x) * x, "mul in forward of Calls: a product of two signals"),
    "number less": (lambda net, x: 1.0 - net.relu(x), "sub in forward of Calls: a signal is taken off a number"),
    "parameter": (lambda net, x: net.relu(x) + net.scale, "scale (parameter or buffer): weights used outside"),
    "functional convolution": (lambda net, x: functional.conv2d(net.relu(x), net.conv.weight), "conv2d in forward"),
    "functional dropout": (lambda net, x: functional.dropout(net.relu(x)), "use the module nn.Dropout"),
    "softmax": (lambda net, x: functional.log_softmax(net.relu(x), 1), "leave it to the loss"),
    "whole mean": (lambda net, x: net.relu(x).mean(), "mean in forward of Calls: a mean must be over given"),
    "mean of the batch": (lambda net, x: net.relu(x).mean(0), "reaches into the batch"),
    "flattened batch": (lambda net, x: torch.flatten(net.relu(x)), "reaches into the batch"),
    "another view": (lambda net, x: net.relu(x).view(-1, 2, 4), "use torch.flatten(x, 1)"),
    "concatenated batch": (lambda net, x: torch.cat([net.relu(x), x]), "reaches into the batch"),
    "transposed": (
        lambda net, x: net.relu(x).permute(1, 0, 2, 3),
        "permute in forward of Calls: it must leave the batch",
    ),
    "index": (lambda net, x: net.relu(x)[0], "getitem in forward of Calls: it must take the whole batch"),
    "indices": (lambda net, x: functional.max_pool2d(net.relu(x), 2, return_indices=True)[0], "indices"),
    "control flow": (_branching, f"its forward (of Calls), {LINE}: it cannot be traced"),
    "in place, used again": (_used_again, "inplace (ReLU): it works in place on a value that is used again"),
    "added in place": (_added_to_itself, "iadd in forward of Calls: it works in place"),
    "in place, through a view": (_through_a_view, "relu_ in forward of Calls: it works in place"),
    "in place, as a statement": (_statement, "relu_ in forward of Calls: it works in place"),
    "no ReLU": (lambda net, x: net.conv(x), "it has no ReLU"),
    "two outputs": (lambda net, x: (net.relu(x), x), "gives tuple; it must give one tensor"),
    "current read out": (lambda net, x: net.conv(net.relu(net.conv(x))) + net.conv(x), "which feeds neurons as well"),
    "output feeds neurons": (lambda net, x: net.relu(net.conv(x)) + x, "which feeds neurons as well"),
}


@pytest.mark.parametrize("case", FUNCTIONS)
def test_a_call_is_named_with_where_it_is_and_the_reason(case: str) -> None:
    function, reason = FUNCTIONS[case]
    with pytest.raises(UserError) as refusal:
        snn2ann.couple(Calls(function), time_steps=5)
    assert reason in str(refusal.value)


def test_all_are_listed_at_once_in_order_and_nothing_is_changed() -> None:
    model = nn.Sequential(nn.Sequential(nn.Conv2d(2, 4, 3), nn.GELU(), nn.GroupNorm(2, 4)), nn.ReLU(), nn.Tanh())
    model.train()
    model[1].eval()
    before = copy.deepcopy(model)
    with pytest.raises(UserError) as refusal:
        snn2ann.couple(model, time_steps=5)
    first, *named = str(refusal.value).splitlines()
    assert first == "the network cannot be coupled:"
    assert [line.split(":")[0].strip() for line in named] == ["0.1 (GELU)", "0.2 (GroupNorm)", "2 (Tanh)"]
    assert repr(model) == repr(before)
    assert [module.training for module in model.modules()] == [module.training for module in before.modules()]
    for name, value in model.state_dict().items():
        assert torch.equal(value, before.state_dict()[name])


def test_control_flow_is_named_by_the_innermost_module() -> None:
    with pytest.raises(UserError, match=rf"1\.0 \(Calls\), {LINE}: it cannot be traced"):
        snn2ann.couple(nn.Sequential(nn.ReLU(), nn.Sequential(Calls(_branching))), time_steps=5)


def test_a_forward_of_two_inputs_is_refused() -> None:
    class Two(nn.Module):
        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            return torch.relu(x) + y

    with pytest.raises(UserError, match="must take images and nothing else"):
        snn2ann.couple(Two(), time_steps=5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"time_steps": 0}, "time_steps: 0 is not allowed"),
        ({"time_steps": 2.5}, "time_steps: 2.5 is not allowed"),
        ({"time_steps": 5, "variant": "best"}, "variant: 'best' is unknown; the variants are released, refined"),
        ({"time_steps": 5, "resett": "zero"}, "option resett: unknown"),
        ({"time_steps": 5, "reset": "none"}, "option reset: 'none' is not allowed"),
        ({"time_steps": 5, "shortcut": "both"}, "option shortcut: 'both' is not allowed"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_argument_that_makes_no_sense_is_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as refusal:
        snn2ann.couple(nn.Sequential(nn.Linear(2, 2), nn.ReLU()), **arguments)
    assert message in str(refusal.value)


def test_a_refusal_is_a_line_a_kind_and_reason_however_many_there_are() -> None:
    layers = [nn.Sequential(nn.Conv2d(2, 2, 1), nn.GELU(), nn.ReLU()) for _ in range(400)]
    with pytest.raises(UserError) as refusal:
        snn2ann.couple(nn.Sequential(*layers, nn.Sigmoid(), nn.GELU()), time_steps=5)
    _, *named = str(refusal.value).splitlines()
    assert [line.partition(":")[0].strip() for line in named] == ["0.1 (GELU) and 400 more", "400 (Sigmoid)"]


def test_images_of_another_size_are_refused_by_layer() -> None:
    coupled = snn2ann.couple(nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1)), time_steps=2)
    coupled(torch.rand(2, 1, 8, 8))
    with pytest.raises(UserError, match="1: has neurons for 2×6×6, these images need 2×4×4"):
        coupled(torch.rand(2, 1, 6, 6))


def on_rows(*layers: nn.Module) -> nn.Module:
    """Layers on [B, 4, 4], where every dimension could be the one of the features."""
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d((4, 1)), nn.Flatten(2), *layers)


DIMS: dict[str, tuple[nn.Module, tuple[int, ...], str]] = {
    "BatchNorm1d after Linear": (on_rows(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Flatten()), (1, 8, 8), "5 "),
    "BatchNorm1d of the readout": (on_rows(nn.Linear(4, 4), nn.BatchNorm1d(4)), (1, 8, 8), "5 "),
    "BatchNorm2d after Linear": (nn.Sequential(nn.Linear(4, 4), nn.BatchNorm2d(4), nn.ReLU()), (4, 4, 4), "1 "),
}


@pytest.mark.parametrize("case", DIMS)
def test_a_batchnorm_of_other_channels_than_the_layers_before_it_is_refused(case: str) -> None:
    model, shape, place = DIMS[case]
    for known in (True, False):
        with pytest.raises(
            UserError, match=rf"{place}\(BatchNorm\dd\): it normalises dimension 1, and the linear layer"
        ):
            snn2ann.couple(model, time_steps=5, image_shape=shape if known else None)(torch.rand(2, *shape))


def test_a_batchnorm_alone_has_its_channels_whatever_the_dimensions() -> None:
    torch.manual_seed(0)
    model = statistics_seen(on_rows(nn.BatchNorm1d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3)))
    coupled = snn2ann.couple(model, time_steps=5, image_shape=(1, 8, 8), threshold_start=0.3).eval()
    images = torch.rand(4, 1, 8, 8)
    ann, snn = coupled.branches(images)
    assert ann.unique().numel() > 6
    torch.testing.assert_close(ann, snn)
    torch.testing.assert_close(coupled.spiking()(images), snn)


def test_images_without_a_batch_are_refused() -> None:
    coupled = snn2ann.couple(nn.Sequential(nn.Conv2d(1, 1, 3), nn.ReLU()), time_steps=5)
    with pytest.raises(UserError, match="0: its convolution is given 3 dimensions"):
        coupled(torch.rand(1, 8, 8))


@pytest.mark.parametrize("training", [True, False])
def test_a_first_batch_that_does_not_fit_leaves_the_mode(training: bool) -> None:
    coupled = snn2ann.couple(nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2)), time_steps=2)
    coupled.train(training)
    with pytest.raises(
        UserError, match=r"images of 3×4×4 do not go through the network: .*expected input.* to have 1 channels"
    ):
        coupled.branches(torch.rand(2, 3, 4, 4))
    assert [module.training for module in coupled.modules()] == [training] * len(list(coupled.modules()))
    assert coupled.branches(torch.rand(2, 1, 4, 4))[0].shape == (2, 2)


def _compiled_inside(model: nn.Module) -> nn.Module:
    compiled: Any = torch.compile(model)
    return nn.Sequential(compiled)


WRAPPED: dict[str, tuple[Callable[[nn.Module], Any], str]] = {
    "DataParallel": (nn.DataParallel, r"\(DataParallel\): couple the network in it, its `module`"),
    "AveragedModel": (torch.optim.swa_utils.AveragedModel, r"\(AveragedModel\): couple the network in it"),
    "compiled": (torch.compile, r"\(OptimizedModule\): couple the network that was compiled, its `_orig_mod`"),
    "scripted": (torch.jit.script, r"ScriptModule\): it is a program made of a network; couple the network that"),
    "traced": (torch.fx.symbolic_trace, r"\(Sequential\): it is a program made of a network"),
    "coupled": (lambda model: snn2ann.couple(model, 2), r"\(CoupledNetwork\): it is coupled already"),
    "spiking": (
        lambda model: snn2ann.couple(model, 2, image_shape=(1, 4, 4)).spiking(),
        r"\(SpikingNetwork\): it is a spiking network already",
    ),
    "compiled inside": (_compiled_inside, r"0 \(OptimizedModule\): couple the"),
}


@pytest.mark.parametrize("case", WRAPPED)
def test_what_wraps_a_network_is_refused_with_what_to_couple_instead(case: str) -> None:
    wrap, message = WRAPPED[case]
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2))
    with pytest.raises(UserError, match=message) as refusal:
        snn2ann.couple(wrap(model), 2)
    assert len(str(refusal.value).splitlines()) == 2


@pytest.mark.parametrize("model", [None, "resnet18", nn.ReLU, lambda images: images])
def test_what_is_no_module_is_refused(model: Any) -> None:
    with pytest.raises(UserError, match=r"model: .* is not allowed; expected a torch\.nn\.Module"):
        snn2ann.couple(model, 2)


@pytest.mark.parametrize("kind", [torch.uint8, torch.int64, torch.float64, torch.float16, torch.complex64])
@pytest.mark.parametrize("training", [True, False])
def test_images_of_another_type_are_refused_in_either_mode(kind: torch.dtype, training: bool) -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2))
    coupled = snn2ann.couple(model, 2, image_shape=(1, 4, 4)).train(training)
    with pytest.raises(
        UserError, match=f"the images are {str(kind).partition('.')[2]}( and the weights float32)?; give "
    ):
        coupled(torch.ones(3, 1, 4, 4).to(kind))


def test_a_variance_below_zero_is_named() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2))
    coupled = snn2ann.couple(model.eval(), 2, image_shape=(1, 4, 4))
    model[1].running_var.fill_(-0.5)  # type: ignore[operator]
    with pytest.raises(UserError, match=r"not finite .*: 1\.running_var"):
        coupled(torch.rand(3, 1, 4, 4))


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda net, x: torch.maximum(net.relu(x), net.conv(x)), "it chooses between values"),
        (lambda net, x: net.relu(x).abs(), "it chooses between values"),
        (
            lambda net, x: torch.cat(net.relu(x).chunk(2, 1), 1),
            "it gives several signals; take parts of one by an index",
        ),
        (lambda net, x: torch.stack([net.relu(x), net.relu(x)], 1), "beside each other by torch.cat alone"),
        (lambda net, x: net.relu(x).float(), "leave it out of the forward"),
        (lambda net, x: net.relu(x).detach(), "freeze parameters instead"),
        (lambda net, x: net.relu(x).sum(), "a sum must be over given dimensions"),
        (lambda net, x: functional.adaptive_max_pool2d(net.relu(x), 1), "use nn.MaxPool2d"),
        (lambda net, x: functional.lp_pool2d(net.relu(x), 2, 2), "use nn.AvgPool2d or nn.MaxPool2d"),
        (lambda net, x: functional.alpha_dropout(net.relu(x)), "it draws random numbers otherwise"),
    ],
)
def test_a_refusal_says_what_to_do_instead(function: Callable[[Calls, Tensor], Any], reason: str) -> None:
    with pytest.raises(UserError) as refusal:
        snn2ann.couple(Calls(function), time_steps=5)
    assert reason in str(refusal.value)
