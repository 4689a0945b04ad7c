"""The memory that this machine has, and the most that this process has taken of it. Knows nothing of what took it."""

from __future__ import annotations

import os
import resource
import sys

_UNIT = 1 if sys.platform == "darwin" else 1024  # of what the system counts in


def machine_memory() -> int:
    """Bytes that the machine has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def peak_memory() -> int:
    """Bytes that were resident at most, since the process began."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT
