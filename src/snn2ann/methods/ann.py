"""The plain ANN: the same network with ReLU, no spikes."""

from torch import Tensor

from snn2ann.engine.signals import Observer
from snn2ann.methods.model import Loss, Model, Step


class PlainAnn(Model):
    """A network trained as an ordinary ANN; it is the accuracy and the cost that the spiking ones are held against."""

    spiking = False

    def training_step(self, images: Tensor, labels: Tensor, loss: Loss, observer: Observer | None = None) -> Step:
        """Give the loss of the ANN's logits."""
        logits = self.ann_forward(images)
        return Step(loss(logits, labels), logits)

    def spiking_forward(self, images: Tensor, time_steps: int, observer: Observer | None = None) -> Tensor:
        """A plain ANN has no spikes.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError("a plain ANN does not spike; convert it first")
