"""How many files and sockets this process may have open: a request under way takes two, and macOS starts with 256.

Owns that limit alone.
"""

from __future__ import annotations

import contextlib
import resource

ENOUGH = 10_240  # the most that macOS lets a process ask for


def allow_many() -> None:
    """Raise the process's limit as far as it may, up to ENOUGH; where it may not, it stays."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = ENOUGH if hard == resource.RLIM_INFINITY else min(ENOUGH, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
