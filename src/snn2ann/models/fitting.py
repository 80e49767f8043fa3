"""Networks of the paper's kinds for images of a side that params.yaml has no value for. Free of torch."""

from collections.abc import Mapping
from typing import Any

# Maps whose shorter side is larger are halved as long as there are blocks left.
LARGEST_LAST_SIDE = 4


def fitted(network: Mapping[str, Any], option: str, size: tuple[int, int]) -> list[int] | None:
    """Halve the maps as often as fits: in the last blocks, until their shorter side is at most 4.

    Args:
        network: kind and parameters.
        option: `pooled_blocks` of a `vgg`, or `strides` of a `resnet`.
        size: (height, width) of an image.

    Returns:
        The option's value; None for other kinds and options.
    """
    if (network["kind"], option) == ("vgg", "pooled_blocks"):
        blocks = len(network["blocks"])
        return list(range(blocks - _halvings(min(size), blocks, up=False) + 1, blocks + 1))
    if (network["kind"], option) == ("resnet", "strides"):
        stages = len(network["channels"])
        halved = _halvings(min(size), stages, up=True)
        return [1] * (stages - halved) + [2] * halved
    return None


def _halvings(side: int, most: int, *, up: bool) -> int:
    """How often; a stride rounds up what pooling rounds down."""
    count = 0
    while side > LARGEST_LAST_SIDE and count < most:
        side, count = (side + up) // 2, count + 1
    return count
