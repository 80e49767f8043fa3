"""Adaptive threshold adjustment in training."""

import torch

from snn2ann.method.thresholds import adjust_threshold


def test_thresholds_rise_by_a_hundredth_above_the_limit() -> None:
    threshold = torch.tensor([[0.0, 0.5]])
    adjust_threshold(threshold, torch.tensor(0.11))
    torch.testing.assert_close(threshold, torch.tensor([[0.01, 0.51]]))


def test_thresholds_stay_at_and_below_the_limit() -> None:
    for rate in (0.0, 0.1):
        threshold = torch.tensor([[0.25, 0.5]])
        adjust_threshold(threshold, torch.tensor(rate, dtype=torch.float64))
        torch.testing.assert_close(threshold, torch.tensor([[0.25, 0.5]]))
