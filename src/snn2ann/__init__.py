"""SNN2ANN, reproduced: training spiking neural networks through an ANN that shares their weights."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from snn2ann.evaluation.measure import measure
    from snn2ann.method.couple import couple
    from snn2ann.method.to_nir import to_nir

__version__ = "0.1.0"
__all__ = ["couple", "measure", "to_nir"]


def __getattr__(name: str) -> Any:
    # Not before it is used: it loads torch, which the command line does without.
    if name == "couple":
        from snn2ann.method.couple import couple

        return couple
    if name == "to_nir":
        from snn2ann.method.to_nir import to_nir

        return to_nir
    if name == "measure":
        from snn2ann.evaluation.measure import measure

        return measure
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
