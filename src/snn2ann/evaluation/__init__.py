"""Measuring trained networks: accuracy, spikes, operations and energy at every T; calibration; the cost of training."""
