"""A network of one's own, coupled: trained in one's own loop, and given back as a spiking network."""

import json
import warnings
from copy import deepcopy
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from snn2ann.engine.compiled import one_operation
from snn2ann.engine.finite import check_finite
from snn2ann.engine.network import Network, floats_of, refuse_images
from snn2ann.engine.processes import same_for_all
from snn2ann.engine.signals import Observation, Observer
from snn2ann.engine.stages import firing
from snn2ann.errors import UserError
from snn2ann.method.calibration import calibrate
from snn2ann.method.coupling import CoupledInterpreter, check_coding
from snn2ann.method.deploy import deploy
from snn2ann.method.quantised import QuantisedInterpreter
from snn2ann.method.spiking import SpikingInterpreter
from snn2ann.method.spiking_network import SpikingNetwork, check_steps
from snn2ann.network.besides import check_besides
from snn2ann.network.structure import check_structure
from snn2ann.options import CouplingOptions


class _Price:
    """The last batch's price, which no copy of the network takes over: it belongs to that batch's graph."""

    def __init__(self) -> None:
        self.value: Tensor | None = None

    def __reduce__(self) -> tuple[type["_Price"], tuple[()]]:
        return _Price, ()


def _said(state: Tensor) -> dict[str, Any]:
    """What `get_extra_state` gave."""
    return dict(json.loads(bytes(state.cpu().tolist())))


