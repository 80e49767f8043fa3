"""The library's one entry: couples a network of one's own."""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

from torch import nn

from snn2ann.errors import UserError
from snn2ann.graph.coupled import CoupledNetwork, floats_of
from snn2ann.network.trace import trace
from snn2ann.options import VARIANTS, CouplingOptions

HONOURED: dict[str, tuple[Any, ...] | None] = {
    "mapping_unit": ("resu", "stsu"),
    "gradient": ("straight", "window"),
    "reset": ("zero", "subtract"),
    "statistics": ("running", "batch"),
    "threshold_start": None,
    "input_coding": ("repeat", "divide", "direct"),
    "membrane_dropout": None,
    "membrane_start": None,
    # Between the neurons of a graph there are spikes and nothing else.
    "shortcut": ("spikes",),
    "pooling": ("step", "charge"),
    "noisy_spikes": ("after_dropout", "before_dropout"),
    "spike_penalty": None,
    "spike_penalty_end": None,
    "ata": (True, False),
    "ata_rate": None,
    "ata_step": None,
    "ata_momentum": None,
}
"""Options that a network of one's own follows, with the words that it knows; every number that is allowed if None."""


def couple(
    model: nn.Module,
    time_steps: int,
    *,
    variant: str = "refined",
    image_shape: Sequence[int] | None = None,
    **options: Any,
) -> CoupledNetwork:
    """Couple a network with a spiking one that shares its weights, to train it by SNN2ANN.

    Each call of a ReLU becomes a layer of integrate-and-fire neurons. The network itself is not changed: it is trained
    through what is returned.

    Args:
        model: made of what `docs/library.md` lists; takes images and gives logits [B, classes].
        time_steps: T.
        variant: "released" or "refined", where the options start.
        image_shape: (C, H, W); thresholds are then made at once, else with the first images.
        **options: those of `CouplingOptions` that differ from the variant's.

    Returns:
        The coupled network, in the network's mode of training or evaluation.

    Raises:
        UserError: the network cannot be coupled, and all reasons are named by module; or an argument is not allowed.
    """
    if not isinstance(time_steps, int) or isinstance(time_steps, bool) or time_steps < 1:
        raise UserError(f"time_steps: {time_steps!r} is not allowed; expected a whole number from 1")
    chosen = _options(variant, options)
    coupled = CoupledNetwork(model, trace(model), time_steps, chosen)
    if image_shape is not None:
        coupled.make_thresholds(floats_of(model).new_zeros((1, *image_shape)))
    return coupled


def _options(variant: str, changes: dict[str, Any]) -> CouplingOptions:
    if variant not in VARIANTS:
        raise UserError(f"variant: {variant!r} is unknown; the variants are {', '.join(VARIANTS)}")
    # Without BatchNorm before every ReLU, activations may lie far below a constant threshold, and no neuron would fire.
    chosen = replace(VARIANTS[variant], shortcut="spikes", threshold_start="uniform").with_options(changes)
    for field in fields(chosen):
        value, known = getattr(chosen, field.name), HONOURED.get(field.name, (field.default,))
        if known is not None and value not in known:
            raise UserError(
                f"option {field.name}: {value!r} is for the project's own networks; "
                f"a network of your own takes {' or '.join(map(repr, known))}"
            )
    return chosen
