"""The reference runs that the documentation holds."""

from pathlib import Path

REFERENCE = Path(__file__).parents[1] / "docs" / "reference"
PUBLISHED = sorted(path.parent for path in REFERENCE.glob("*/claims.json"))
