"""The methods that can be trained, by name: the paper's and those it is compared with. One entry a method."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class MethodEntry:
    """What a study must know of a method before torch is loaded.

    Attributes:
        path: "module:Class" of a `snn2ann.methods.model.Model`.
        revision: raised by hand whenever a change of code alters the method's results.
        time_steps: whether the method is trained for a number of time steps.
        source: the method whose trained weights this one starts from, if any.
        defaults: the method's options with their default values; the paper's method has variants instead.
        options: what this method's options are: "variants" (see `snn2ann.options`) or "defaults".
        passes: (a, b): a training step's convolutions are worth a·T + b forward passes, a backward counting as two.
        library: the package whose neurons or layers it runs on.
    """

    path: str
    revision: int
    time_steps: bool = True
    source: str | None = None
    defaults: dict[str, Any] = field(default_factory=dict)
    options: str = "defaults"
    passes: tuple[int, int] = (3, 0)
    library: str = "torch"


_SURROGATE = {"threshold": 1.0, "surrogate": "atan", "surrogate_width": 2.0}
_THROUGH_TIME = _SURROGATE | {"detach_reset": True, "spike_penalty": 0.0}

METHODS: dict[str, MethodEntry] = {
    "snn2ann": MethodEntry("snn2ann.methods.snn2ann:Snn2Ann", revision=1, options="variants", passes=(1, 3)),
    "ann": MethodEntry("snn2ann.methods.ann:PlainAnn", revision=1, time_steps=False, passes=(0, 3)),
    "stbp": MethodEntry(
        "snn2ann.methods.stbp:SpikeBasedBackpropagation",
        revision=1,
        defaults=_THROUGH_TIME,
        library="spikingjelly",
    ),
    "checkpointed": MethodEntry(
        "snn2ann.methods.checkpointed:CheckpointedBackpropagation",
        revision=1,
        defaults=_THROUGH_TIME,
        passes=(4, 0),
        library="spikingjelly",
    ),
    "sltt": MethodEntry(
        "snn2ann.methods.sltt:SpatialLearningThroughTime",
        revision=1,
        defaults=_SURROGATE,
        library="spikingjelly",
    ),
    "ottt": MethodEntry(
        "snn2ann.methods.ottt:OnlineTrainingThroughTime",
        revision=1,
        defaults={"threshold": 1.0, "surrogate": "sigmoid", "surrogate_width": 4.0, "tau": 2.0},
        passes=(4, 0),
        library="spikingjelly",
    ),
    "rate_based": MethodEntry(
        "snn2ann.methods.rate_based:RateBasedBackpropagation",
        revision=1,
        defaults=_SURROGATE | {"detach_reset": True},
        passes=(1, 3),
        library="spikingjelly",
    ),
    "tandem": MethodEntry(
        "snn2ann.methods.tandem:TandemLearning", revision=1, defaults={"threshold": 1.0}, passes=(1, 3)
    ),
    "qcfs": MethodEntry(
        "snn2ann.methods.qcfs:QuantisedConversion",
        revision=1,
        time_steps=False,
        passes=(0, 3),
        defaults={"levels": 8, "ceiling": 8.0},
    ),
    "conversion": MethodEntry(
        "snn2ann.methods.conversion:Conversion",
        revision=1,
        time_steps=False,
        source="ann",
        passes=(0, 0),
        defaults={"percentile": 99.9, "images": 1024, "reset": "subtract", "membrane_start": 0.5},
    ),
}
