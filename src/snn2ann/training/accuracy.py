"""Loss and accuracy of a model over batches: the deployed network's, and the ANN branch's where there is one."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from snn2ann.engine import processes
from snn2ann.methods.model import Loss, Model


@dataclass
class Score:
    """Mean loss and accuracy (0 to 1) over images; the ANN branch's accuracy is None where there is no such branch."""

    loss: float
    accuracy: float
    ann_accuracy: float | None


@torch.no_grad()
def score(model: Model, batches: Iterable[tuple[Tensor, Tensor]], loss: Loss) -> Score:
    """Score a model in evaluation mode, spiking ones at the T of training; over the batches of all processes.

    Args:
        model: any method's.
        batches: images [B, C, H, W] and labels [B]; at least one.
        loss: of logits and labels.
    """
    model.eval()
    loss_sum = correct = ann_correct = seen = 0.0
    for images, labels in batches:
        # A process's part of a last batch may be empty.
        if not len(labels):
            continue
        ann, logits = _logits(model, images)
        loss_sum += float(loss(logits, labels)) * len(labels)
        correct += int((logits.argmax(1) == labels).sum())
        ann_correct += 0 if ann is None else int((ann.argmax(1) == labels).sum())
        seen += len(labels)
    if processes.several():
        device = next(model.parameters()).device
        sums = torch.tensor([loss_sum, correct, ann_correct, seen], dtype=torch.float64, device=device)
        loss_sum, correct, ann_correct, seen = processes.sum_of_all(sums).tolist()
    branches = model.coupled
    return Score(loss_sum / seen, correct / seen, ann_correct / seen if branches else None)


def _logits(model: Model, images: Tensor) -> tuple[Tensor | None, Tensor]:
    if model.coupled:
        return model.coupled_forward(images, model.time_steps)
    if model.spiking:
        return None, model.spiking_forward(images, model.time_steps)[-1]
    return None, model.ann_forward(images)
