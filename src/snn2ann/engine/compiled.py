"""Functions that are one operation to a compiler (`torch.compile`): it need not look into them, nor may it drop them."""

from collections.abc import Callable, Iterable
from functools import wraps
from inspect import signature
from typing import Any, TypeVar, cast

import torch

F = TypeVar("F", bound=Callable[..., Any])


def one_operation(
    name: str, *, like: Callable[..., Any] | None = None, writes: Iterable[str] = (), draws: bool = False
) -> Callable[[F], F]:
    """Decorate a function of tensors, numbers and words, whose types are written as `torch.library.custom_op` reads them.

    Where nothing is compiled, or only pretended, the function is called as it is.

    Args:
        name: of the operation.
        like: takes those of the function's arguments that it names, and gives empty tensors of the shapes and strides that
            the function gives; None where it gives nothing.
        writes: names of arguments that it writes to.
        draws: whether it draws random numbers.
    """

    def decorate(function: F) -> F:
        tags = (torch.Tag.nondeterministic_seeded,) if draws else ()
        operation = torch.library.custom_op(f"snn2ann::{name}", function, mutates_args=tuple(writes), tags=tags)
        if like is not None:
            operation.register_fake(_by_name(like, function))

        @wraps(function)
        def run(*arguments: Any) -> Any:
            # Under a mode such as that of fake tensors, an operation is seen and not looked into either.
            seen = torch.compiler.is_compiling() or torch._C._len_torch_dispatch_stack()
            return (operation if seen else function)(*arguments)

        return cast(F, run)

    return decorate


def _by_name(like: Callable[..., Any], function: Callable[..., Any]) -> Callable[..., Any]:
    """Let it be called with all of a function's arguments."""
    names, wanted = list(signature(function).parameters), list(signature(like).parameters)

    def called(*arguments: Any) -> Any:
        given = dict(zip(names, arguments, strict=True))
        return like(*(given[name] for name in wanted))

    return called
