"""The options in which variants of the method differ, and the two named presets. Free of torch, so that it loads at once."""

from dataclasses import asdict, dataclass, fields, replace
from functools import cache
from math import isfinite
from typing import Any, Literal, get_args, get_type_hints

from snn2ann.errors import UserError

# Of what has no end of its own: far more than anything that is of use, and far less than what 32 bits hold.
MOST = 1e5


@dataclass(frozen=True)
class CouplingOptions:
    """How the SNN branch and the ANN branch are coupled.

    The defaults are the behaviour of the authors' demo.

    Attributes:
        mapping_unit: "resu" passes the spike count where the ANN activation is positive, "stsu" passes it everywhere.
        gradient: "straight" has slope 1 where the ANN activation is positive; "window" has slope 1/V and is zero where the
            count saturates, that is at or above (T + 1/2) V.
        reset: membrane after a spike: "zero" (hard reset) or "subtract" (the threshold is taken off).
        statistics: BatchNorm statistics folded into the SNN branch during training: "running" ones or the "batch"'s own.
        threshold_start: "uniform" draws every neuron's threshold from [0, 1); a number sets them all.
        input_coding: what charges the first layer at each step: the image, and its bias over T ("repeat"); both over T
            ("divide"), which add up to the ANN's value; or both whole ("direct"), T times the ANN's value in all.
        membrane_dropout: probability of inverted dropout on the membrane after each step, in training only.
        membrane_start: membrane before the first step, as a fraction of the threshold.
        shortcut: what an identity shortcut of the SNN branch adds: the previous block's "current" or its "spikes".
        pooling: max pooling acts on the current of each "step", and the maxima add up to more than the largest total; or on
            the "charge" so far, and they add up to the ANN's own maximum (see `pooling.pool_charge`).
        noisy_spikes: noisy spikes are counted against the ANN activation "after_dropout" or "before_dropout".
        spike_penalty: what a spike a neuron, on the mean of the network's neurons and the batch's images, adds to the loss.
            The mapping unit's gradient has it; the loss that is reported has not.
        spike_penalty_end: share of that price which is left at the end of the training; on the way it falls evenly.
        threshold_descent: how far a training batch moves a layer's thresholds, in the root mean square over its neurons,
            down the gradient by which a quantiser learns its step (LSQ, Esser et al. 2020); so far at first, and evenly less
            up to the end of the training. None leaves them to ATA alone.
        quantised_share: share of the training, at first, in which no neuron is run and counts are those of a quantiser, what
            the whole charge comes to; needs reset "subtract", and input_coding "direct" or "divide". None has spikes from
            the first batch on.
        ata: whether thresholds are adjusted in training.
        ata_rate: noisy-spike rate of a layer above which its thresholds rise.
        ata_step: how far the adjusted thresholds lie above the present ones; of calibrated ones, times a spike's worth.
        ata_momentum: share of the adjusted thresholds in the new ones.
    """

    mapping_unit: Literal["resu", "stsu"] = "resu"
    gradient: Literal["straight", "window"] = "straight"
    reset: Literal["zero", "subtract"] = "zero"
    statistics: Literal["running", "batch"] = "running"
    threshold_start: float | Literal["uniform"] = "uniform"
    input_coding: Literal["repeat", "divide", "direct"] = "repeat"
    membrane_dropout: float = 0.5
    membrane_start: float = 0.0
    shortcut: Literal["current", "spikes"] = "current"
    pooling: Literal["step", "charge"] = "step"
    noisy_spikes: Literal["after_dropout", "before_dropout"] = "after_dropout"
    spike_penalty: float = 0.0
    spike_penalty_end: float = 1.0
    threshold_descent: float | None = None
    quantised_share: float | None = None
    ata: bool = True
    ata_rate: float = 0.1
    ata_step: float = 0.1
    ata_momentum: float = 0.1

    def __post_init__(self) -> None:
        """Check every value against its type and range.

        Raises:
            UserError: a value that is not allowed; the message names the option and what is.
        """
        for field in fields(self):
            value = getattr(self, field.name)
            if problem := self.expected(field.name, value):
                raise UserError(f"option {field.name}: {value!r} is not allowed; expected {problem}")
        if self.quantised_share:
            self._check_quantised()

    def _check_quantised(self) -> None:
        """Refuse neurons whose count under a constant current is not that of a quantiser."""
        needed = {"reset": ("subtract",), "input_coding": ("direct", "divide")}
        for name, allowed in needed.items():
            if (value := getattr(self, name)) not in allowed:
                raise UserError(
                    f"option quantised_share: it needs {name} {' or '.join(map(repr, allowed))}, and it is {value!r}, with "
                    "which a neuron's count is not its charge over its threshold; change that, or leave quantised_share out"
                )

    @classmethod
    def expected(cls, option: str, value: Any) -> str | None:
        """Say what is expected of an option where a value is not allowed.

        Args:
            option: name of one that there is.
            value: what it is to be.

        Returns:
            In words; None where the value is allowed.
        """
        return _problem(option, value, _hints()[option])

    def penalty_at(self, progress: Any) -> Any:
        """Return the price of a spike a neuron when a share `progress`, a number or a tensor, of the training is done."""
        return self.spike_penalty * (1 + (self.spike_penalty_end - 1) * progress)

    def descent_at(self, progress: Any) -> Any:
        """Return how far a batch moves thresholds when a share `progress`, a number or a tensor, of the training is done."""
        return (self.threshold_descent or 0.0) * (1 - progress)

    def quantised_at(self, progress: float) -> bool:
        """Say whether counts are a quantiser's when a share `progress` of the training is done."""
        return progress < (self.quantised_share or 0.0)

    def named(self) -> dict[str, Any]:
        """Return the options as a run's specification has them: without those that are None, as if they had never been."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def bias_spread(self, time_steps: int, constant: bool) -> int:
        """Return over how many steps a layer's bias is spread.

        Args:
            time_steps: T.
            constant: whether the layer's input is the same at every step.
        """
        return 1 if constant and self.input_coding == "direct" else time_steps

    def with_options(self, changes: dict[str, Any]) -> "CouplingOptions":
        """Return these options with `changes` made.

        Raises:
            UserError: an option that does not exist, or a value that is not allowed.
        """
        known = [field.name for field in fields(self)]
        for name in changes:
            if name not in known:
                raise UserError(f"option {name}: unknown; the options are {', '.join(known)}")
        return replace(self, **changes)


@cache
def _hints() -> dict[str, Any]:
    """The types of the options; to work them out takes a hundred times as long as to check a value."""
    return get_type_hints(CouplingOptions)


def _problem(name: str, value: Any, hint: Any) -> str | None:
    """Say what is expected where `value` is not allowed, else None."""
    if value is None and type(None) in get_args(hint):
        return None
    if hint is bool:
        return None if isinstance(value, bool) else "true or false"
    words = [word for part in (hint, *get_args(hint)) for word in get_args(part) if isinstance(word, str)]
    number = hint is float or float in get_args(hint)
    high = {"threshold_start": MOST, "spike_penalty": MOST, "ata_step": MOST}.get(name, 1.0)
    if value in words:
        return None
    if (
        number
        and isinstance(value, int | float)
        and not isinstance(value, bool)
        and 0 <= value <= high
        and isfinite(value)
    ):
        return None if name != "membrane_dropout" or value < 1 else _range(name, high)
    return " or ".join(words + [_range(name, high)] * number)


def _range(name: str, high: float) -> str:
    return "a number from 0 up to, not including, 1" if name == "membrane_dropout" else f"a number from 0 to {high:,g}"


RELEASED = CouplingOptions()
# Both branches are the same function: a neuron is charged with what its ANN activation is made of, in training by the same
# statistics, through max pooling and shortcuts; no charge is lost at a reset, and every count is passed on. The membrane
# starts half full, so that counts are rounded and not cut; the gradient is that of a clipped count. Low thresholds make
# counts fine, and a price on spikes keeps them few; it falls to nothing, so that the last batches are for accuracy alone.
REFINED = CouplingOptions(
    mapping_unit="stsu",
    gradient="window",
    reset="subtract",
    statistics="batch",
    threshold_start=0.75,
    input_coding="direct",
    membrane_dropout=0.0,
    membrane_start=0.5,
    shortcut="spikes",
    pooling="charge",
    noisy_spikes="before_dropout",
    spike_penalty=0.12,
    spike_penalty_end=0.0,
    ata_rate=0.02,
)

VARIANTS = {"released": RELEASED, "refined": REFINED}