@one_operation("begin", writes=("batches",))
def _begin(batches: Tensor) -> None:
    """Count a training batch; what runs inside of a backward pass is run a second time, and is refused."""
    if torch._C._are_functorch_transforms_active():
        raise UserError(
            "torch.func's transforms (grad, vmap) cannot take a coupled network in training, which writes to thresholds and "
            "statistics; use loss.backward(), or transform the network itself, without neurons"
        )
    if torch._C._current_graph_task_id() != -1:
        raise UserError(
            "activation checkpointing runs a coupled network twice, which would adjust thresholds and statistics twice "
            "and give other spikes; leave it out (backward needs a byte a neuron as it is), and where memory is short "
            "accumulate smaller batches"
        )
    batches.add_(1)


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

    Raises:
        UserError: the network cannot be coupled; all reasons are named.
    """

    event_driven: bool = True

    def __init__(self, model: nn.Module, time_steps: int, options: CouplingOptions) -> None:
        super().__init__(model)
        check_coding(self.plan, options, time_steps)
        self.time_steps = time_steps
        self.options = options
        # Of no device and no type of the weights; a compiled network reads them anew at every call.
        with torch.inference_mode(False):
            self._batches = torch.zeros((), dtype=torch.long, device="cpu")
            self._progress = torch.full((), 0.5, dtype=torch.float64, device="cpu")
        # Whether counts are a quantiser's now; not known before the loop has said how far it is.
        self._quantised: bool | None = None if options.quantised_share else False
        # Whether the thresholds are those of the first images, and no training batch has come yet.
        self._by_images = False
        self._price = _Price()
        # The network's own modules keep their modes.
        self.training = model.training

    @property
    def batches(self) -> int:
        """How many training batches there were since it was coupled."""
        return int(self._batches)

    @property
    def progress(self) -> float:
        """Share of the training that is done, from 0 to 1, with which the price on spikes falls; your loop sets it.

        Where nobody does, the price is its mean over the training, that of one half.

        Raises:
            UserError: when it is set to anything else.
        """
        return float(self._progress)

    @progress.setter
    def progress(self, share: float) -> None:
        if not 0 <= share <= 1:
            raise UserError(f"progress: {share!r} is not allowed; expected the share of the training, from 0 to 1")
        self._progress.fill_(share)
        self._quantised = self.options.quantised_at(share)

    @property
    def price(self) -> Tensor:
        """What the spikes of the last training batch cost, a scalar with gradient, to be added to the loss.

        It is `spike_penalty` (at the present `progress`) times the spikes a neuron, on the mean of the batch's images; so it
        is to be scaled and accumulated as a loss that is a mean over the batch. Zero where there is no price.
        """
        if self._price.value is None:
            return floats_of(self.model).new_zeros(())
        return self._price.value

    def make_thresholds(self, images: Tensor) -> None:
        """Make the thresholds for images [B, C, H, W]; nothing else changes, and no statistics are taken of them."""
        self.make_neurons(images, self.options.threshold_start)
        self._same_for_all()

    @property
    def bias_steps(self) -> int:
        """Over how many steps biases are spread: T; 1 once it is calibrated."""
        return 1 if any(layer.worth is not None for layer in self.by_label().values()) else self.time_steps

    def calibrate(self, images: Tensor) -> None:
        """Set thresholds by which counts stand for the activations of the network as it is, a trained ANN.

        A threshold is one for all neurons of a channel, that with which w · count / T is nearest to the activation; and a
        spike of it is worth w (see `calibration.nearest`). Activations are those of evaluation mode. Weights, statistics and
        modes are not changed. From here on the image and biases are whole at every step, whatever the input coding, so that
        a step's current is of the activation's size.

        Args:
            images: [N, C, H, W], a few hundred; memory is that of a layer's currents, of all images at every step.

        Raises:
            UserError: images or the network's state are not finite, or images are of another size.
        """
        self._check_finite({"the images": images})
        self.make_neurons(images, 1.0)
        calibrate(self, SpikingInterpreter(self.time_steps, 1, self.options), images)
        self._same_for_all()

    def _same_for_all(self) -> None:
        for layer in self.by_label().values():
            for value in layer.buffers():
                same_for_all(value)

    def forward(self, images: Tensor) -> Tensor:
        """Give the logits of the ANN branch, with gradient, in training mode; else those of the SNN.

        Args:
            images: [B, C, H, W], or whatever the network takes; or frames of it, one a step: [T, B, C, H, W]. The ANN branch
                is then given their sum.

        Returns:
            [B, classes].

        Raises:
            UserError: images or the network's state are not finite, or a batch is none that can be run.
        """
        if self.training:
            return self.branches(images)[0]
        self.check(images)
        return self.run_by(self._spiking(self._report, self.are_frames(images)), images)[-1]

    def branches(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Run both branches; thresholds are adjusted in training mode only.

        Returns:
            Logits of the ANN branch, with gradient, and of the SNN branch, without: [B, classes] each.

        Raises:
            UserError: images or the network's state are not finite, or a batch is none that can be run.
        """
        self.check(images)
        if self.training:
            _begin(self._batches)
        interpreter = self._interpreter()(
            self._spiking(None, self.are_frames(images)),
            adjust=self.training and self.options.ata,
            observer=self._report,
            progress=self._progress if torch.compiler.is_compiling() else self.progress,
            neurons=self.number_of_neurons() if self.training else 0,
        )
        logits = self.run_by(interpreter, images)
        self._price.value = interpreter.price
        return logits

    def _interpreter(self) -> type[CoupledInterpreter]:
        if not self.training:
            return CoupledInterpreter
        if self._quantised is None:
            raise UserError(
                f"with quantised_share={self.options.quantised_share}, set `coupled.progress` before each batch, to the "
                "share of the training that is done; or couple without quantised_share"
            )
        return QuantisedInterpreter if self._quantised else CoupledInterpreter

    def _spiking(self, observer: Observer | None, frames: bool = False) -> SpikingInterpreter:
        return SpikingInterpreter(
            self.time_steps,
            self.bias_steps,
            self.options,
            training=self.training,
            observer=observer,
            event_driven=self.event_driven,
            frames=frames,
        )

    def are_frames(self, images: Tensor) -> bool:
        """Whether there is a dimension more than a batch of images has; where their size is not known, than [B, C, H, W]."""
        return images.dim() == 2 + (3 if self.image_shape is None else len(self.image_shape))

    @torch.no_grad()
    def _report(self, seen: Observation) -> None:
        fire = firing(seen.stage)
        if fire:
            fire.neurons.noisy_spike_rate = seen.noisy_spike_rate
            # PyTorch's own type for a sum of bytes is five times as slow.
            fire.neurons.spikes_per_image = seen.outgoing.count.sum(dtype=torch.int32) / seen.outgoing.samples

    def check(self, images: Tensor) -> None:
        """Check that all is finite, which spikes would not tell, and make the thresholds of the first images [B, C, H, W].

        Raises:
            UserError: images or the network's state are not finite.
        """
        self._check_model()
        refuse_images(images, floats_of(self.model), self.image_shape, empty=not self.training)
        self._check_finite({"the images": images})
        if self.are_frames(images):
            self._refuse_calibrated()
            check_steps(images, self.time_steps)
            images = images[0]
        if torch.compiler.is_compiling() and not self.compared:
            raise UserError(
                "a compiled network cannot make its thresholds: couple it with image_shape=(C, H, W), or call it once "
                "before it is compiled"
            )
        if not self.number_of_neurons():
            self.make_thresholds(images)
            self._by_images = True
        elif not self.compared:
            # Thresholds were loaded.
            self.make_thresholds(images)
        elif self._by_images and self.image_shape != tuple(images.shape[1:]):
            # Nothing has been trained that these would lose, so those of another size were not the ones that are meant.
            for layer in self.by_label().values():
                layer.forget()
            self.make_thresholds(images)
        self._by_images = self._by_images and not self.training

    def _check_model(self) -> None:
        check_besides(self.model)
        check_structure(self.model, self.traced)

    def _check_finite(self, images: dict[str, Tensor]) -> None:
        weights, thresholds = self.named_state()
        # A variance below zero is finite, and what it normalises is not.
        variances = {name: value.sqrt() for name, value in weights.items() if name.endswith("running_var")}
        check_finite(images | weights | variances | thresholds, "after {} training batches", self._batches)

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

    def spiking(self, frames: bool = False) -> SpikingNetwork:
        """Give the network as a plain spiking one, of the running statistics; it shares nothing with this one.

        Args:
            frames: whether it is to take frames [T, B, C, H, W], one a step, and not images.

        Raises:
            RuntimeError: thresholds are not known before the first images.
            UserError: its state is not finite.
        """
        if not self.number_of_neurons():
            raise RuntimeError(
                "how many neurons there are is not known before the first images; give some, or image_shape"
            )
        self._check_model()
        self._check_finite({})
        if frames:
            self._refuse_calibrated()
        return deploy(self, self.options, self.time_steps, self.bias_steps, frames=frames)

    def _refuse_calibrated(self) -> None:
        if any(layer.worth is not None for layer in self.by_label().values()):
            raise UserError(
                "this network was calibrated, so that an image is whole at every step, and frames are shares of one; couple "
                "it without `calibrate` to give it frames"
            )

    def get_extra_state(self) -> Tensor:
        """Give T, the options and the images' size as JSON in bytes, which every format of tensors can hold."""
        said = {"time_steps": self.time_steps, "options": self.options.named(), "image_shape": self.image_shape}
        return torch.frombuffer(bytearray(json.dumps(said, sort_keys=True).encode()), dtype=torch.uint8)

    def set_extra_state(self, state: Tensor) -> None:
        """Take over what size of images a saved state is for."""
        shape = _said(state)["image_shape"]
        self.image_shape = self.image_shape or (tuple(shape) if shape else None)

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, metadata: Any, strict: bool, missing: list[str], *rest: Any
    ) -> None:
        key = f"{prefix}_extra_state"
        if key in state_dict:
            self._check_saved(_said(state_dict[key]), key)
        super()._load_from_state_dict(state_dict, prefix, metadata, strict, missing, *rest)
        if key in missing:
            # Saved before the state said so.
            missing.remove(key)

    def _check_saved(self, saved: dict[str, Any], key: str) -> None:
        steps = saved["time_steps"]
        if steps != self.time_steps:
            raise UserError(
                f"this state was saved with time_steps={steps} (here {self.time_steps}); couple the network so, or take "
                f"{key!r} out of the state to load it all the same"
            )
        own = asdict(self.options)
        others = {name: value for name, value in saved["options"].items() if own.get(name) != value}
        if others:
            said = ", ".join(f"{name}={value!r} (here {own.get(name)!r})" for name, value in others.items())
            warnings.warn(f"this state was saved with other options: {said}", stacklevel=2)

    def __deepcopy__(self, memo: dict[int, Any]) -> "CoupledNetwork":
        if self.neurons and not self.number_of_neurons():
            raise UserError(
                "a copy of this network would make thresholds of its own, as its first images have yet to come; couple it "
                "with image_shape=(C, H, W), or give it images before it is copied"
            )
        copied: CoupledNetwork = self.__class__.__new__(self.__class__)
        memo[id(self)] = copied
        # Without what `.compile()` has made, which would run this network.
        copied.__dict__ = deepcopy(self.__getstate__(), memo)  # type: ignore[no-untyped-call]
        return copied

    def extra_repr(self) -> str:
        """Say T and the options."""
        return f"time_steps={self.time_steps}, {self.options}"
