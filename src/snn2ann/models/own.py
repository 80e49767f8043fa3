"""A network of the user's own, made by a function in a file of theirs."""

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from torch import nn

from snn2ann.errors import UserError


def from_path(
    image_shape: tuple[int, int, int], classes: int, *, path: str, code: str = "", **arguments: Any
) -> nn.Module:
    """Call the function that makes the network.

    Args:
        image_shape: (C, H, W).
        classes: number of classes.
        path: "package.file:function"; the function is given image shape and classes, and the arguments by name.
        code: digest of the file, which is part of what a run is named by; not used here.
        **arguments: the function's own.

    Raises:
        UserError: the file cannot be imported, has no such function, or this does not give a module.
    """
    module, _, name = path.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        # A command's first place is its own folder, not the one that it is called in.
        sys.path.insert(0, here)
    try:
        made = getattr(import_module(module), name)(image_shape, classes, **arguments)
    except Exception as error:
        raise UserError(f"path: {path} makes no network: {type(error).__name__}: {error}") from error
    if not isinstance(made, nn.Module):
        raise UserError(f"path: {path} gives {type(made).__name__}; expected a torch.nn.Module")
    return made
