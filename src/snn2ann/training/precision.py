"""The floating-point format of training's arithmetic."""

from contextlib import AbstractContextManager

import torch


def arithmetic(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """Give the context in which training steps are run.

    Args:
        precision: "fp32", or "bf16": convolutions and linear layers of every method in bfloat16 (PyTorch's autocast), while
            weights, statistics, thresholds and the coupled method's membranes stay in single precision.
        device: where the model is.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
