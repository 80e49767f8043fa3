"""A batch in parts, one after another and by several processes side by side: the gradient is that of the whole."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from snn2ann.engine import processes


def parts_of(
    images: Tensor, labels: Tensor, *, whole: int, micro_batches: int, smallest: int, batch_axis: int = 0
) -> Iterator[tuple[Tensor, Tensor, float]]:
    """Give the parts of this process's share of a batch: images, labels, and what a mean over them weighs in the step.

    Args:
        images: [B, C, H, W], or frames [T, B, C, H, W].
        labels: [B].
        whole: how many images all processes have together.
        micro_batches: how many parts are run one after another, where there are so many images.
        smallest: images that a part must have.
        batch_axis: 0; of frames, 1.
    """
    together = processes.number()
    # As many in every process, whose BatchNorms wait for one another.
    number = max(1, min(micro_batches, whole // max(together, smallest)))
    pairs = zip(images.tensor_split(number, batch_axis), labels.tensor_split(number), strict=True)
    for some_images, some_labels in pairs:
        yield some_images, some_labels, len(some_labels) * together / whole


@torch.no_grad()
def mean_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Give every parameter the mean of all processes' gradients."""
    if not processes.several():
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    flat = processes.sum_of_all(torch.cat([gradient.flatten() for gradient in gradients])).div_(processes.number())
    for gradient, mean in zip(gradients, flat.split([each.numel() for each in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))
