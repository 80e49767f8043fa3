"""What a step says of its batch: the loss and the hits of the logits that it was taken of."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from tests.training.test_captured import trainer


@pytest.mark.parametrize("micro_batches", [1, 2])
def test_loss_and_hits_are_those_of_the_logits(micro_batches: int) -> None:
    by = trainer("ann", "vgg", micro_batches=micro_batches)
    by.model.train()
    images, labels = next(by.training_batches(1))
    torch.manual_seed(3)
    parts = zip(images.tensor_split(micro_batches), labels.tensor_split(micro_batches), strict=True)
    logits = torch.cat([by.model.training_step(some, theirs, cross_entropy).logits for some, theirs in parts]).detach()
    # Labels of which four are right.
    labels = torch.where(torch.arange(7) < 4, logits.argmax(1), (logits.argmax(1) + 1) % 3)
    torch.manual_seed(3)
    summed, correct = by.step(images, labels, 7, 0.0)
    assert int(correct) == 4
    assert float(summed) == pytest.approx(7 * float(cross_entropy(logits, labels)))
