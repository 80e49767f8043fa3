"""Torchvision's networks: any of its classification models by name, without weights, for images of any channels."""

from typing import Any

import torchvision
from torch import nn

from snn2ann.errors import UserError

# Poolings that belong to the stem, by their place in the network.
STEM_POOLINGS = ("maxpool", "features.pool0")


def from_torchvision(
    image_shape: tuple[int, int, int], classes: int, *, model: str, stem: str = "own", **arguments: Any
) -> nn.Module:
    """Build a torchvision model.

    Args:
        image_shape: (C, H, W); a first convolution for other than 3 channels is made anew.
        classes: number of classes.
        model: its name, as `torchvision.models.list_models` has it.
        stem: "own", or "small" for small images: the first convolution becomes 3×3 with stride 1, and a max pooling straight
            after it, where the network has one, is left out.
        **arguments: the builder's own; no `weights`, which would be downloaded.

    Raises:
        UserError: no such model, an argument that it does not take, or a network without a convolution.
    """
    known = torchvision.models.list_models(module=torchvision.models)
    if model not in known:
        raise UserError(f"name: torchvision {torchvision.__version__} has no model {model!r}; {_near(model, known)}")
    if arguments.get("weights") is not None:
        raise UserError("weights: trained weights are not loaded; a kind: module network may load a file of its own")
    try:
        network: nn.Module = torchvision.models.get_model(model, num_classes=classes, **arguments)
    except (TypeError, ValueError) as error:
        raise UserError(f"torchvision's {model} cannot be built: {error}") from error
    return _with_stem(network, image_shape[0], model, stem)


def _near(model: str, known: list[str]) -> str:
    from difflib import get_close_matches

    found = get_close_matches(model, known, n=3)
    return (
        f"did you mean {' or '.join(map(repr, found))}?"
        if found
        else "torchvision.models.list_models() has their names"
    )


def _with_stem(network: nn.Module, channels: int, model: str, stem: str) -> nn.Module:
    """Replace the first convolution where images ask for it."""
    first = next((name for name, module in network.named_modules() if isinstance(module, nn.Conv2d)), None)
    if first is None:
        raise UserError(f"torchvision's {model} has no convolution")
    old = network.get_submodule(first)
    assert isinstance(old, nn.Conv2d)
    if stem == "small":
        _replace(network, first, nn.Conv2d(channels, old.out_channels, 3, padding=1, bias=old.bias is not None))
        for name in STEM_POOLINGS:
            if any(name == found for found, _ in network.named_modules()):
                _replace(network, name, nn.Identity())
    elif channels != old.in_channels:
        size, stride, padding = old.kernel_size, old.stride, old.padding
        made = nn.Conv2d(channels, old.out_channels, size, stride, padding, bias=old.bias is not None)  # type: ignore[arg-type]
        _replace(network, first, made)
    return network


def _replace(network: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    setattr(network.get_submodule(parent), last, module)
