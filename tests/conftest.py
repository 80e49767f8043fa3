"""What all tests share."""

import os

# Before torch is loaded: tests run beside each other, and one thread each is fastest and the same everywhere.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
