"""Operations: counted exactly."""

import pytest
import torch
from torch import nn

from snn2ann.evaluation.operations import accumulates, multiply_accumulates


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(3, 1, 1), (3, 2, 1), (1, 2, 0), (3, 1, 0)])
def test_accumulates_equal_a_convolution_that_counts(kernel: int, stride: int, padding: int) -> None:
    convolution = nn.Conv2d(4, 6, kernel, stride, padding)
    spikes = torch.randint(0, 2, (3, 2, 4, 7, 7), generator=torch.Generator().manual_seed(0)).float()
    ones = torch.ones_like(convolution.weight)
    counted = torch.nn.functional.conv2d(spikes.flatten(0, 1), ones, stride=stride, padding=padding)
    expected = counted.unflatten(0, (3, 2)).sum((1, 2, 3, 4)).double()
    assert torch.equal(accumulates(convolution, spikes), expected)


def test_multiply_accumulates_of_a_convolution() -> None:
    assert multiply_accumulates(nn.Conv2d(3, 64, 3, padding=1), (32, 32)) == 3 * 9 * 64 * 32 * 32
