"""Doubt: a call breaks off at the first token that makes it certain that nobody will accept it.

Owns which tokens of a growing answer count: those of calls, from the first function's name to the last closing brace,
as `router.score` has it of a whole draft. It begins where a call is written in one of the two forms whose name is
certain as soon as it is there; in any other it never rises. Knows nothing of who sets the bound.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection

_NAMED = re.compile(r'<tool_call>\s{0,9}\{\s{0,9}"name"\s{0,9}:\s{0,9}"([^"\\]{1,200})"|<function=([^>\s]{1,200})>')


class Doubt:
    """`floor` is the probability that every token of a call has to reach, `names` are those of the tools there are."""

    def __init__(self, floor: float, names: Collection[str]) -> None:
        self._floor = math.log(floor)
        self._names = names
        self._tokens: list[tuple[int, float]] = []  # where each ended, while no call's name is known
        self._name = -1  # where the first call's name begins
        self._waiting = 0.0  # the least log-probability since the last brace: it counts once another brace comes
        self._closed = False
        self._length = 0

    def rises(self, text: str, logprob: float, begun: int) -> bool:
        """With one more token, after which the answer is `text`: whether that is too improbable for any call. What is
        before `begun` is thoughts or words."""
        before, self._length = self._length, len(text)
        if self._name < 0:
            self._tokens.append((len(text), logprob))
            self._name = self._found(text, begun)
            if self._name < 0:
                return False
            counted = min(one for end, one in self._tokens if end > self._name)
            self._closed = "}" in text[self._name :]
            return counted < self._floor
        brace = text.rfind("}", before)
        if not self._closed:
            self._closed = brace >= 0
            return logprob < self._floor
        self._waiting = min(self._waiting, logprob)
        if brace < 0:
            return False
        counted, self._waiting = self._waiting, 0.0
        return counted < self._floor

    def _found(self, text: str, begun: int) -> int:
        """Where the first call's name begins; -1 while none is there."""
        found = _NAMED.search(text, begun)
        if found is None or found[found.lastindex or 0] not in self._names:
            return -1
        return found.start(found.lastindex or 0)
