"""Bring an untrained network to where its neurons fire as in training, so that what follows the spikes can be timed."""

from torch import Tensor
from torch.nn.functional import cross_entropy

from snn2ann.engine.normalisation import BatchNorm
from snn2ann.methods.model import Model

BATCHES = 3


def settle(model: Model, images: Tensor, labels: Tensor) -> None:
    """Let the BatchNorms take the statistics of a few training batches; weights and thresholds stay, gradients are cleared.

    Without it, the running statistics of a deep network before training are so far off that its last layers hardly fire.

    Args:
        model: left in evaluation mode; one that is not trained is only put there.
        images: [B, C, H, W].
        labels: [B].
    """
    norms = [module for module in model.modules() if isinstance(module, BatchNorm)]
    thresholds = {name: value.clone() for name, value in model.named_buffers() if name.endswith("threshold")}
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = 1.0
    model.train()
    for _ in range(BATCHES if model.trains else 0):
        model.training_step(images, labels, cross_entropy)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    for name, value in model.named_buffers():
        if name in thresholds:
            value.copy_(thresholds[name])
    model.zero_grad(set_to_none=True)
    model.eval()
