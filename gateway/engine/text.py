"""Tokens into text, piece by piece. Owns half-finished characters and stop strings; knows nothing of models."""

from __future__ import annotations

from collections.abc import Callable, Collection

_WINDOW = 8  # tokens of context that a token's text may depend on
_LONGEST_CHARACTER = 4  # tokens, one for each byte of it


class TextStream:
    """The text of a growing list of tokens. A character is given out once all of its bytes are there."""

    def __init__(self, decode: Callable[[list[int]], str], ends: Collection[int], stops: list[str]) -> None:
        self._decode = decode
        self._ends = ends
        self._stops = [stop for stop in stops if stop]
        self._ids: list[int] = []
        self._read = 0  # tokens whose text is in `text`
        self.text = ""
        self.stopped = False

    def feed(self, token: int) -> None:
        """Take one more token; the token that ends a turn has no text. After a stop string nothing is taken."""
        if self.stopped or token in self._ends:
            return
        self._ids.append(token)
        self._grow(final=False)

    def finish(self) -> str:
        """The whole text, unfinished characters shown as such."""
        if not self.stopped:
            self._grow(final=True)
        return self.text

    def settled(self) -> int:
        """How many characters no stop string can take back any more."""
        if self.stopped:
            return len(self.text)
        held = max((_overlap(self.text, stop) for stop in self._stops), default=0)
        return len(self.text) - held

    def _grow(self, *, final: bool) -> None:
        start = max(0, self._read - _WINDOW)
        known = self._decode(self._ids[start : self._read])
        grown = self._decode(self._ids[start:])
        half = grown.endswith("\ufffd") and len(self._ids) - self._read < _LONGEST_CHARACTER
        if not final and (half or not grown.startswith(known)):
            return
        before = len(self.text)
        self.text += grown[len(known) :]
        self._read = len(self._ids)
        longest = max((len(stop) for stop in self._stops), default=1)
        ends = [at for stop in self._stops if (at := self.text.find(stop, max(0, before - longest + 1))) >= 0]
        if ends:
            self.text = self.text[: min(ends)]
            self.stopped = True


def _overlap(text: str, stop: str) -> int:
    """The length of the longest end of `text` that could be the beginning of `stop`."""
    return next((n for n in range(min(len(text), len(stop) - 1), 0, -1) if text.endswith(stop[:n])), 0)
