"""What was found in texts, and what was made of those that came lately. Owns both records and how many are kept; knows
nothing of how anything is found.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict

_SHORT = 64  # characters of a text that is its own digest
_TEXTS = 65536
_CHARACTERS = 32 << 20  # of those texts that were changed


class Findings:
    """What was put in, and the secrets that are to be looked for where nothing gives them away."""

    def __init__(self) -> None:
        self.placeholders: set[str] = set()
        self.known: dict[str, str] = {}

    def add(self, other: Findings) -> None:
        self.placeholders |= other.placeholders
        self.known |= other.known


Made = tuple[str | None, Findings]  # the text, where it is another, and what was found in it
NOTHING: Made = (None, Findings())


class Seen:
    """What was made of texts, by their digest; of those in which nothing was found only that. Safe to share between
    threads."""

    def __init__(self) -> None:
        self._kept: OrderedDict[bytes | str, Made] = OrderedDict()
        self._characters = 0
        self._lock = threading.Lock()

    def get(self, key: bytes | str) -> Made | None:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def keep(self, key: bytes | str, made: Made) -> None:
        with self._lock:
            if key not in self._kept:
                self._characters += len(made[0] or "")
            self._kept[key] = made
            while len(self._kept) > _TEXTS or self._characters > _CHARACTERS:
                self._characters -= len(self._kept.popitem(last=False)[1][0] or "")


def text_key(text: str) -> bytes | str:
    """What a text is remembered by."""
    if len(text) <= _SHORT:
        return text
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
