"""One training by several processes of this machine, or of those that torchrun has started."""

import logging
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import typer

from snn2ann.devices import VISIBLE, claim_gpus, gpus
from snn2ann.errors import UserError
from snn2ann.methods import METHODS

# What torchrun tells each process that it starts.
RANK, SIZE, LOCAL_RANK = "RANK", "WORLD_SIZE", "LOCAL_RANK"


def start_processes(number: int, device: str, spec: Mapping[str, Any]) -> bool:
    """Start this very command in several processes and wait for them, where that is asked for and has not been done.

    Args:
        number: of processes; each has a GPU of its own, or all are on the CPU.
        device: as the command's option has it.
        spec: the run that they are to train.

    Returns:
        Whether there is nothing left to do.

    Raises:
        UserError: there are fewer GPUs, or torchrun has started another number, or a device is named that they would share,
            or the run is none for several processes.
        typer.Exit: a process failed, with its status.
    """
    if number < 1:
        raise UserError(f"--processes: {number} is not allowed; expected 1 or more")
    started = int(os.environ.get(SIZE, "0"))
    if max(number, started) > 1:
        _refuse_alone(spec, max(number, started))
    if started:
        if number not in (1, started):
            raise UserError(f"--processes: {number}, and torchrun has started {started}; leave the option out")
        return False
    if number == 1:
        return False
    if device not in ("auto", "cuda", "cpu"):
        raise UserError(f"--device {device}: one device for {number} processes; give auto, cuda or cpu")
    if device != "cpu" and (there := gpus()):
        if len(there) < number:
            raise UserError(f"--processes: {number} processes need a GPU each, and there are {len(there)}")
        claim_gpus(number)
    _launch(number)
    return True


def _refuse_alone(spec: Mapping[str, Any], number: int) -> None:
    method, batch = spec["method"]["name"], spec["recipe"]["batch_size"]
    if spec["recipe"].get("cuda_graph"):
        raise UserError("--processes: recipe.cuda_graph: true is a recipe for one process; leave one of the two out")
    if not METHODS[method].trained:
        raise UserError(f"--processes: a run of {method} is not trained, which one process does; leave the option out")
    if batch < number:
        raise UserError(f"--processes: a batch of {batch} images is too small for {number} processes; start fewer")


def _launch(number: int) -> None:
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    # A process that fails has said why; the launcher would add pages to that.
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    config = LaunchConfig(
        run_id=f"snn2ann-{os.getpid()}",
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=number,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
    )
    command = ["-m", "snn2ann.cli", *sys.argv[1:]]
    try:
        elastic_launch(config, sys.executable)(*command)
    except ChildFailedError as error:
        _, failure = error.get_first_failure()
        raise typer.Exit(max(failure.exitcode, 1)) from None


def await_the_first() -> None:
    """Let the first process say what all of them would; whoever waits is ended meanwhile, and else says it then."""
    if os.environ.get(RANK, "0") != "0":
        time.sleep(3)


@contextmanager
def joined(device: str) -> Iterator[None]:
    """Within, this process is one of those that train together, if torchrun started it; it sees its own GPU alone.

    Args:
        device: as the command's option has it.
    """
    if not os.environ.get(SIZE):
        yield
        return
    own = list(gpus()) if device != "cpu" else []
    if own:
        os.environ[VISIBLE] = own[int(os.environ[LOCAL_RANK]) % len(own)]
    from torch import distributed

    distributed.init_process_group("nccl" if own else "gloo")
    try:
        yield
    finally:
        distributed.destroy_process_group()
