"""How much memory the engine may use, how much it uses, and when it gives some back.

Owns the default, the measure and the rule. Knows nothing of requests.
"""

from __future__ import annotations

import gc
import os
import time
from pathlib import Path

import mlx.core as mx

from distill.machine import machine_memory, peak_memory
from distill.mlx import allocator

_OF_WORKING_SET = 0.9  # of what Metal recommends: the rest is for what MLX does not count
_MUCH = 256 << 20  # bytes
_SECONDS = 10.0  # between two times: what is given back is soon taken again, as fresh pages
_STATM = Path("/proc/self/statm")
_OF_RAM = 0.6  # where the memory is shared with everything else on the machine


def default_budget() -> int:
    """Bytes that the engine may take on this machine when nobody says."""
    device = mx.device_info()
    recommended = device.get("max_recommended_working_set_size")
    if recommended:
        return int(int(recommended) * _OF_WORKING_SET)
    return int(machine_memory() * _OF_RAM)


def used() -> int:
    """Bytes in live arrays."""
    return int(mx.get_active_memory())


def peak() -> int:
    """The most bytes this process ever took."""
    return max(int(mx.get_peak_memory()), peak_memory())


def resident() -> int:
    """Bytes that the process holds now; 0 where the system does not tell."""
    return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if _STATM.exists() else 0


class Remains:
    """Memory that was freed and lies unused in the process: kept for the next arrays, but not without end."""

    def __init__(self) -> None:
        self._apart = resident() - used()  # what is no array and no remains either
        self._last = time.monotonic()

    def give_back_sometimes(self) -> None:
        """Hand it to the system if there is much of it and that was not done just now."""
        if time.monotonic() - self._last >= _SECONDS and resident() - used() - self._apart > _MUCH:
            self._hand_over()

    def give_back(self) -> None:
        """All of it, at a time when nobody waits: what only a garbage collection frees, too."""
        gc.collect()
        self._hand_over()

    def _hand_over(self) -> None:
        self._last = time.monotonic()
        mx.clear_cache()
        allocator.give_back()
