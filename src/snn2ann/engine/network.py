"""A network of any module: its plan, its neurons, and how an interpreter is led through it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import prod
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from snn2ann.engine.autocast import autocast_type
from snn2ann.engine.dropout import Dropping
from snn2ann.engine.finite import tensors_of
from snn2ann.engine.interpreter import AnnInterpreter, Interpreter, R, S
from snn2ann.engine.normalisation import BatchNorm, Weighing
from snn2ann.engine.processes import several
from snn2ann.engine.stages import Apply, Drop, Fire, Layer, Neurons, Pool, Stage, Weigh, times
from snn2ann.errors import UserError
from snn2ann.network import fuse
from snn2ann.network.besides import weights_made
from snn2ann.network.operations import Operation, Shift
from snn2ann.network.plan import Plan
from snn2ann.network.refusals import refuse
from snn2ann.network.structure import structure
from snn2ann.network.trace import trace
from snn2ann.network.unchanged import unchanged


def floats_of(model: nn.Module) -> Tensor:
    """Give a tensor of the type and on the device of a model's weights; an ordinary one where it has none."""
    return next((value.detach() for value in model.parameters() if value.is_floating_point()), torch.empty(0))


def refuse_images(images: object, like: Tensor, shape: Sequence[int] | None, *, empty: bool = True) -> None:
    """Refuse what are no images, before it is taken for some.

    Args:
        images: whatever was given.
        like: of the weights' type.
        shape: (C, H, W), where it is known.
        empty: whether there may be none.

    Raises:
        UserError: they are no tensor, of another type than the weights, of other channels, or without a batch.
    """
    if not isinstance(images, Tensor):
        raise UserError(
            f"the images are no tensor but {type(images).__name__}; give a tensor, as torch.as_tensor makes one"
        )
    kind, own = (str(value.dtype).removeprefix("torch.") for value in (images, like))
    low = autocast_type(images) is not None
    if not images.is_floating_point():
        raise UserError(
            f"the images are {kind}; give numbers of the weights' type, scaled as those that it is trained on: "
            f"images.to(torch.{own}) / 255, if they are so"
        )
    if kind != own and not low:
        raise UserError(
            f"the images are {kind} and the weights {own}; give images.to(torch.{own}), or bring the network to {kind}"
        )
    if shape is not None and (
        images.dim() - len(shape) not in (1, 2) or (len(shape) and images.shape[-len(shape)] != shape[0])
    ):
        raise UserError(
            f"images of {times(tuple(images.shape))}: give a batch [B, ...] of images of {times(tuple(shape))}"
        )
    if not empty and 0 in images.shape:
        raise UserError("this training batch is empty; leave it out")


def refuse_inference(model: nn.Module) -> None:
    """Refuse a network that was made in inference mode.

    Raises:
        UserError: it was.
    """
    made = [
        name
        for name, value in [*model.named_parameters(), *model.named_buffers()]
        if not is_lazy(value) and value.is_inference()
    ]
    if made:
        raise UserError(
            f"{made[0]}: was made under torch.inference_mode() and can't be trained; make the network outside of it"
        )


