"""The floating-point format of training's arithmetic."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import torch


def arithmetic(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """Give the context in which training steps are run.

    Args:
        precision: "fp32"; "tf32", see `single_precision`; or "bf16": convolutions and linear layers of every method in
            bfloat16 (PyTorch's autocast), while weights, statistics, thresholds and the coupled method's membranes stay in
            single precision.
        device: where the model is.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


@contextmanager
def single_precision(precision: str) -> Iterator[None]:
    """Within, forward and backward, a GPU rounds what it multiplies to ten bits under "tf32", and else to nothing less.

    PyTorch's own choice is TF32 for convolutions and not for matrices.
    """
    convolutions, matrices = torch.backends.cudnn, torch.backends.cuda.matmul
    before = convolutions.allow_tf32, matrices.allow_tf32
    convolutions.allow_tf32 = matrices.allow_tf32 = precision == "tf32"
    try:
        yield
    finally:
        convolutions.allow_tf32, matrices.allow_tf32 = before
