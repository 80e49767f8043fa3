"""The reference runs that the documentation holds."""

from pathlib import Path

REFERENCE = Path(__file__).parents[1] / "docs" / "reference"
PUBLISHED = sorted(path.parent for path in REFERENCE.glob("*/claims.json"))
# Verdicts of the rest are an earlier rule's, as their own pages give it.
JUDGED = [study for study in PUBLISHED if '"judged"' in (study / "claims.json").read_text()]
