"""What a run is, as its folder says."""

from pathlib import Path
from typing import Any

import yaml

from snn2ann.errors import UserError


def read_spec(path: Path) -> dict[str, Any]:
    """Read what was written when the run was made.

    Raises:
        UserError: it can't be read, or is no run's.
    """
    try:
        spec = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"{path}: cannot be read ({type(error).__name__}); make the run again") from error
    if not isinstance(spec, dict) or not isinstance(spec.get("method"), dict):
        raise UserError(f"{path}: a run's parameters with a `method` expected; make the run again")
    return spec
