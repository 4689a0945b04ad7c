"""The most memory that this process has taken. Knows nothing of what took it."""

from __future__ import annotations

import resource
import sys

_UNIT = 1 if sys.platform == "darwin" else 1024  # of what the system counts in


def peak_memory() -> int:
    """Bytes that were resident at most, since the process began."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT
