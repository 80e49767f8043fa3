"""Tandem learning: spike counts forward, an ANN's gradient backward, on one set of weights.

Wu et al. (2021), "A Tandem Learning Rule for Effective Training and Rapid Inference of Deep Spiking Neural Networks". It is
the coupled layer without what SNN2ANN adds to it: the count is passed on everywhere (STSU), thresholds are fixed, a spike
takes the threshold off the membrane, and no membrane is dropped.
"""

from collections.abc import Mapping
from typing import Any

from snn2ann.engine.network import Network
from snn2ann.methods.snn2ann import Snn2Ann
from snn2ann.parameters.methods import ThresholdOptions

_COUPLING = {
    "mapping_unit": "stsu",
    "gradient": "straight",
    "reset": "subtract",
    "membrane_dropout": 0.0,
    "membrane_start": 0.0,
    "shortcut": "spikes",
    "noisy_spikes": "before_dropout",
    "ata": False,
}


class TandemLearning(Snn2Ann):
    """A network trained by tandem learning.

    The image is the input of every step and biases are spread over T (ibid., section III). The gradient is that of a ReLU
    of the counts' weighted sum (equations 7 to 9, slope 1).

    Args:
        network: its thresholds are set here.
        time_steps: T of training.
        options: threshold, of every neuron, in the current's unit.

    Raises:
        UserError: the threshold is not above 0.
    """

    def __init__(self, network: Network, time_steps: int, options: Mapping[str, Any]) -> None:
        threshold = ThresholdOptions.of(options).threshold
        super().__init__(network, time_steps, _COUPLING | {"threshold_start": threshold})
