"""What wraps a network and is none that can be coupled, and what to couple instead."""

from collections.abc import Iterator

from torch import fx, nn
from torch.jit import ScriptModule

from snn2ann.network.refusals import Offence, grouped, refuse

_INSTEAD = {
    "DataParallel": "couple the network in it, its `module`, and put DistributedDataParallel around that",
    "DistributedDataParallel": "couple the network in it, its `module`, and put it around what is coupled",
    "FullyShardedDataParallel": "couple the network in it, its `module`, and put it around what is coupled",
    "AveragedModel": "couple the network in it, its `module`, and average what is coupled",
    "OptimizedModule": "couple the network that was compiled, its `_orig_mod`",
    "CoupledNetwork": "it is coupled already; couple its `model` to do it with other options",
    "SpikingNetwork": "it is a spiking network already; couple the network that it was made of",
}
"""By name of a class, since some of them take long to load."""


def check_wrappers(model: nn.Module) -> None:
    """Look for what wraps a network, or is a program made of one.

    Raises:
        UserError: there is some; the message says what to couple instead.
    """
    if offences := list(_wrappers(model)):
        raise refuse(grouped(offences))


def _wrappers(model: nn.Module) -> Iterator[Offence]:
    for name, module in model.named_modules():
        kind = type(module).__name__
        place = f"{name or 'the network itself'} ({kind})"
        if kind in _INSTEAD:
            yield place, kind, _INSTEAD[kind]
        elif isinstance(module, fx.GraphModule | ScriptModule):
            yield place, "program", "it is a program made of a network; couple the network that it was made of"
        else:
            continue
        if not name:
            # The rest is its own matter.
            return
