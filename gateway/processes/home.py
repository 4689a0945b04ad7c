"""One gateway a home: two would each write the live pointer, the experiments and the certificates as they know them.

Owns the lock, which the system lifts when its holder ends, however it ends. Knows nothing of what the home holds.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from gateway.errors import StartError

_LOCK = "gateway.lock"


class HomeLock:
    """The home of a gateway, while it runs."""

    def __init__(self, data: Path) -> None:
        self._path = data / _LOCK
        self._file: int | None = None

    def take(self) -> None:
        """Raises StartError where another gateway has it."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            raise StartError(
                f"another gateway serves the home {self._path.parent.parent}: stop it, or give this one a home of its "
                "own (gateway.home, or NIGHTSCHOOL_HOME)"
            ) from None
        self._file = file

    def leave(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
