"""What all tests share."""

import os
import sys
from pathlib import Path

import pytest

# Before torch is loaded: tests run beside each other, and one thread each is fastest and the same everywhere.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Triton decides when it is loaded: without a GPU, its kernels are interpreted.
if not Path("/dev/nvidiactl").exists():
    os.environ["TRITON_INTERPRET"] = "1"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"


# Their studies take minutes; begun first, they have the small tests beside them to the end.
FIRST = "tests/workflow/"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the longest files first."""
    items.sort(key=lambda item: not item.nodeid.startswith(FIRST))


def pytest_runtest_setup() -> None:
    """Give each test one thread: PyTorch's compiler takes as many as there are cores, and leaves it so."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
