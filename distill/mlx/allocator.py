"""Keeps freed memory in the process on Linux. Owns one setting of the C library and the reason for it.

MLX on the CPU takes and gives back a large block for every intermediate array. By default the C library hands such
blocks to the system at once, and the next array pays for fresh pages: a third of a training step's time.
"""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -2, -3, -8  # malloc.h


def keep_memory() -> None:
    """Let freed blocks be used again. A process that has done so keeps its peak until `give_back`."""
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # only glibc has it
    if mallopt is None:
        return
    for setting, value in (
        (_MMAP_THRESHOLD, 1 << 30),
        (_TRIM_THRESHOLD, 2**31 - 1),
        (_ARENA_MAX, 1),
        (_TOP_PAD, 1 << 28),
    ):
        mallopt(setting, value)


def give_back() -> None:
    """Hand what is free to the system after all."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # only glibc has it
    if trim is not None:
        trim(0)
