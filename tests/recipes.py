"""The recipe that tests of training start from; each says what it has otherwise."""

from typing import Any

PLAIN: dict[str, Any] = {
    "epochs": 2,
    "batch_size": 50,
    "optimizer": "adam",
    "learning_rate": 0.01,
    "weight_decay": 0.0,
    "schedule": {"kind": "one-cycle", "warmup": 0.3},
    "label_smoothing": 0.0,
    "augmentation": {"crop_padding": 1, "horizontal_flip": False},
    "normalisation": None,
    "precision": "fp32",
}
