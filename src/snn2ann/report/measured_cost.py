"""Time and memory of a training step as measured: one series over rounds for each network, method, variant and T."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from snn2ann.report.configurations import method_name


@dataclass(frozen=True)
class Cost:
    """What one method at one T cost on one network; each series has the round as its index, `variant` is often empty."""

    network: str
    method: str
    variant: str
    library: str
    time_steps: int | None
    device: str
    threads: int
    batch_size: int
    seconds: pd.Series
    saved_bytes: pd.Series
    peak_bytes: pd.Series

    def label(self, name_variant: bool, *words: str) -> str:
        """Name in words, for a legend or a row; `name_variant` where a method was measured in several."""
        inner = ", ".join(word for word in (self.variant * name_variant, *words) if word)
        return method_name(self.method) + (f" ({inner})" if inner else "")

    def series(self, measure: str) -> pd.Series:
        """Values of `seconds`, `saved_bytes` or `peak_bytes`, missing ones left out."""
        series: pd.Series = getattr(self, measure)
        return series.dropna()


def costs(frame: pd.DataFrame) -> list[Cost]:
    """One `Cost` for each network, method, variant, library and T, in the order of the file."""
    keys = ["network", "method", "variant", "library", "time_steps"]
    found = []
    for _, group in frame.groupby(keys, sort=False, dropna=False):
        rounds = group.set_index("round")
        first = group.iloc[0]
        found.append(
            Cost(
                network=str(first["network"]),
                method=str(first["method"]),
                variant="" if pd.isna(first["variant"]) else str(first["variant"]),
                library="" if pd.isna(first["library"]) else str(first["library"]),
                time_steps=None if pd.isna(first["time_steps"]) else int(first["time_steps"]),
                device=str(first["device"]),
                threads=int(first["threads"]),
                batch_size=int(first["batch_size"]),
                seconds=rounds["seconds"],
                saved_bytes=rounds["saved_bytes"],
                peak_bytes=rounds["peak_bytes"],
            )
        )
    return found


def find_cost(found: list[Cost], network: str, wanted: Mapping[str, Any]) -> Cost | None:
    """The first cost on a network of the `method`, `variant` and `training_time_steps` that `wanted` names.

    Other options are no part of a measurement: a mapping unit or an adjusted threshold changes no cost.
    """
    for cost in found:
        same_variant = not wanted.get("variant") or cost.variant == wanted["variant"]
        same = (cost.method, cost.time_steps) == (wanted["method"], wanted.get("training_time_steps"))
        if cost.network == network and same and same_variant:
            return cost
    return None


def several(found: list[Cost], what: str) -> bool:
    """Whether some method was measured in more than one `library` or `variant`."""
    return len({(c.method, getattr(c, what)) for c in found}) > len({c.method for c in found})


def memory_measure(first: Cost, second: Cost) -> str:
    """What stands for memory in a comparison: the allocator's peak on a GPU, bytes saved for backward elsewhere."""
    on_gpu = first.device.startswith("cuda") and second.device.startswith("cuda")
    known = len(first.series("peak_bytes")) > 0 and len(second.series("peak_bytes")) > 0
    return "peak_bytes" if on_gpu and known else "saved_bytes"
