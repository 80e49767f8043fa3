"""What all tests share."""

import os
from pathlib import Path

# Before torch is loaded: tests run beside each other, and one thread each is fastest and the same everywhere.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Triton decides when it is loaded: without a GPU, its kernels are interpreted.
if not Path("/dev/nvidiactl").exists():
    os.environ["TRITON_INTERPRET"] = "1"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
