"""params.yaml: read it, check it against its typed sections, and say in one sentence what is wrong with it.

The sections' classes are loaded when something is checked: jobs that are given their specification do without.
"""

from collections.abc import Mapping
from typing import Any

from snn2ann.parameters.digests import digest
from snn2ann.parameters.reading import load_parameters, merge
from snn2ann.parameters.words import choose

__all__ = ["choose", "digest", "load_parameters", "merge", "validate"]


def validate(parameters: Mapping[str, Any], file: str = "params.yaml") -> None:
    """Check parameters, as `load_parameters` gives them, against their sections.

    Raises:
        UserError: the first problem, unknown keys before others: the key, the value, and what is allowed.
    """
    from snn2ann.parameters.whole import typed

    typed(parameters, file)
