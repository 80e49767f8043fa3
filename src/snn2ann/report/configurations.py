"""What makes two rows of a table different: the configuration of a method, and how it is named in words."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from snn2ann.methods import METHODS
from snn2ann.models import NETWORKS

MAPPING_UNIT_NAMES = {"resu": "ReSU", "stsu": "STSU"}


@dataclass(frozen=True)
class Configuration:
    """A method with everything that tells its runs apart, the seed excepted.

    Args:
        ata: none, training, calibration or training+calibration; empty where thresholds are never adjusted.
        setting: options that differ from the variant's preset, or the method's defaults, as `name=value, ...`; and the
            recipe where it is not the study's. Usually empty.
    """

    method: str
    variant: str = ""
    mapping_unit: str = ""
    ata: str = ""
    training_time_steps: int | None = None
    setting: str = ""

    @property
    def calibrated(self) -> bool:
        """Whether thresholds were calibrated after training."""
        return "calibration" in self.ata

    @property
    def trained(self) -> "Configuration":
        """The same configuration before calibration; itself if it is not calibrated."""
        if not self.calibrated:
            return self
        return replace(self, ata="training" if self.ata.startswith("training") else "none")

    def label(self, name_variant: bool = False) -> str:
        """Name in words, for a legend or a row; `name_variant` where a study has several variants of the method."""
        parts = [self.variant if name_variant else "", mapping_unit_name(self.mapping_unit)]
        parts += [self._ata_words(), self.setting]
        inner = ", ".join(part for part in parts if part)
        steps = f", T={self.training_time_steps}" if self.training_time_steps else ""
        return method_name(self.method) + (f" ({inner})" if inner else "") + steps

    def _ata_words(self) -> str:
        words = {"training": "ATA", "none": "no ATA" if self.mapping_unit else ""}
        trained = words.get(self.trained.ata, self.trained.ata)
        return ", ".join(part for part in (trained, "calibrated" * self.calibrated) if part)


def matches(configuration: Configuration, wanted: Mapping[str, Any]) -> bool:
    """Whether a configuration has every value that `wanted` names; a T in inference (`time_steps`) is of none."""
    named = {key: value for key, value in wanted.items() if key != "time_steps"}
    return all((getattr(configuration, key, None) or "") == (value or "") for key, value in named.items())


def method_name(method: str) -> str:
    """Name of a method in words; a method that is not registered keeps its own name."""
    return METHODS[method].label if method in METHODS else method


def mapping_unit_name(mapping_unit: str) -> str:
    """Name of a mapping unit in words."""
    return MAPPING_UNIT_NAMES.get(mapping_unit, mapping_unit)


def network_name(network: str) -> str:
    """Name of a network in words: `vgg13` is VGG-13, `vgg-small` is VGG (small); what begins with no kind stays."""
    parts = re.fullmatch(rf"({'|'.join(NETWORKS)})(?:-?(\d+)|-(.+))?", network)
    if parts is None:
        return network
    label, number, size = NETWORKS[parts[1]].label, parts[2], parts[3]
    return f"{label}-{number}" if number else f"{label} ({size})" if size else label


def ata_word(ata: bool | None, calibrated: bool, has_calibration: bool) -> str:
    """The word of results.csv for threshold adjustment in training (`ata`, None where a method has none) and after."""
    if ata is None and not has_calibration:
        return ""
    if calibrated:
        return "training+calibration" if ata else "calibration"
    return "training" if ata else "none"


def setting_words(changed: Mapping[str, Any]) -> str:
    """Options that differ from the preset, as `name=value, ...` in the order of their names; a whole number as such."""
    flat = flatten(changed)
    return ", ".join(f"{key.replace('_', ' ')}={_plain(flat[key])}" for key in sorted(flat))


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def flatten(options: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested maps as one, its keys dotted and each with `prefix` before it."""
    flat: dict[str, Any] = {}
    for key, value in options.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
