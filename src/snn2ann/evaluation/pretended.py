"""A training step whose tensors have shapes and types but no values: what it keeps, known before anything runs."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.functional import cross_entropy

from snn2ann.evaluation.memory import saved_for_backward
from snn2ann.methods.build import build_model
from snn2ann.training.check import BYTES_OF_A_WEIGHT
from snn2ann.training.precision import arithmetic


@contextmanager
def pretended(model: nn.Module, device: str = "cpu") -> Iterator[None]:
    """Within, tensors have no values, and whoever asks for one gets an error; so has the model, from now on.

    Args:
        model: its parameters and buffers are replaced.
        device: where all is pretended to be; it need not be there, but nothing goes backward on one that is not.
    """

    def empty(value: Tensor) -> Tensor:
        return torch.empty(value.shape, dtype=value.dtype, device=device)

    # What is the host's own stays there, with its values.
    with FakeTensorMode(allow_non_fake_inputs=True):
        for module in model.modules():
            for name, parameter in module._parameters.items():
                if parameter is not None:
                    module._parameters[name] = nn.Parameter(empty(parameter), parameter.requires_grad)
            for name, buffer in module._buffers.items():
                if buffer is not None:
                    module._buffers[name] = empty(buffer)
        yield


def held_bytes(spec: Mapping[str, Any]) -> tuple[int, int]:
    """Say what a training step of a run holds, of one part of a batch where the recipe has `micro_batches`.

    Args:
        spec: a run's specification.

    Returns:
        Bytes that autograd keeps for backward, and bytes of the weights with their gradients and two moments.
    """
    dataset, recipe = spec["dataset"], spec["recipe"]
    images = -(-recipe["batch_size"] // recipe.get("micro_batches", 1))
    with torch.device("meta"):
        model = build_model(spec).train()
    weights = sum(parameter.numel() for parameter in model.parameters())
    with pretended(model):
        shape = (images, *dataset["shape"])
        batch = torch.empty((dataset["frames"], *shape) if model.frames else shape)
        labels = torch.zeros(images, dtype=torch.long)

        def step() -> None:
            with arithmetic(recipe["precision"], batch.device):
                loss = model.training_step(batch, labels, cross_entropy).loss
            loss.backward()

        return saved_for_backward(model, step), weights * BYTES_OF_A_WEIGHT
