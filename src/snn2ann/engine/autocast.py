"""Whether convolutions and linear layers are run in low precision."""

import torch
from torch import Tensor


def autocast_type(like: Tensor) -> torch.dtype | None:
    """Give the type that autocast brings to what weights take, on a tensor's device; None where it is not on."""
    device = like.device.type
    on = torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
    return torch.get_autocast_dtype(device) if on else None
