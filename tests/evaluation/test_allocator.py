"""Memory that is freed stays with the process: no pages are asked for again."""

import platform
import subprocess
import sys

import pytest

PAGES = """
import resource, sys, torch
from snn2ann.evaluation.allocator import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(8):
        torch.ones(16_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

if sys.argv[1] == "keep":
    print(keep_freed_memory(), file=sys.stderr)
# Where the first ones come to lie is not settled at once.
print(min(faults() for _ in range(4)))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_large_tensors_come_to_lie_where_others_were() -> None:
    found = {}
    for kept in ("keep", "leave"):
        ended = subprocess.run(
            [sys.executable, "-c", PAGES, kept], check=True, capture_output=True, text=True, timeout=120
        )
        found[kept] = int(ended.stdout)
        assert ("True" in ended.stderr) == (kept == "keep")
    # A page may be of 4 KiB or of 2 MiB.
    assert found["leave"] > 8 * 16 and found["keep"] < 0.3 * found["leave"]
