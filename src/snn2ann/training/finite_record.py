"""Whether all of a training was finite: noted at every step, read once an epoch."""

import torch
from torch import Tensor

from snn2ann.engine import processes
from snn2ann.engine.finite import norms, not_finite
from snn2ann.engine.network import Network


class FiniteRecord:
    """Notes after each step whether the loss, weights, statistics and thresholds are finite; a bad gradient shows in them.

    Args:
        network: on its device.
    """

    def __init__(self, network: Network) -> None:
        weights, thresholds = network.named_state()
        self.values = {name: value for name, value in (weights | thresholds).items() if value.is_floating_point()}
        self.steps: list[Tensor] = []

    def note(self, loss: Tensor) -> None:
        """Note a step; the device is not waited for."""
        found = norms([loss.detach(), *self.values.values()])
        self.steps.append(found.isfinite())

    def close_epoch(self, epoch: int) -> None:
        """Read the epoch's notes.

        Raises:
            UserError: something was not finite; the message has the first such batch and what it was.
        """
        # The loss of another process may be what is not finite.
        finite = processes.sum_of_all(torch.stack(self.steps).long()) == processes.number()
        self.steps.clear()
        if bool(finite.all()):
            return
        batch = int(finite.all(1).long().argmin())
        names = [
            name for name, good in zip(("the loss", *self.values), finite[batch].tolist(), strict=True) if not good
        ]
        raise not_finite(names, f"epoch {epoch}, batch {batch + 1}")