class Network(nn.Module):
    """A module and the plan that methods run it by; its parameters and statistics are used as they are.

    Args:
        model: takes images and gives logits; it is traced here.
        image_shape: (C, H, W); if it is given, every neuron has a threshold of 1 from the start.

    Attributes:
        model: the module.
        plan: its operations.
        traced: what the module was made of then.
        neurons: layers of neurons, by name of the operation, in the order in which they run.
        image_shape: (C, H, W) of the images that the neurons were made for, where they were made here.
        logits_shape: of what one such image gives.
        compared: whether the plan was held against the network's own forward.
        smallest_batch: how many such images a training batch needs: two where a BatchNorm has one value a channel of each.

    Raises:
        UserError: the module cannot be coupled, and all reasons are named; or images of this shape do not go through it.
    """

    def __init__(self, model: nn.Module, image_shape: Sequence[int] | None = None) -> None:
        super().__init__()
        self.model = model
        refuse_inference(model)
        self.plan: Plan = trace(model)
        self.traced = structure(model)
        self.image_shape: tuple[int, ...] | None = None
        self.logits_shape: tuple[int, ...] = ()
        self.smallest_batch = 1
        self.compared = False
        self._stages = fuse.fuse(self.plan, model)
        self._spent = fuse.spent(self._stages, self.plan.output)
        self._identities = fuse.identities(self._stages)
        like = floats_of(model)
        # What is made in inference mode could never be trained.
        with torch.inference_mode(False):
            self.neurons = nn.ModuleDict({each.name: Neurons(each.label, like) for each in self.plan.neurons})
        if image_shape is not None:
            self.make_neurons(like.new_zeros((1, *image_shape)), 1.0)

    def by_label(self) -> dict[str, Neurons]:
        """The layers of neurons by their label, in the order in which they run."""
        return {layer.label: layer for layer in self.neurons.values() if isinstance(layer, Neurons)}

    def named_state(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Give the network's state itself: (weights, thresholds).

        Weights have the names of the network's own parameters and buffers; what a layer of neurons has beside them has that
        of its layer: `<layer>.threshold`, and `<layer>.worth` after a conversion, are thresholds; what is trained is a
        weight.
        """
        weights = tensors_of(self.model)
        thresholds: dict[str, Tensor] = {}
        for label, layer in self.by_label().items():
            weights |= {f"{label}.{name}": value for name, value in layer.named_parameters()}
            thresholds |= {f"{label}.{name}": value for name, value in layer.named_buffers()}
        return weights, thresholds

    def number_of_neurons(self) -> int:
        """Of all layers together."""
        return sum(layer.threshold.numel() for layer in self.by_label().values())

    def run_by(self, interpreter: Interpreter[S, R], images: Tensor) -> R:
        """Run all stages in a method's way.

        Args:
            interpreter: the method's, for one pass.
            images: [B, C, H, W], or whatever the module takes.
        """
        with weights_made(self.model):
            return self._run_by(interpreter, images)

    def _run_by(self, interpreter: Interpreter[S, R], images: Tensor) -> R:
        signals: dict[str, S] = {}
        plan = self.plan
        for planned in self._stages:
            if _is_image(planned):
                signals[planned.name] = interpreter.image(images)
            else:
                first = planned.name in plan.readout
                taken = [
                    interpreter.rate(signals[name]) if first and name not in plan.readout else signals[name]
                    for name in planned.inputs
                ]
                signals[planned.name] = interpreter.run(self._bound(planned), taken)
            # A layer's spikes are freed when no later one needs them.
            for name in self._spent[planned.name]:
                del signals[name]
        output = signals[plan.output]
        return interpreter.result(output if plan.output in plan.readout else interpreter.rate(output))

    def stages(self) -> list[Stage]:
        """The stages with their modules, in the order in which they run."""
        return [self._bound(planned) for planned in self._stages if not _is_image(planned)]

    def _bound(self, planned: fuse.Stage) -> Stage:
        """Give a stage its modules, which are looked up anew for every pass: they may have been replaced or copied."""
        if isinstance(planned, fuse.FusedLayer):
            pooling = None if planned.pool is None else planned.pool.function
            side = None if planned.side is None else self.weights_of(planned.side)
            return Layer(
                self.weights_of(planned.main), self._fire(planned.neurons), side, bool(planned.skipped), pooling
            )
        function = planned.function
        if planned.kind == "weighted":
            return self.weights_of(planned)
        if planned.kind == "neurons":
            return self._fire(planned)
        if planned.kind == "dropout":
            return Drop(self._dropping(planned.dropout))
        assert function is not None
        if planned.kind == "pooling":
            return Pool(function, planned.name in self.plan.readout)
        return Apply(function)

    def weights_of(self, planned: Operation) -> Weigh:
        """Give a weighted operation its modules."""
        module = self.model.get_submodule(planned.weights) if planned.weights else None
        norm = self.model.get_submodule(planned.norm) if planned.norm else planned.function
        assert module is None or isinstance(module, Weighing)
        assert norm is None or isinstance(norm, BatchNorm | Shift)
        name = planned.name
        return Weigh(module, norm, name in self.plan.readout, name in self.plan.constant, planned.label)

    def _fire(self, planned: Operation) -> Fire:
        neurons = self.neurons[planned.name]
        assert isinstance(neurons, Neurons)
        dropout = self._dropping(planned.dropout) if planned.dropout else None
        return Fire(neurons, dropout, planned.name in self._identities)

    def _dropping(self, name: str) -> Dropping:
        module = self.model.get_submodule(name)
        assert isinstance(module, Dropping)
        return module

    def make_neurons(self, images: Tensor, start: float | Literal["uniform"]) -> None:
        """Make a threshold for each neuron that images [B, ...] need, layer by layer; there may be some already.

        Raises:
            UserError: there are, for images of another size; or the plan is not what the network does on such images.
        """
        shapes = self.shapes(torch.zeros_like(images[:1]))
        self._compare(images)
        self.compared = True
        self.image_shape = tuple(images.shape[1:])
        for label, layer in self.by_label().items():
            layer.make(shapes[label], start)

    @torch.no_grad()
    def _compare(self, images: Tensor) -> None:
        """Hold the plan against the network's own forward on random images, in training and in evaluation.

        Whatever a trace loses that is not known by name shows here, if it changes a value.
        """
        together = several() and any(isinstance(module, nn.SyncBatchNorm) for module in self.model.modules())
        if images.is_meta or not images.is_floating_point() or together:
            return
        generator = torch.Generator("cpu").manual_seed(0)
        sample = torch.randn((3, *images.shape[1:]), generator=generator, device="cpu").to(images)
        for training in (True, False):
            runs = (self.model, lambda images: self.run_by(AnnInterpreter(), images))
            given = [self._without_dropout(run, sample, training) for run in runs]
            if not _alike(*given):
                with recorded(self.model) as first:
                    self._without_dropout(self.model, sample, training)
                with recorded(self.model) as second:
                    self._without_dropout(runs[1], sample, training)
                mode = "training" if training else "evaluation"
                what = f"the network itself ({type(self.model).__name__}): its own forward gives other values in {mode}"
                where = f"than its modules and functions do as they were traced{_parting(first, second)}"
                raise refuse([f"{what} {where}; it must do nothing that a trace does not see"])
        alone = self._without_dropout(self.model, sample[:1], False)
        if not _alike(given[0][:1], alone):
            raise refuse(
                ["what it gives for an image depends on the others of its batch; it must not reach into the batch"]
            )

    def _without_dropout(self, run: Callable[[Tensor], Tensor], images: Tensor, training: bool) -> Tensor:
        # What is changed back in inference mode could never be trained.
        with torch.inference_mode(False), torch.no_grad(), unchanged(self.model):
            self.model.train(training)
            for module in self.model.modules():
                module.training &= not isinstance(module, Dropping)
            # A network may overwrite what it is given.
            return run(images.clone())

    @torch.no_grad()
    def shapes(self, images: Tensor) -> dict[str, tuple[int, ...]]:
        """Shape of what feeds each layer of neurons, [B, ...], by its label; nothing changes and nothing is drawn.

        Raises:
            UserError: images of this shape do not go through the network.
        """
        found = Shapes()
        try:
            with unchanged(self.model):
                self.logits_shape = tuple(self.run_by(found, images).shape)
        except (RuntimeError, ValueError) as error:
            size, reason = times(tuple(images.shape[1:])), str(error).partition("\n")[0]
            raise UserError(f"images of {size} do not go through the network: {reason}") from error
        single = [
            prod(shape[2:]) == 1 for stage, shape in found.weighed if stage.norm and not isinstance(stage.norm, Shift)
        ]
        self.smallest_batch = 2 if any(single) else 1
        return found.shapes


@contextmanager
def recorded(model: nn.Module) -> Iterator[list[tuple[str, Tensor]]]:
    """Within, what weights and BatchNorms give is taken down, call by call: their names and [N, ...]."""
    found: list[tuple[str, Tensor]] = []

    def take_down(name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        return lambda module, taken, given: found.append((name, given.clone()))

    kinds = Weighing | BatchNorm
    hooks = [
        each.register_forward_hook(take_down(name)) for name, each in model.named_modules() if isinstance(each, kinds)
    ]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


def _parting(own: list[tuple[str, Tensor]], planned: list[tuple[str, Tensor]]) -> str:
    """Say at which layer two runs part: the first whose values differ in a call, or are missing."""
    left = list(planned)
    for name, value in own:
        place = next((place for place, (other, _) in enumerate(left) if other == name), None)
        if place is None or not _alike(value, left.pop(place)[1]):
            return f", first at {name}"
    return f", after {own[-1][0]}" if own else ""


def _alike(one: Tensor, other: Tensor) -> bool:
    """Whether both are the same up to rounding."""
    tolerance = max(1e-3, 16 * torch.finfo(one.dtype).eps)
    largest = float(one.abs().max()) if one.numel() else 0.0
    return one.shape == other.shape and torch.allclose(one, other, tolerance, tolerance * largest, equal_nan=True)


def _is_image(planned: fuse.Stage) -> bool:
    return not isinstance(planned, fuse.FusedLayer) and planned.kind == "image"


def _check_dims(stage: Weigh, dims: int, value: Tensor) -> None:
    """Refuse what is folded, or counted as a batch, along another dimension than it runs along."""
    if isinstance(stage.module, nn.Conv2d) and dims != 4:
        raise refuse(
            [f"{stage.label}: its convolution is given {dims} dimensions; it must be given images [B, C, H, W]"]
        )
    if stage.norm is None or isinstance(stage.norm, Shift):
        return
    stage.norm._check_input_dim(value)
    if isinstance(stage.module, nn.Linear) and value.dim() != 2:
        where = f"{stage.label} ({type(stage.norm).__name__})"
        reason = "it normalises dimension 1, and the linear layer before it gives its features in the last"
        raise refuse([f"{where}: {reason}, so that it cannot be folded; give the linear layer [B, features]"])


class Shapes(AnnInterpreter):
    """Runs weights and functions alone, to learn the shapes of what they give: no statistics, no dropout.

    Attributes:
        shapes: what feeds each layer of neurons, [B, ...], by its label.
        weighed: the weights, and what they give.
    """

    def __init__(self) -> None:
        super().__init__()
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.weighed: list[tuple[Weigh, tuple[int, ...]]] = []

    def weigh(self, stage: Weigh, incoming: Tensor) -> Tensor:
        """Run the weights; a BatchNorm keeps the shape."""
        value = incoming if stage.module is None else stage.module(incoming)
        _check_dims(stage, incoming.dim(), value)
        self.weighed.append((stage, tuple(value.shape)))
        return value

    def drop(self, stage: Drop, incoming: Tensor) -> Tensor:
        """Nothing is dropped."""
        return incoming

    def fire(self, stage: Fire, incoming: Tensor) -> Tensor:
        """Take the shape down."""
        self.shapes[stage.neurons.label] = tuple(incoming.shape)
        return incoming
