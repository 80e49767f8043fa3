"""The columns of the files that one part of the project writes and another reads."""

HISTORY = (
    "epoch",
    "seconds",
    "learning_rate",
    "train_loss",
    "train_accuracy",
    "validation_loss",
    "validation_accuracy",
    "ann_branch_validation_accuracy",
)
LAYERS = (
    "epoch",
    "layer",
    "noisy_spike_rate",
    "threshold_mean",
    "threshold_minimum",
    "threshold_maximum",
    "firing_rate",
)
INFERENCE = (
    "dataset",
    "network",
    "method",
    "variant",
    "library",
    "time_steps",
    "batch_size",
    "device",
    "threads",
    "round",
    "seconds",
    "machine",
)
TRAINING_COST = (
    "network",
    "method",
    "variant",
    "library",
    "time_steps",
    "batch_size",
    "precision",
    "device",
    "threads",
    "round",
    "seconds",
    "saved_bytes",
    "peak_bytes",
    "machine",
)

PER_TIME_STEP = ("accuracy", "spikes_per_image", "firing_rate", "synaptic_operations", "energy")
"""What an evaluation's entry has at every T."""
BALANCED = "balanced_accuracy"
"""Likewise, of data of one's own alone."""
