"""What is loaded when: hundreds of short jobs each start the command line, and a heavy package costs them seconds."""

import subprocess
import sys

import pytest

HEAVY = (
    "torch",
    "torchvision",
    "spikingjelly",
    "mlflow",
    "sqlalchemy",
    "pandas",
    "scipy",
    "sklearn",
    "seaborn",
    "matplotlib",
    "PIL",
    "requests",
    "pooch",
    "tabulate",
    "pydantic",
    "numpy",
)
NUMBERS = ("torch", "numpy")
PARAMETERS = ("pydantic",)
CODE = """
import sys
{statement}
print(*sorted({{name.partition(".")[0] for name in sys.modules}}))
"""


def loaded(statement: str) -> set[str]:
    """Names of the packages that a fresh Python has after a statement."""
    command = [sys.executable, "-c", CODE.format(statement=statement)]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    ("statement", "allowed"),
    [
        ("import snn2ann", ()),
        ("import snn2ann.cli", ()),
        # A network of one's own: torch, and nothing of the rig.
        ("import snn2ann; snn2ann.couple", NUMBERS),
        ("import snn2ann.study", PARAMETERS),
        ("from snn2ann.report.tables import TABLES; from snn2ann.report.figures import FIGURES", ()),
        # What `snakemake` reads and its watch, which waits for runs to train.
        (
            "from snn2ann.study import load_parameters, resolve\n"
            "resolve(load_parameters('tests/workflow/params.yaml'), 'tiny')\n"
            "import snn2ann.tracking.watch",
            PARAMETERS,
        ),
        # A training job: torch and the data, and nothing of tracking or reports.
        (
            "import snn2ann.cli, snn2ann.training.loop, snn2ann.data.loading",
            (*NUMBERS, *PARAMETERS),
        ),
        ("import snn2ann.tracking.track, snn2ann.tracking.recorded_model", ()),
    ],
)
def test_only_what_is_used_is_loaded(statement: str, allowed: tuple[str, ...]) -> None:
    assert loaded(statement) & set(HEAVY) - set(allowed) == set()


def test_the_check_sees_what_is_loaded() -> None:
    assert "numpy" in loaded("import numpy")
