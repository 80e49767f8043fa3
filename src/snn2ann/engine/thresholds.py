"""Where thresholds start."""

from typing import Literal

from torch import Tensor


def start_thresholds(threshold: Tensor, start: float | Literal["uniform"]) -> None:
    """Set every threshold to `start`, or draw each from the uniform distribution over [0, 1)."""
    if start == "uniform":
        threshold.uniform_(0, 1)
    else:
        threshold.fill_(start)
