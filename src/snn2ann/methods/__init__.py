"""The methods that can be trained, by name: the paper's and those it is compared with. One entry a method."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from snn2ann.parameters.methods import MethodOptions


@dataclass(frozen=True)
class Bar:
    """What a method's own paper lets one expect of its accuracy.

    Attributes:
        points: how far below it may lie, in percentage points.
        beside: below what: the "reference" of the claims, or its own "ANN".
        time_steps: T in inference; None for that of training.
    """

    points: float
    beside: Literal["reference", "ANN"] = "reference"
    time_steps: int | None = None


@dataclass(frozen=True)
class Relative:
    """A method's row in the table of relatives of docs/method.md, in Markdown; its name and cost are the entry's own.

    Attributes:
        source: who published it, when and where.
        shares: what it has in common with SNN2ANN.
        differs: what it does otherwise.
        memory: how what a step keeps for backward grows with T.
        bars: what a study compares it with; one that it misses is named.
    """

    source: str
    shares: str
    differs: str
    memory: str
    bars: tuple[Bar, ...] = ()


@dataclass(frozen=True)
class MethodEntry:
    """What a study and a report must know of a method before torch is loaded.

    Attributes:
        path: "module:Class" of a `snn2ann.methods.model.Model`.
        label: its name in tables and legends.
        revision: raised by hand whenever a change of code alters the method's results.
        looks: (colour, marker) of its lines by variant or mapping unit, under "" where it has one look; none: free ones.
        relative: its row in the table of relatives; none for what only serves others.
        time_steps: whether the method is trained for a number of time steps.
        source: the method whose trained weights this one starts from, if any.
        options: "module:Class" of its options with their defaults and ranges, loaded without torch; or "variants", those of
            `snn2ann.options`.
        passes: (a, b): a training step's convolutions are worth a·T + b forward passes, a backward counting as two.
        library: the package whose neurons or layers it runs on.
        frames: whether it takes frames, an image for each time step.
        cuda_graph: whether its step can be one.
        imported: whether its weights are those of a file, which `snn2ann import-checkpoint` makes a run of.
    """

    path: str
    label: str
    revision: int
    looks: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    relative: Relative | None = None
    time_steps: bool = True
    source: str | None = None
    options: str = "snn2ann.parameters.methods:NoOptions"
    passes: tuple[int, int] = (3, 0)
    library: str = "torch"
    frames: bool = False
    cuda_graph: bool = True
    imported: bool = False

    @property
    def trained(self) -> bool:
        """Whether its weights come out of a training of its own."""
        return self.source is None and not self.imported

    @property
    def options_class(self) -> "type[MethodOptions] | None":
        """The class of its options; None for variants."""
        if self.options == "variants":
            return None
        module, _, name = self.options.partition(":")
        found: type[MethodOptions] = getattr(import_module(module), name)
        return found

    @property
    def defaults(self) -> dict[str, Any]:
        """Its options with their default values, without those that are left out by default; of variants none."""
        return self.options_class().model_dump(exclude_none=True) if self.options_class else {}


# Colours after Okabe and Ito (2008), told apart with any common colour blindness, and more of their kind.
METHODS: dict[str, MethodEntry] = {
    "snn2ann": MethodEntry(
        "snn2ann.methods.snn2ann:Snn2Ann",
        "SNN2ANN",
        revision=1,
        looks={"resu": ("#0072B2", "o"), "stsu": ("#56B4E9", "v"), "refined": ("#D6006C", "*")},
        relative=Relative("Tang et al. 2022", "–", "–", "flat"),
        options="variants",
        passes=(1, 3),
        frames=True,
    ),
    "ann": MethodEntry(
        "snn2ann.methods.ann:PlainAnn",
        "ANN",
        revision=1,
        looks={"": ("#000000", "s")},
        time_steps=False,
        passes=(0, 3),
        frames=True,
    ),
    "tandem": MethodEntry(
        "snn2ann.methods.tandem:TandemLearning",
        "Tandem learning",
        revision=1,
        looks={"": ("#CC79A7", "P")},
        relative=Relative(
            "Wu et al. 2021, tandem learning",
            "both branches on one set of weights, counts forward, the ANN's gradient",
            "the count is passed on everywhere (STSU), no ATA, one fixed threshold, reset by subtraction, no membrane "
            "dropout",
            "flat",
        ),
        options="snn2ann.parameters.methods:ThresholdOptions",
        passes=(1, 3),
        frames=True,
    ),
    "rate_based": MethodEntry(
        "snn2ann.methods.rate_based:RateBasedBackpropagation",
        "Rate-based BP",
        revision=1,
        looks={"": ("#E69F00", "X")},
        relative=Relative(
            "Yu et al. 2024, NeurIPS",
            "spikes forward without a graph, one backward pass over what they add up to",
            "the surrogate's derivative, averaged over time, in the place of the ReLU's; BatchNorm sees the spikes",
            "flat",
            (Bar(1.0),),
        ),
        options="snn2ann.parameters.methods:ResetOptions",
        passes=(1, 3),
        library="spikingjelly",
    ),
    "sltt": MethodEntry(
        "snn2ann.methods.sltt:SpatialLearningThroughTime",
        "SLTT",
        revision=1,
        looks={"": ("#7F3C8D", "<")},
        relative=Relative(
            "Meng et al. 2023, ICCV",
            "no gradient through time",
            "a surrogate gradient at every step",
            "flat",
            (Bar(1.0),),
        ),
        options="snn2ann.parameters.methods:MembraneOptions",
        library="spikingjelly",
    ),
    "ottt": MethodEntry(
        "snn2ann.methods.ottt:OnlineTrainingThroughTime",
        "OTTT",
        revision=1,
        looks={"": ("#332288", "p")},
        relative=Relative(
            "Xiao et al. 2022, NeurIPS",
            "no graph through time",
            "as `sltt`, with traces of earlier spikes in the weights' gradients, so neurons leak; reset by subtraction",
            "flat",
            (Bar(1.0),),
        ),
        options="snn2ann.parameters.methods:LeakyOptions",
        passes=(4, 0),
        library="spikingjelly",
    ),
    "stbp": MethodEntry(
        "snn2ann.methods.stbp:SpikeBasedBackpropagation",
        "Spike-based BP",
        revision=1,
        looks={"": ("#D55E00", "^")},
        relative=Relative("Wu et al. 2018", "–", "a surrogate gradient through all steps", "grows"),
        options="snn2ann.parameters.methods:ThroughTimeOptions",
        library="spikingjelly",
        frames=True,
    ),
    "checkpointed": MethodEntry(
        "snn2ann.methods.checkpointed:CheckpointedBackpropagation",
        "Spike-based BP, checkpointed",
        revision=1,
        looks={"": ("#8C510A", ">")},
        relative=Relative(
            "`stbp` with SpikingJelly's checkpoints",
            "–",
            "as `stbp`, each layer run again in backward",
            "grows, as bits",
        ),
        options="snn2ann.parameters.methods:ThroughTimeOptions",
        passes=(4, 0),
        library="spikingjelly",
        cuda_graph=False,
    ),
    "qcfs": MethodEntry(
        "snn2ann.methods.qcfs:QuantisedConversion",
        "QCFS conversion",
        revision=1,
        looks={"": ("#117733", "d")},
        relative=Relative(
            "Bu et al. 2022, ICLR",
            "an ANN's gradient, for weights that a spiking network runs on",
            "no spikes in training: activations quantised to L levels under a learned ceiling, which is the threshold; "
            "reset by subtraction, membranes start half full",
            "no T",
            (Bar(1.0, "ANN", 8), Bar(0.3, "ANN", 16)),
        ),
        time_steps=False,
        passes=(0, 3),
        options="snn2ann.parameters.methods:QcfsOptions",
    ),
    "conversion": MethodEntry(
        "snn2ann.methods.conversion:Conversion",
        "Conversion",
        revision=2,
        looks={"": ("#009E73", "D")},
        time_steps=False,
        source="ann",
        passes=(0, 0),
        options="snn2ann.parameters.methods:ConversionOptions",
    ),
    "authors": MethodEntry(
        "snn2ann.methods.authors:AuthorsNetwork",
        "SNN2ANN, authors' weights",
        revision=1,
        looks={"resu": ("#004D40", "$\u25e4$"), "stsu": ("#80A89A", "$\u25e5$")},
        options="variants",
        passes=(0, 0),
        imported=True,
    ),
}
