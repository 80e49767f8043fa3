"""A network of one's own, coupled: trained in one's own loop, and given back as a spiking network."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from snn2ann.engine.finite import check_finite
from snn2ann.engine.network import Network
from snn2ann.engine.signals import Observation, Observer
from snn2ann.engine.stages import firing
from snn2ann.method.coupling import CoupledInterpreter, check_coding
from snn2ann.method.deploy import deploy
from snn2ann.method.spiking import SpikingInterpreter
from snn2ann.method.spiking_network import SpikingNetwork
from snn2ann.options import CouplingOptions


@dataclass(frozen=True)
class LayerReport:
    """A layer of neurons in the last batch.

    Attributes:
        name: of the module whose ReLU it stands for, by its author's names; `:2` and so on where that is called again.
        neurons: how many.
        threshold: their mean threshold.
        spikes_per_image: over all steps.
        noisy_spike_rate: share of neurons that fired although the ANN's activation is zero; None where only the SNN ran.
        way: "by events", spike by spike, or "densely: " and why.
    """

    name: str
    neurons: int
    threshold: float
    spikes_per_image: float
    noisy_spike_rate: float | None
    way: str


class CoupledNetwork(Network):
    """A network whose ReLU activations are, in training, the spike counts of IF neurons that share its weights.

    In training mode it is the ANN branch, with gradient; in evaluation mode the SNN branch, without.

    Args:
        model: the network; its parameters and statistics are used as they are, and trained.
        time_steps: T.
        options: how the branches are coupled.

    Attributes:
        model: the network.
        neurons: layers of neurons by name.
        time_steps: T.
        options: how the branches are coupled.
        event_driven: whether layers that suit it are run spike by spike on a CPU; else all are run densely.
        progress: share of the training that is done, from 0 to 1, which a price on spikes may fall with; yours to set. Where
            nobody does, the price is its mean over the training, that of one half.
        batches: how many training batches there were since it was coupled.

    Raises:
        UserError: the network cannot be coupled; all reasons are named.
    """

    progress: float = 0.5
    event_driven: bool = True

    def __init__(self, model: nn.Module, time_steps: int, options: CouplingOptions) -> None:
        super().__init__(model)
        check_coding(self.plan, options, time_steps)
        self.time_steps = time_steps
        self.options = options
        self.batches = 0
        # The network's own modules keep their modes.
        self.training = model.training

    def make_thresholds(self, images: Tensor) -> None:
        """Make the thresholds for images [B, C, H, W]; nothing else changes, and no statistics are taken of them."""
        self.make_neurons(images, self.options.threshold_start)

    def forward(self, images: Tensor) -> Tensor:
        """Give the logits of the ANN branch, with gradient, in training mode; else those of the SNN.

        Args:
            images: [B, C, H, W], or whatever the network takes.

        Returns:
            [B, classes].

        Raises:
            UserError: images or the network's state are not finite, or a batch is none that can be run.
        """
        if self.training:
            return self.branches(images)[0]
        self._prepare(images)
        return self.run_by(self._spiking(self._report), images)[-1]

    def branches(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Run both branches; thresholds are adjusted in training mode only.

        Returns:
            Logits of the ANN branch, with gradient, and of the SNN branch, without: [B, classes] each.

        Raises:
            UserError: images or the network's state are not finite, or a batch is none that can be run.
        """
        self._prepare(images)
        self.batches += self.training
        interpreter = CoupledInterpreter(
            self._spiking(None),
            adjust=self.training and self.options.ata,
            observer=self._report,
            penalty=self.options.penalty_at(self.progress) / self.number_of_neurons(),
        )
        return self.run_by(interpreter, images)

    def _spiking(self, observer: Observer | None) -> SpikingInterpreter:
        return SpikingInterpreter(
            self.time_steps,
            self.time_steps,
            self.options,
            training=self.training,
            observer=observer,
            event_driven=self.event_driven,
        )

    @torch.no_grad()
    def _report(self, seen: Observation) -> None:
        fire = firing(seen.stage)
        if fire:
            fire.neurons.noisy_spike_rate = seen.noisy_spike_rate
            # PyTorch's own type for a sum of bytes is five times as slow.
            fire.neurons.spikes_per_image = seen.outgoing.count.sum(dtype=torch.int32) / seen.outgoing.samples

    def _prepare(self, images: Tensor) -> None:
        """Check that all is finite, which spikes would not tell, and make the thresholds of the first images."""
        self._check_finite({"the images": images})
        if self.image_shape is None:
            self.make_thresholds(images)

    def _check_finite(self, images: dict[str, Tensor]) -> None:
        weights, thresholds = self.named_state()
        check_finite(images | weights | thresholds, f"after {self.batches} training batches")

    def layers(self) -> list[LayerReport]:
        """Report on the layers of neurons, in order, as they were in the last batch.

        Raises:
            RuntimeError: there was none.
        """
        reports = []
        for name, layer in self.by_label().items():
            if layer.spikes_per_image is None:
                raise RuntimeError("there is nothing to report before the first images")
            rate = None if layer.noisy_spike_rate is None else layer.noisy_spike_rate.item()
            mean, spikes = layer.threshold.mean().item(), layer.spikes_per_image.item()
            reports.append(LayerReport(name, layer.threshold.numel(), mean, spikes, rate, layer.way))
        return reports

    def thresholds(self) -> dict[str, Tensor]:
        """Give the thresholds themselves, [1, ...] each, by layer; empty before the first images."""
        return {name: layer.threshold for name, layer in self.by_label().items()}

    def spiking(self) -> SpikingNetwork:
        """Give the network as a plain spiking one, of the running statistics; it shares nothing with this one.

        Raises:
            RuntimeError: thresholds are not known before the first images.
            UserError: its state is not finite.
        """
        if not self.number_of_neurons():
            raise RuntimeError(
                "how many neurons there are is not known before the first images; give some, or image_shape"
            )
        self._check_finite({})
        return deploy(self, self.options, self.time_steps)

    def extra_repr(self) -> str:
        """Say T and the options."""
        return f"time_steps={self.time_steps}, {self.options}"
