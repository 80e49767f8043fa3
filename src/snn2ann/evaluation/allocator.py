"""The C library's allocator, told to keep what was freed."""

import ctypes

# glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4
_MOST = 2**31 - 1


def keep_freed_memory() -> bool:
    """Have this process reuse the memory of large tensors, where it would go back to the system and come anew, page by page.

    A forward pass over all time steps makes tensors of tens of megabytes, and to be given their pages takes about as long as
    to fill them. Results are the same to the bit; memory stays with the process until it ends.

    Returns:
        Whether the allocator is one that can be told: glibc's.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return all([mallopt(_M_MMAP_MAX, 0), mallopt(_M_TRIM_THRESHOLD, _MOST), mallopt(_M_TOP_PAD, 2**28)])
