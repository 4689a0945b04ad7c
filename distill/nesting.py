"""How deep what is kept may be nested. Owns the bound alone: what is read near it must be read again by whoever learns
from it, exports or shows it, each from a place of its own in the stack.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

_CALLS = 500  # of the 1000 that Python allows


@contextmanager
def bounded() -> Iterator[None]:
    """Within it JSON that is nested too deep raises RecursionError, with room to spare for those who read it later."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(min(limit, _CALLS))
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)
