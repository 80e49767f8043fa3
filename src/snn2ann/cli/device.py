"""Torch as a command's options ask for it."""

import os

from snn2ann.cli.processes import LOCAL_RANK
from snn2ann.devices import claim_gpus
from snn2ann.errors import UserError


def set_up_torch(threads: int, device: str) -> str:
    """Set torch's threads, choose the device, and make a GPU deterministic; "auto" and "cuda" take a GPU that is free.

    Raises:
        UserError: a device that is not there.
    """
    # Of several processes, each has been given its own.
    if device in ("auto", "cuda") and LOCAL_RANK not in os.environ:
        claim_gpus()
    import torch

    if threads:
        torch.set_num_threads(threads)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"--device {device}: not there ({str(error).splitlines()[0]}); give auto or cpu") from error
    if device != "cpu":
        # The CPU's operations that we use are deterministic anyway, and this call takes two seconds to load.
        torch.use_deterministic_algorithms(True, warn_only=True)
        # Evaluation is in single precision; training says its own.
        torch.backends.cudnn.allow_tf32 = False
    return device
