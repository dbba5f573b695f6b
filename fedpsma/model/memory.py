"""How the process treats memory that tensors give back."""

from __future__ import annotations

import ctypes

# From malloc.h of glibc.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
_LARGEST_INT = 2**31 - 1


def keep_freed_memory() -> bool:
    """Keep what is freed for the next tensor, instead of giving it back to the system and asking for it again.

    By default glibc maps each large block anew, and the system clears its pages: a third of the time of the network on
    a CPU. Peak memory grows by a tenth, and stays with the process until it ends, so this is for commands, not for
    servers. Returns whether the C library knows the setting; without glibc nothing changes.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(mallopt(_M_MMAP_MAX, 0)) and bool(mallopt(_M_TRIM_THRESHOLD, _LARGEST_INT))
