"""GGUF files from anyone, read with llama.cpp's own package. Owns that reading ends where the file does; knows nothing
of what is in it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gguf import GGUFReader

# What reading a damaged file raises.
DAMAGE = (OSError, ValueError, KeyError, IndexError, TypeError, OverflowError, MemoryError, RecursionError)


def opened(file: Path, most: float = math.inf) -> GGUFReader:
    """A file's contents; `most` numbers and texts may stand in its beginning. Raises one of DAMAGE."""
    from gguf import GGUFReader  # a quarter of a second, which only those should pay who read one

    class Bounded(GGUFReader):
        """As it is, it goes on behind the end of a file that promises too much, for as long as it was promised."""

        parts = 0

        def _get(self, offset: int, dtype: Any, count: int = 1, *order: Any, **named: Any) -> Any:
            self.parts += 1
            read = super()._get(offset, dtype, count, *order, **named)
            if len(read) < count or self.parts > most:
                raise ValueError("it is cut off, or its beginning tells more than is read")
            return read

    return Bounded(file)
