"""How much memory the engine may use, and how much it uses. Owns the default and the measure.

Knows nothing of requests.
"""

from __future__ import annotations

import os
import resource
import sys

import mlx.core as mx

_OF_WORKING_SET = 0.9  # of what Metal recommends: the rest is for what MLX does not count
_OF_RAM = 0.6  # where the memory is shared with everything else on the machine


def default_budget() -> int:
    """Bytes that the engine may take on this machine when nobody says."""
    device = mx.device_info()
    recommended = device.get("max_recommended_working_set_size")
    if recommended:
        return int(int(recommended) * _OF_WORKING_SET)
    return int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * _OF_RAM)


def used() -> int:
    """Bytes in live arrays."""
    return int(mx.get_active_memory())


def peak() -> int:
    """The most bytes this process ever took."""
    unit = 1 if sys.platform == "darwin" else 1024
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return max(int(mx.get_peak_memory()), resident)
