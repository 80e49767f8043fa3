"""Layers of IF neurons: one threshold a neuron, whose number the first images say."""

from typing import Any, Literal

from torch import Tensor, nn

from snn2ann.engine.neuron import Reset, integrate_and_fire
from snn2ann.errors import UserError
from snn2ann.method.thresholds import start_thresholds


class Neurons(nn.Module):
    """The neurons that take the place of one call of a ReLU, while the network is trained.

    Attributes:
        threshold: V, [1, ...], or empty until the first images say how many neurons there are.
        noisy_spike_rate: of the last batch, a scalar tensor, where both branches were run.
        spikes_per_image: of the last batch, a scalar tensor.
    """

    threshold: Tensor

    def __init__(self, like: Tensor) -> None:
        super().__init__()
        self.register_buffer("threshold", like.new_empty(0))
        self.noisy_spike_rate: Tensor | None = None
        self.spikes_per_image: Tensor | None = None

    def size_for(self, name: str, current: Tensor, start: float | Literal["uniform"]) -> None:
        """Make the thresholds, if they are not there, one for each neuron of a current [T, B, ...].

        Raises:
            UserError: they are there, and for another number of neurons.
        """
        shape = (1, *current.shape[2:])
        if not self.threshold.numel():
            self.threshold.resize_(shape)
            start_thresholds(self.threshold, start)
        elif self.threshold.shape != shape:
            raise UserError(
                f"{name}: has neurons for {_times(self.threshold.shape[1:])}, these images need {_times(shape[1:])}; "
                "give images of the first ones' size, or couple the network anew"
            )

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        saved = state_dict.get(prefix + "threshold")
        # Where either is empty, there is nothing that could be of another size.
        if saved is not None and 0 in (saved.numel(), self.threshold.numel()):
            self.threshold = self.threshold.new_empty(saved.shape)
        super()._load_from_state_dict(state_dict, prefix, *rest)


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
        return f"{_times(self.threshold.shape[1:])}, reset={self.reset}, membrane_start={self.membrane_start:g}"


def _times(shape: Any) -> str:
    return "×".join(str(length) for length in shape)
