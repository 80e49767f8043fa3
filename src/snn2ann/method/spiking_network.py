"""A trained network as a plain spiking one: folded weights and IF neurons, and nothing of the training."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from snn2ann.engine.finite import check_finite, tensors_of
from snn2ann.engine.network import floats_of, refuse_images
from snn2ann.engine.neuron import Reset, integrate_and_fire
from snn2ann.engine.normalisation import weigh
from snn2ann.engine.pooling import pool_charge
from snn2ann.engine.stages import times
from snn2ann.errors import UserError


@dataclass(frozen=True)
class Step:
    """One step of a plain spiking network.

    Attributes:
        layer: its name among the layers, and that of its result.
        inputs: names of the results that it takes.
        timed: whether it is told T as well.
    """

    layer: str
    inputs: tuple[str, ...]
    timed: bool


class SpikingNetwork(nn.Module):
    """A spiking network that can be saved, exported and deployed: no BatchNorm, no gradient, no ANN.

    Between layers, time is folded into the batch: [T·B, ...], step by step.

    Args:
        layers: by name; they are run as `steps` says.
        steps: in order; the first takes "images", the last gives the logits.
        time_steps: T of training, over which the biases are spread; the T that it runs for where none is said.
        frames: whether it takes frames, an image for every step, and not images.
        image_shape: of an image, where it is known.

    Attributes:
        time_steps: T of training.
        frames: whether it takes frames.
        image_shape: of an image, where it is known.
    """

    def __init__(
        self,
        layers: dict[str, nn.Module],
        steps: list[Step],
        time_steps: int,
        *,
        frames: bool = False,
        image_shape: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__()
        self.frames = frames
        self.image_shape = image_shape
        self.layers = nn.ModuleDict(layers)
        self.steps = steps
        self.time_steps = time_steps
        self._last = {name: number for number, step in enumerate(steps) for name in step.inputs}

    @torch.no_grad()
    def forward(self, images: Tensor, time_steps: int | None = None, every_step: bool = False) -> Tensor:
        """Run the network.

        Args:
            images: [B, C, H, W], or whatever the network takes; [T, B, C, H, W] where it takes frames.
            time_steps: T to run for; the T of training if not said.
            every_step: whether logits after every step are wanted.

        Returns:
            Logits after the last step, [B, classes]; or after every step, [T, B, classes].

        Raises:
            UserError: images or weights are not finite, which an exported network does not look at; or frames are not as
                many as steps, or given where images are taken, or the other way round.
        """
        refuse_images(images, floats_of(self), self.image_shape)
        if not torch.compiler.is_exporting():
            check_finite({"the images": images} | tensors_of(self), "spiking network")
        count = self.time_steps if time_steps is None else time_steps
        self._check_dimensions(images)
        if self.frames:
            check_steps(images, count)
        # A flattening would hold an exported network to how the frames lie in memory.
        values = {"images": torch.cat(images.unbind()) if self.frames else images}
        for number, step in enumerate(self.steps):
            taken = [values[name] for name in step.inputs]
            # A layer's spikes are freed when no later one needs them.
            values = {name: value for name, value in values.items() if self._last[name] > number}
            layer = self.layers[step.layer]
            values[step.layer] = layer(*taken, count) if step.timed else layer(*taken)
        by_step = values[self.steps[-1].layer].unflatten(0, (count, -1))
        return by_step if every_step else by_step[-1]

    def _check_dimensions(self, images: Tensor) -> None:
        other = 1 if self.frames else 2
        if self.image_shape is not None and images.dim() == other + len(self.image_shape):
            taken = "frames, [T, B, ...]" if self.frames else "images, [B, ...]"
            raise UserError(
                f"{times(tuple(images.shape))}: this spiking network takes {taken} of {times(self.image_shape)}; "
                f"coupled.spiking(frames={not self.frames}) gives the other"
            )


def check_steps(frames: Tensor, time_steps: int) -> None:
    """Hold frames [T, B, ...] against the steps that are run.

    Raises:
        UserError: there are not as many.
    """
    if len(frames) != time_steps:
        raise UserError(
            f"{len(frames)} frames for {time_steps} steps: give frames [T, B, C, H, W] with T = {time_steps}, or say the "
            "other T as time_steps"
        )


class Encode(nn.Module):
    """Gives each step its input, as a current that is constant over time.

    Args:
        steps: the image is divided by this.
    """

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps

    def forward(self, images: Tensor) -> Tensor:
        """Give [B, ...]."""
        return images / self.steps

    def extra_repr(self) -> str:
        """Say by what images are divided."""
        return f"steps={self.steps}"


class Amount(nn.Module):
    """Multiplies spikes by what one is worth, where no weights that could be multiplied by it take them.

    Args:
        worth: a scalar; or one a channel, [1, C, ...].
    """

    worth: Tensor

    def __init__(self, worth: Tensor) -> None:
        super().__init__()
        self.register_buffer("worth", worth)

    def forward(self, spikes: Tensor) -> Tensor:
        """Give what they are worth, [N, ...]."""
        return spikes * self.worth


class Scale(nn.Module):
    """A BatchNorm that follows no convolution or linear layer: a·x + b per channel.

    Args:
        scale: a, [C], or one for all.
        bias: b, [C], or one for all.
    """

    scale: Tensor
    bias: Tensor

    def __init__(self, scale: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.register_buffer("scale", scale.reshape(-1))
        self.register_buffer("bias", bias.reshape(-1))

    def forward(self, value: Tensor) -> Tensor:
        """Give a·x + b, [N, C, ...]."""
        return weigh(None, value, self.scale, self.bias)


class PoolCharge(nn.Module):
    """Max pooling of the charge so far; see `snn2ann.engine.pooling.pool_charge`.

    Args:
        pooling: of [N, C, H, W].
    """

    def __init__(self, pooling: nn.Module) -> None:
        super().__init__()
        self.pooling = pooling

    def forward(self, current: Tensor, time_steps: int) -> Tensor:
        """Pool currents [T·B, C, H, W]."""
        return pool_charge(current.unflatten(0, (time_steps, -1)), self.pooling).flatten(0, 1)


class Repeat(nn.Module):
    """Repeats what is constant over time: [B, ...] to [T·B, ...]."""

    def forward(self, value: Tensor, time_steps: int) -> Tensor:
        """Repeat it T times."""
        return value.expand(time_steps, *value.shape).flatten(0, 1)


class Rate(nn.Module):
    """Averages spikes over the steps so far: [T·B, ...] to [T·B, ...]."""

    def forward(self, spikes: Tensor, time_steps: int) -> Tensor:
        """Give the counts after every step, over the number of steps."""
        counts = spikes.unflatten(0, (time_steps, -1)).cumsum(0)
        steps = torch.arange(1, time_steps + 1, device=counts.device, dtype=counts.dtype)
        return (counts / steps.view(-1, *[1] * (counts.dim() - 1))).flatten(0, 1)


class IntegrateAndFire(nn.Module):
    """The neurons of a plain spiking network.

    Args:
        threshold: V, [1, ...].
        reset: "zero" or "subtract".
        membrane_start: u before the first step, as a fraction of V.
        constant: whether the current is the same at every step, and given once.
    """

    threshold: Tensor

    def __init__(self, threshold: Tensor, reset: Reset, membrane_start: float, constant: bool) -> None:
        super().__init__()
        self.register_buffer("threshold", threshold)
        self.reset: Reset = reset
        self.membrane_start = membrane_start
        self.constant = constant

    def forward(self, current: Tensor, time_steps: int) -> Tensor:
        """Run over all steps.

        Args:
            current: [T·B, ...], or [B, ...] if constant.
            time_steps: T.

        Returns:
            The spikes, 0 or 1, [T·B, ...].
        """
        by_step = current.unflatten(0, (1 if self.constant else time_steps, -1))
        by_step = by_step.expand(time_steps, *by_step.shape[1:]).to(self.threshold.dtype)
        spikes = integrate_and_fire(by_step, self.threshold, reset=self.reset, membrane_start=self.membrane_start)
        return spikes.flatten(0, 1)

    def extra_repr(self) -> str:
        """Say how many, and how they are run."""
        shape = times(tuple(self.threshold.shape[1:]))
        return f"{shape}, reset={self.reset}, membrane_start={self.membrane_start:g}"
